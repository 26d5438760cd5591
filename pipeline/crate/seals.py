"""Checksums of what decides content: small JSON files carry their own, and name the sha256 of the files beside them.

One flipped byte in any of them is noticed when it is read, and by `verify` where nobody reads it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import content_hash
from pipeline.storage import HashingFile, Storage

__all__ = [
    "changed_files",
    "checked_seal",
    "read_sealed",
    "read_sealed_file",
    "seal",
    "sealed_files",
    "unsealed",
    "write_sealed",
]

_CHECKSUM = "checksum"


def write_sealed(storage: Storage, name: str, value: Mapping[str, Any]) -> None:
    """JSON with a checksum of all the rest in it."""
    storage.write_json(name, seal(value))


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, _CHECKSUM: _checksum(value)}


def unsealed(value: Any) -> dict[str, Any]:
    """Without its checksum. Raises BadInput where it is not what was sealed."""
    if not isinstance(value, dict):
        raise BadInput("not a JSON object")
    said = {name: item for name, item in value.items() if name != _CHECKSUM}
    if value.get(_CHECKSUM) != _checksum(said):
        raise BadInput("its checksum differs")
    return said


def read_sealed(storage: Storage, name: str) -> dict[str, Any]:
    """The value without its checksum. Raises BadInput where it is not what was written."""
    return checked_seal(storage, name, storage.read_json(name))


def checked_seal(storage: Storage, name: str, value: Any) -> dict[str, Any]:
    """As `read_sealed`, of what was read from there."""
    try:
        return unsealed(value)
    except BadInput as error:
        raise BadInput(
            f"{storage.url}/{name} was changed after it was written ({error}); restore it, or remove it "
            "and run the same command again"
        ) from error


def _checksum(value: Mapping[str, Any]) -> str:
    return content_hash(value, digest_size=16)


def sealed_files(files: Mapping[str, HashingFile]) -> dict[str, dict[str, Any]]:
    """What a sealed JSON says of files that were just written: name -> sha256 and bytes."""
    return {name: {"sha256": file.sha256, "bytes": file.size} for name, file in sorted(files.items())}


def read_sealed_file(storage: Storage, name: str, said: Mapping[str, Any]) -> io.BytesIO:
    """A whole file that a sealed JSON names. Raises CrateMismatch where it is not what was written."""
    import hashlib

    data = storage.read_bytes(name)
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise CrateMismatch(f"{storage.url}/{name} was changed after it was written (sha256 differs); {_REMEDY}")
    return io.BytesIO(data)


_REMEDY = "remove its folder and run the same command again"


def changed_files(storage: Storage, files: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Reads every file; a sentence for each that is missing or not what was written."""
    for name, wrote in files.items():
        if not storage.exists(name):
            yield f"{name} is missing"
        elif storage.sha256(name) != wrote["sha256"]:
            yield f"{name} was changed after it was written (sha256 differs)"
