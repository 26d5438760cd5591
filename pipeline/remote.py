"""Which file system a path or URL belongs to, what is said where its driver is missing, reads and writes of
objects."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote

import fsspec
from fsspec.asyn import sync

from pipeline.errors import BadInput, CratedigError, RunFailed
from pipeline.installation import install_command

__all__ = [
    "Ranges",
    "TaggedObjects",
    "UnknownScheme",
    "absolute",
    "check_scheme",
    "file_system",
    "is_local",
    "is_object_store",
    "is_url",
    "store_errors",
    "tagged_objects",
    "whole_object",
    "write_errors",
]


class UnknownScheme(BadInput):
    """Nobody reads URLs that begin so."""


_AT_LEAST = 1 << 20
_BLOCK = 64 << 20
"""Of a whole object in memory at once."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
"""Scheme -> the extra of pyproject.toml that brings its driver."""


def is_url(given: str) -> bool:
    """Whether fsspec is to read it as a URL. A local path may hold `::`, which chains URLs in fsspec."""
    return "://" in given


def absolute(given: str) -> str:
    """A path that means the same in a process with another working directory; a URL as it is."""
    return given if is_url(given) else str(Path(given).absolute())


def check_scheme(url: str) -> None:
    """Raises BadInput where nothing that is installed reads such a URL; opens nothing. httpx reads http and https."""
    scheme = url.split("://", 1)[0].rsplit("::", 1)[-1]
    if scheme not in ("http", "https"):
        with _explained(url, scheme):
            fsspec.get_filesystem_class(scheme)


def file_system(given: str | os.PathLike[str]) -> tuple[Any, str]:
    """The file system and the path in it. Raises BadInput for a scheme that nobody knows or whose driver is missing."""
    text = os.fspath(given)
    if not is_url(text):
        fs = fsspec.filesystem("file")
        return fs, fs._strip_protocol(text)
    scheme = text.split("://", 1)[0].rsplit("::", 1)[-1]
    with _explained(text, scheme):
        fs, path = fsspec.core.url_to_fs(text)
    return fs, path


@contextlib.contextmanager
def _explained(text: str, scheme: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"install it: {install_command(extra)}" if extra else "install that package"
        raise BadInput(f"{scheme}:// needs a driver that is not installed ({_line(error)}); {remedy}") from error
    except ValueError as error:
        if "rotocol" not in str(error):
            raise BadInput(f"{text!r} is not a usable URL ({_line(error)})") from error
        raise UnknownScheme(
            f"{text!r}: nothing here reads {scheme}://; expected a local path, or a URL such as s3://, gs:// or https://"
        ) from error


def is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def is_object_store(fs: Any) -> bool:
    """Whether a file there appears whole when its writing ends, under its own name, in no folder that must be made."""
    known = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "memory"}
    return bool(known & ({fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)))


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class TaggedObjects(Protocol):
    """Objects of a store that writes one only where it is still what the writer believes it to be."""

    def get(self, path: str) -> tuple[bytes, str] | None:
        """Content and tag, which changes with every write; None where there is no such object."""
        ...

    def put(self, path: str, content: bytes, tag: str) -> str | None:
        """The new tag; None where the object has another tag than `tag`, or, where that is empty, is there at all."""
        ...


def tagged_objects(fs: Any) -> TaggedObjects | None:
    """Conditional writes on `fs`; None where fsspec has no way to them."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & {"s3", "s3a"}:
        return _S3Objects(fs)
    if protocols & {"gs", "gcs"}:
        return _GcsObjects(fs)
    return None


class _S3Objects:
    """By ETag (S3's conditional writes; MinIO, versitygw, R2 and others know them)."""

    _OTHERS = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404")

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def get(self, path: str) -> tuple[bytes, str] | None:
        async def read() -> tuple[bytes, str]:
            bucket, key, _ = self._fs.split_path(path)
            answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key)
            async with answer["Body"] as body:
                return await body.read(), str(answer["ETag"])

        try:
            with store_errors(path):
                return sync(self._fs.loop, read)
        except FileNotFoundError:
            return None

    def put(self, path: str, content: bytes, tag: str) -> str | None:
        bucket, key, _ = self._fs.split_path(path)
        match = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            with store_errors(path):
                answer = self._fs.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **match)
        except FileExistsError:
            return None
        except OSError as error:
            if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") in self._OTHERS:
                return None
            raise
        return str(answer["ETag"])


