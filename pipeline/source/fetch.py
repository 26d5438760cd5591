"""The bytes of a track, on a local path and hashed, wherever they come from.

What may pass (HTTP 408, 429 and 5xx, lost connections, bodies that end early) is tried again for a while. Where it
lasts that is an outage: the track is left out for now, with that reason, and the next run takes it up again; when one
track after the other meets it, the run ends.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from typing import IO, Any

import pyarrow as pa

from pipeline.errors import CratedigError, DecodeFailure, Outage, RunFailed
from pipeline.installation import is_fault
from pipeline.remote import file_system, is_url
from pipeline.source.parquet import INSIDE, read_inside
from pipeline.source.trouble import find_trouble

__all__ = ["OUTAGE", "fetched"]

OUTAGE = "outage"
"""The reason of rejects that are taken up again by the next run."""
WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between one try and the next; a server may ask for more."""
_TIMEOUT_S = 60.0
"""Without a byte."""
_MOST_IN_A_ROW = 5
"""Tracks of this process that met an outage one after the other: then nothing else is to be had either."""
_CHUNK = 1 << 20

_in_a_row = 0


@contextlib.contextmanager
def fetched(path_or_url: str) -> Iterator[tuple[str, str, int]]:
    """Local path, sha256 and size of a track; a remote one lies in a temporary file while the block runs.

    Local files are read where they are. Raises DecodeFailure, stage `read`: `missing`, `forbidden`, `unreadable`,
    `empty`, `outage`; Outage when the last few tracks all met one; BadInput where a driver is missing.
    """
    local = path_or_url.removeprefix("file://").removeprefix("local://")
    if not is_url(local) and not local.startswith(INSIDE):
        sha256, size = _hash_local(local)
        yield local, sha256, size
        return
    with _temporary_file() as copy:
        sha256, size = _copied(path_or_url, copy)
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
    except FileNotFoundError as error:
        raise DecodeFailure("missing", "no such file", stage="read") from error
    except (OSError, ValueError) as error:
        if is_fault(error):
            raise
        said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise DecodeFailure("unreadable", said, stage="read") from error
    return _checked(digest.hexdigest(), size)


def _checked(sha256: str, size: int) -> tuple[str, int]:
    if size == 0:
        raise DecodeFailure("empty", "0 bytes", stage="read")
    return sha256, size


@contextlib.contextmanager
def _temporary_file() -> Iterator[IO[bytes]]:
    try:
        with tempfile.NamedTemporaryFile(prefix="cratedig-", suffix=".audio") as copy:
            yield copy
    except FileNotFoundError as error:  # of tempfile: no folder to write to
        if "temporary directory" not in str(error):
            raise
        raise RunFailed(
            f"{error.strerror}; set TMPDIR to a folder with room, and run the same command again"
        ) from error


def _copied(url: str, copy: IO[bytes]) -> tuple[str, int]:
    """Fetch into `copy`, as often as it takes and patience allows; returns sha256 and size."""
    global _in_a_row
    tries = len(WAITS_S) + 1
    for wait_s in (*WAITS_S, None):
        try:
            found = _copied_once(url, copy)
            _in_a_row = 0
            return _checked(*found)
        except (DecodeFailure, CratedigError):
            raise
        except Exception as error:
            if is_fault(error) and not isinstance(error, OSError):
                raise
            trouble = find_trouble(error)
            if trouble.reason != OUTAGE:
                _in_a_row = 0
                raise DecodeFailure(trouble.reason, trouble.detail, stage="read") from error
            if wait_s is None:
                _in_a_row += 1
                if _in_a_row >= _MOST_IN_A_ROW:
                    raise Outage(
                        f"{url.partition('?')[0]}: {trouble.detail}, {tries} tries long, and the same with the "
                        f"{_MOST_IN_A_ROW - 1} tracks before it: nothing is to be had there now. What is finished is "
                        "kept; run the same command again when the source answers"
                    ) from error
                raise DecodeFailure(OUTAGE, f"{trouble.detail}, {tries} tries long", stage="read") from error
            time.sleep(max(wait_s, trouble.wait_s))
    raise AssertionError("the last try returns or raises")


def _copied_once(url: str, copy: IO[bytes]) -> tuple[str, int]:
    copy.seek(0)
    copy.truncate()
    digest, size = hashlib.sha256(), 0
    for block in _blocks(url):
        digest.update(block)
        size += len(block)
        _write(copy, block)
    _write(copy, b"")
    return digest.hexdigest(), size


def _write(copy: IO[bytes], block: bytes) -> None:
    try:
        if block:
            copy.write(block)
        else:
            copy.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunFailed(
            f"no space left in {os.path.dirname(copy.name)} (TMPDIR), where a remote track lies while it is read; free "  # noqa: PTH120
            "some, or set TMPDIR to a folder with room, and run the same command again"
        ) from error


def _blocks(url: str) -> Iterator[bytes]:
    if url.startswith(INSIDE):
        try:
            yield read_inside(url)
        except pa.ArrowInvalid as error:
            raise DecodeFailure("unreadable", str(error).splitlines()[0], stage="read") from error
    elif url.startswith(("http://", "https://")):
        with _client().stream("GET", url) as response:
            response.raise_for_status()
            yield from response.iter_bytes(_CHUNK)
    else:
        fs, path = file_system(url)
        with fs.open(path, "rb") as file:
            size = getattr(file, "size", None)
            seen = 0
            while block := file.read(_CHUNK):
                seen += len(block)
                yield block
            if isinstance(size, int) and seen < size:
                raise ConnectionError(f"{seen} of {size} bytes came")


@cache
def _client() -> Any:
    """One a process. httpx checks that a body has the length that was announced; fsspec's HTTP does not."""
    import httpx

    return httpx.Client(follow_redirects=True, timeout=_TIMEOUT_S, headers={"Accept-Encoding": "identity"})
