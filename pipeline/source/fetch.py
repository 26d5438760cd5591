"""The bytes of a track, on a local path and hashed, wherever they come from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import IO

from pipeline.errors import DecodeFailure
from pipeline.installation import is_fault
from pipeline.source.parquet import read_inside

__all__ = ["fetched"]

_CHUNK = 1 << 20


@contextlib.contextmanager
def fetched(path_or_url: str) -> Iterator[tuple[str, str, int]]:
    """Local path, sha256 and size of a track; a remote one lies in a temporary file while the block runs.

    Local files are read where they are. Raises DecodeFailure, stage `read`: `missing`, `unreadable`, `empty`.
    """
    if (data := read_inside(path_or_url)) is not None:
        with tempfile.NamedTemporaryFile(prefix="cratedig-", suffix=".audio") as copy:
            copy.write(data)
            copy.flush()
            yield copy.name, hashlib.sha256(data).hexdigest(), len(data)
        return
    if "://" not in path_or_url or path_or_url.startswith(("file://", "local://")):
        path = path_or_url.partition("://")[2] or path_or_url
        sha256, size = _hash_local(path)
        yield path, sha256, size
        return
    with tempfile.NamedTemporaryFile(prefix="cratedig-", suffix=".audio") as copy:
        sha256, size = _download(path_or_url, copy)
        copy.flush()
        yield copy.name, sha256, size


def _hash_local(path: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    try:
        # Opening a pipe or a device could wait for ever; O_NONBLOCK lets us look at what it is first.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DecodeFailure("unreadable", "not a regular file", stage="read")
            while block := os.read(fd, _CHUNK):
                digest.update(block)
                size += len(block)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        if is_fault(error):
            raise
        raise _read_failure(error) from error
    return _checked(digest.hexdigest(), size)


def _download(url: str, copy: IO[bytes]) -> tuple[str, int]:
    """A remote file system may raise anything; what would befall any track is not this one's fault."""
    import fsspec

    digest, size = hashlib.sha256(), 0
    try:
        with fsspec.open(url, "rb") as file:
            while block := file.read(_CHUNK):
                digest.update(block)
                size += len(block)
                copy.write(block)
        copy.flush()
    except Exception as error:
        if is_fault(error):
            raise
        raise _read_failure(error) from error
    return _checked(digest.hexdigest(), size)


def _checked(sha256: str, size: int) -> tuple[str, int]:
    if size == 0:
        raise DecodeFailure("empty", "0 bytes", stage="read")
    return sha256, size


def _read_failure(error: Exception) -> DecodeFailure:
    if isinstance(error, FileNotFoundError):
        return DecodeFailure("missing", "no such file", stage="read")
    if isinstance(error, OSError) and error.errno is not None:
        return DecodeFailure("unreadable", os.strerror(error.errno), stage="read")
    return DecodeFailure("unreadable", f"{type(error).__name__}: {error}", stage="read")