class _GcsObjects:
    """By generation."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def get(self, path: str) -> tuple[bytes, str] | None:
        bucket, key, _ = self._fs.split_path(path)
        try:
            with store_errors(path):
                said = self._fs.call("GET", "b/{}/o/{}", bucket, key, json_out=True)
                generation = str(said["generation"])
                _, content = self._fs.call("GET", "b/{}/o/{}", bucket, key, alt="media", generation=generation)
        except FileNotFoundError:
            return None
        return content, generation

    def put(self, path: str, content: bytes, tag: str) -> str | None:
        bucket, key, _ = self._fs.split_path(path)
        where = f"{self._fs._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        asked = {"uploadType": "multipart", "ifGenerationMatch": tag or "0"}
        head = b"--==0==\r\nContent-Type: application/json\r\n\r\n" + json.dumps({"name": key}).encode()
        body = head + b"\r\n--==0==\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--==0==--"
        kind = {"Content-Type": 'multipart/related; boundary="==0=="'}
        try:
            with store_errors(path):
                said = self._fs.call("POST", where, json_out=True, headers=kind, data=body, **asked)
        except (FileExistsError, FileNotFoundError):
            return None
        return str(said["generation"])


@contextlib.contextmanager
def store_errors(path: str) -> Iterator[None]:
    """What a store's driver raises of its own, as OSError with its first line: that names no credentials."""
    try:
        yield
    except (OSError, CratedigError):
        raise
    except Exception as error:
        if isinstance(error, (TypeError, AttributeError, KeyError, AssertionError)):  # ours
            raise
        raise OSError(errno.EIO, f"{type(error).__name__}: {_line(error)}", path) from error


@contextlib.contextmanager
def write_errors(path: str) -> Iterator[None]:
    """Turn what an operating system says of a write into an error with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(
                f"no space left for {path}; what is finished is safe: free some space and run the same command again"
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise BadInput(
                f"{path} cannot be written: a part of that path is a file; give another output folder"
            ) from error
        raise BadInput(
            f"{path} cannot be written ({error.strerror or error}); give an output folder that you may write to"
        ) from error


def _blocks(fs: Any, path: str) -> Iterator[bytes]:
    """All of an object in its order, a request a block; the last block is shorter than the others."""
    start, block = 0, b""
    while not start or len(block) == _BLOCK:
        try:
            with store_errors(path):
                block = fs.cat_file(path, start=start, end=start + _BLOCK)
        except OSError as error:
            if "satisfiable" not in str(error):
                raise
            block = b""  # so stores say of an object that ends before the range, or is empty
        yield block
        start += _BLOCK


def whole_object(fs: Any, path: str) -> IO[bytes]:
    """An object, fetched once: to a temporary file where it is large."""
    blocks = _blocks(fs, path)
    if len(first := next(blocks)) < _BLOCK:
        return io.BytesIO(first)
    with contextlib.ExitStack() as failed:
        with write_errors(tempfile.gettempdir()):
            whole = failed.enter_context(tempfile.TemporaryFile(prefix="cratedig-"))
        for block in itertools.chain([first], blocks):
            with write_errors(tempfile.gettempdir()):
                whole.write(block)
                whole.flush()
        whole.seek(0)
        failed.pop_all()
    return whole


class Ranges(io.RawIOBase):
    """An object whose end is known, read piece by piece: at least a megabyte at once, which the next reads are served
    from, since columns are small and stand side by side."""

    def __init__(self, fs: Any, path: str, tail: bytes) -> None:
        with store_errors(path):
            self._fs, self._path, self._tail, self._size = fs, path, tail, int(fs.size(path))
        self._place = 0
        self._block, self._block_start = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        start, end = self._place, min(self._place + len(buffer), self._size)
        known = self._size - len(self._tail)
        if start >= end:
            return 0
        if start >= known:
            data = self._tail[start - known : end - known]
        else:
            data = self._before(start, min(end, known), known) + self._tail[: max(0, end - known)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def readall(self) -> bytes:
        rest = bytearray(max(0, self._size - self._place))
        self.readinto(rest)
        return bytes(rest)

    def _before(self, start: int, end: int, known: int) -> bytes:
        """Bytes that lie before the end that is known."""
        if not self._block_start <= start <= end <= self._block_start + len(self._block):
            with store_errors(self._path):
                self._block = self._fs.cat_file(self._path, start=start, end=min(known, max(end, start + _AT_LEAST)))
            self._block_start = start
        return self._block[start - self._block_start : end - self._block_start]
