"""Markers in bulk: those of a folder are listed, not asked for one by one, and folded into one ledger beside them.

A marker is a small JSON with a checksum that is written when a shard is finished. Where files have folders, each keeps
its own file, and the ledger is a copy that spares reading them: a line counts while its marker has the size and time
that it had. On an object store, where each file is a request, folding moves the markers: what the ledger says is said,
unless a marker of its own lies there, which is newer; also when the crate is copied to a disk. A worker that has a line
to its driver does not even write one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import posixpath
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.crate.seals import seal, unsealed
from pipeline.errors import BadInput
from pipeline.progress import forget_beats, hear, hear_failure
from pipeline.storage import Listed, Storage

__all__ = [
    "LEDGER",
    "Ledger",
    "Marker",
    "checked",
    "fold",
    "forget",
    "ledger_holds",
    "markers_to",
    "put_marker",
    "read_markers",
    "read_moved",
]

LEDGER = "done.ledger"
SUFFIX = ".done.json"
_FLUSH_S = 10.0
_MOVED = [0, ""]
"""In the place of size and tag: the marker has no file of its own."""
_log = logging.getLogger(__name__)

Marker = dict[str, Any]
Send = Callable[[str, Marker], None]
_send: Send | None = None


def put_marker(storage: Storage, name: str, marker: Mapping[str, Any]) -> None:
    """The last act of a shard. `name` of its marker, below the storage's root."""
    sealed = seal(marker)
    if _send is not None and storage.is_object_store:
        _send(name, sealed)
    else:
        storage.write_json(name, sealed)


def markers_to(send: Send) -> None:
    """From now on hand markers of object stores to `send`, which sees to it that they reach a ledger."""
    global _send
    _send = send


def read_markers(storage: Storage, folder: str, *, copies: bool = True) -> tuple[dict[str, Marker], dict[str, Listed]]:
    """The markers of a folder by the names of their files, without those that are damaged; and what lies there.

    copies: whether the ledger serves where a marker has its own file.
    """
    listed = storage.listed(folder)
    kept = _read(storage, folder) if LEDGER in listed and (copies or storage.is_object_store) else {}
    return _with_files(storage, folder, listed, kept), listed


def _with_files(
    storage: Storage, folder: str, listed: Mapping[str, Listed], kept: Mapping[str, list[Any]]
) -> dict[str, Marker]:
    found = {name: line[2] for name, line in kept.items() if line[:2] == _MOVED and name not in listed}
    ask = []
    for name, about in listed.items():
        if name.endswith(SUFFIX):
            line = kept.get(name)
            if line is not None and line[:2] == [about.size, about.tag]:
                found[name] = line[2]
            else:
                ask.append(name)
    for name, data in zip(ask, storage.read_many([f"{folder}/{name}" for name in ask]), strict=True):
        if (marker := checked(data)) is not None:
            found[name] = marker
    return found


def checked(data: bytes | None) -> Marker | None:
    """The marker in a file's bytes, without its checksum; None where it is damaged."""
    try:
        marker = unsealed(json.loads(data or b""))
        whole = {"run_hash", "rows", "counts", "files"} <= set(marker)
        return marker if whole and all({"bytes", "sha256"} <= set(f) for f in marker["files"].values()) else None
    except (BadInput, ValueError, TypeError, AttributeError):
        return None


def read_moved(storage: Storage, folder: str, name: str) -> Marker | None:
    """A marker that has no file of its own."""
    line = _read(storage, folder).get(name)
    return line[2] if line is not None and line[:2] == _MOVED else None


def fold(storage: Storage, folder: str, new: Mapping[str, Marker] | None = None) -> None:
    """Bring the ledger of a folder up to date with the markers there, and with `new` ones that have no file."""
    listed = storage.listed(folder)
    kept = _read(storage, folder) if LEDGER in listed else {}
    found = _with_files(storage, folder, listed, kept) | {name: unsealed(m) for name, m in (new or {}).items()}
    own = {} if storage.is_object_store else listed
    lines = {name: [*own.get(name, _MOVED), marker] for name, marker in sorted(found.items())}
    if lines != kept:
        _write(storage, folder, lines)
    if storage.is_object_store:
        storage.remove_files([f"{folder}/{name}" for name in listed if name.endswith(SUFFIX)])


def forget(storage: Storage, names: Iterable[str]) -> None:
    """Take markers away, by their names below the storage's root: their shards are to be done again."""
    of: dict[str, list[str]] = {}
    for name in names:
        of.setdefault(posixpath.dirname(name), []).append(posixpath.basename(name))
    for folder, gone in of.items():
        storage.remove_files([f"{folder}/{name}" for name in gone])
        kept = _read(storage, folder)
        if left := {name: line for name, line in kept.items() if name not in set(gone)} if kept else {}:
            _write(storage, folder, left)
        elif kept:
            storage.remove(f"{folder}/{LEDGER}")


def ledger_holds(storage: Storage, folder: str) -> bool:
    """Whether a folder's ledger is what was written; also where there is none."""
    return not storage.exists(f"{folder}/{LEDGER}") or _body(storage, folder) is not None


def _body(storage: Storage, folder: str) -> bytes | None:
    digest, _, body = storage.read_bytes(f"{folder}/{LEDGER}").partition(b"\n")
    return body if hashlib.blake2b(body, digest_size=16).hexdigest().encode() == digest else None


def _read(storage: Storage, folder: str) -> dict[str, list[Any]]:
    """Marker file -> its size and tag when it was read, and what it said."""
    try:
        body = _body(storage, folder)
    except FileNotFoundError:
        return {}
    if body is None:
        if storage.is_object_store:
            _log.warning("%s/%s/%s is damaged; shards that only it knows are done again", storage.url, folder, LEDGER)
        return {}
    lines: dict[str, list[Any]] = json.loads(body)
    return lines


def _write(storage: Storage, folder: str, lines: Mapping[str, list[Any]]) -> None:
    body = json.dumps(lines, separators=(",", ":")).encode()
    digest = hashlib.blake2b(body, digest_size=16).hexdigest().encode()
    storage.write_bytes(f"{folder}/{LEDGER}", digest + b"\n" + body, durable=False)


class Ledger:
    """What a driver hears of a job's shards by its line to a worker, where that does not go through files."""

    def __init__(self, storage: Storage, folder: str, *, alone: bool = True) -> None:
        """alone: whether this driver alone writes the ledgers; markers are files of their own where it does not."""
        self._storage, self._folder, self._alone = storage, folder, alone
        self._new: dict[str, dict[str, Marker]] = {}
        self._written = time.monotonic()

    def hears(self, said: bytes) -> bool:
        """`mark`, `beat` or `fail`, and what in JSON; False for what is none of these."""
        what, _, value = said.partition(b" ")
        if what == b"mark":
            name, marker = json.loads(value)
            self.add(name, marker)
        elif what == b"beat":
            hear(self._storage, self._folder, json.loads(value))
        elif what == b"fail":
            hear_failure(self._storage, self._folder, json.loads(value))
        return bool(value)

    def shard_ended(self, shard: int) -> None:
        """Its worker has gone on to another."""
        forget_beats(self._storage, self._folder, shard)

    def add(self, name: str, marker: Marker) -> None:
        """A marker by its name below the storage's root."""
        if not self._alone:
            self._storage.write_json(name, marker)
            return
        self._new.setdefault(posixpath.dirname(name), {})[posixpath.basename(name)] = marker

    def flush(self, *, now: bool = False) -> None:
        """Write what is new, at most every ten seconds unless it must be now."""
        if self._new and (now or time.monotonic() - self._written > _FLUSH_S):
            for folder in list(self._new):
                fold(self._storage, folder, self._new[folder])
                del self._new[folder]
            self._written = time.monotonic()
