"""Reading and writing whole files, local or by fsspec URL: a name appears only when its content is complete."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import posixpath
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from pipeline.errors import BadInput
from pipeline.ids import sha256_of
from pipeline.locks import LEASE, FileRecord, ObjectRecord, Record, hold_file, hold_record, refuse_held
from pipeline.remote import (
    Ranges,
    file_system,
    is_local,
    is_object_store,
    store_errors,
    tagged_objects,
    whole_object,
    write_errors,
)

__all__ = ["HashingFile", "Listed", "Storage"]

_log = logging.getLogger(__name__)
_TAIL = 8 << 20
"""Read first of an object: all of most, and of a large shard the footer and its last columns."""
_AT_ONCE = 256
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())
"""URLs of the folders that this thread holds."""


class Listed(NamedTuple):
    """What a listing says of a file."""

    size: int
    tag: str
    """Another one whenever the file was written again: its time, ETag or generation."""


class HashingFile:
    """A write-only file that hashes what passes through, so that a shard is never read again for its sha256."""

    def __init__(self, raw: IO[bytes], path: str) -> None:
        self._raw, self._path = raw, path
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._sha256.update(view)
        self.size += view.nbytes
        with write_errors(self._path):
            self._raw.write(view)
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Storage:
    """A folder, local or remote. Names are relative, with forward slashes."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.fs, self.root = file_system(root)
        self.is_local = is_local(self.fs)
        self.is_object_store = is_object_store(self.fs)
        """Files appear whole, under their own name, and cannot be added to; folders need not be made."""

    @property
    def url(self) -> str:
        """For people and other processes; absolute where it is local: a worker may have another working directory."""
        return str(self.root) if self.is_local else str(self.fs.unstrip_protocol(self.root))

    def path(self, name: str) -> str:
        """Full path in the file system (without its protocol)."""
        return posixpath.join(self.root, name) if name else str(self.root)

    def exists(self, name: str = "") -> bool:
        return bool(self.fs.exists(self.path(name)))

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """File names in `folder` that end in `suffix`, sorted; nothing where there is no such folder."""
        try:
            found = self.fs.ls(self.path(folder), detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(n for n in (posixpath.basename(p.rstrip("/")) for p in found) if n.endswith(suffix))

    def listed(self, folder: str) -> dict[str, Listed]:
        """The files in `folder` by name, with what the listing itself says of them: a request for a thousand."""
        if self.is_local:
            try:
                with os.scandir(self.path(folder)) as entries:
                    files = ((entry.name, entry.stat()) for entry in entries if not entry.is_dir())
                    return {name: Listed(stat.st_size, str(stat.st_mtime_ns)) for name, stat in files}
            except (FileNotFoundError, NotADirectoryError):
                return {}
        try:
            found = self.fs.ls(self.path(folder), detail=True, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        tags = ("ETag", "generation", "LastModified", "mtime", "created")
        return {
            posixpath.basename(info["name"]): Listed(
                int(info["size"] or 0), str(next((info[tag] for tag in tags if info.get(tag)), ""))
            )
            for info in found
            if info["type"] == "file"
        }

    def open(self, name: str) -> IO[bytes]:
        """To read. From an object store the end comes first, with one request: often that is all there is."""
        path = self.path(name)
        if self.is_object_store:
            with store_errors(path):
                tail = self.fs.cat_file(path, start=-_TAIL)
            if len(tail) < _TAIL:
                return io.BytesIO(tail)
            return cast(IO[bytes], Ranges(self.fs, path, tail))
        return self.fs.open(path, "rb")

    def open_whole(self, name: str) -> IO[bytes]:
        """To read all of it, and parts again: an object is fetched once, to a temporary file where it is large."""
        path = self.path(name)
        return whole_object(self.fs, path) if self.is_object_store else self.fs.open(path, "rb")

    def read_bytes(self, name: str) -> bytes:
        with self.open_whole(name) as file:
            return file.read()

    def read_many(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """The contents of small files, in their order; None for one that is not there. At once where that helps."""
        if not self.is_object_store:
            for name in names:
                try:
                    yield self.read_bytes(name)
                except FileNotFoundError:
                    yield None
            return
        for start in range(0, len(names), _AT_ONCE):
            paths = [self.path(name) for name in names[start : start + _AT_ONCE]]
            with store_errors(self.url):
                found = self.fs.cat_ranges(paths, [0] * len(paths), [None] * len(paths), on_error="return")
                for data in found:
                    if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                        raise data
            yield from (None if isinstance(data, Exception) else bytes(data) for data in found)

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise BadInput(
                f"{self.url}/{name} is not valid JSON ({error}); it was damaged after it was written"
            ) from error

    def size(self, name: str) -> int:
        return int(self.fs.size(self.path(name)))

    def sha256(self, name: str) -> str:
        with self.open_whole(name) as file:
            return sha256_of(file)

    def remove(self, name: str) -> None:
        path = self.path(name)
        with write_errors(path), contextlib.suppress(FileNotFoundError, NotADirectoryError), store_errors(path):
            self.fs.rm(path, recursive=True)

    def remove_empty(self, folder: str) -> None:
        """A folder, unless something is in it; on an object store there are none."""
        if not self.is_object_store:
            with contextlib.suppress(OSError, NotImplementedError):
                self.fs.rmdir(self.path(folder))

    def remove_files(self, names: Sequence[str]) -> None:
        """Files that may be gone already: a request for a thousand where they are objects."""
        if not self.is_object_store:
            for name in names:
                self.remove(name)
        elif names:
            with contextlib.suppress(FileNotFoundError), store_errors(self.url):
                self.fs.rm([self.path(name) for name in names])

    def rename(self, old: str, new: str) -> None:
        """`new` is replaced where it exists; at once where the storage is local."""
        with write_errors(self.path(new)):
            if self.is_local:
                os.replace(self.path(old), self.path(new))
            else:
                self.fs.mv(self.path(old), self.path(new))

    @contextlib.contextmanager
    def write(self, name: str, *, durable: bool = True) -> Iterator[HashingFile]:
        """A file that takes its name only when the block ends well; nothing is left of it when it does not.

        durable: on the disk, not in its cache, before it takes its name (local files only).
        """
        final = self.path(name)
        if self.is_object_store:
            with tempfile.NamedTemporaryFile(prefix="cratedig-") as whole:
                file = HashingFile(whole, whole.name)
                yield file
                with write_errors(whole.name):
                    whole.flush()
                self._put(final, whole.name)
            return
        temporary = posixpath.join(posixpath.dirname(final), f".tmp-{uuid.uuid4().hex}")
        with write_errors(final):
            raw = self._begin(temporary)
        try:
            file = HashingFile(raw, final)
            yield file
            with write_errors(final):
                raw.flush()
                if self.is_local and durable:
                    os.fsync(raw.fileno())
                raw.close()
                if self.is_local:
                    os.replace(temporary, final)
                else:
                    self.fs.mv(temporary, final)
        except BaseException:
            with contextlib.suppress(Exception):
                raw.close()
            with contextlib.suppress(Exception):
                self.fs.rm(temporary)
            raise

    def _begin(self, path: str) -> IO[bytes]:
        """A new file; its folder is made where it is not there, again where somebody has removed it, empty, since."""
        for _ in range(10):
            try:
                return cast(IO[bytes], self.fs.open(path, "wb"))
            except FileNotFoundError:
                self.fs.makedirs(posixpath.dirname(path), exist_ok=True)
        return cast(IO[bytes], self.fs.open(path, "wb"))

    def _put(self, path: str, content: str | bytes) -> None:
        """An object at once: the file of that name, or these bytes."""
        with write_errors(path), store_errors(path):
            if isinstance(content, str):
                self.fs.put_file(content, path)
            else:
                self.fs.pipe_file(path, content)

    def write_bytes(self, name: str, data: bytes, *, durable: bool = True) -> None:
        if self.is_object_store:
            self._put(self.path(name), data)
            return
        with self.write(name, durable=durable) as file:
            file.write(data)

    def write_json(self, name: str, value: Any, *, durable: bool = True) -> None:
        """Sorted keys and a newline at the end: the same value is the same bytes."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self.write_bytes(name, text.encode(), durable=durable)

    @contextlib.contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Hold the folder alone while writing into it; the lock is gone, or not renewed, when its process has ended.
        Nothing more where the caller holds it already.

        part: the name of what is held of it: other parts may be held at the same time, the whole may not.
        Raises BadInput where another process, or thread, holds it. Where the storage has no way to a lock nothing is
        held, and a warning says so.
        """
        if self.url in _held.get():
            yield
            return
        with contextlib.ExitStack() as held:
            with write_errors(self.path(".lock")):
                self._hold(held, part)
            before = _held.set(_held.get() | {self.url})
            try:
                yield
            finally:
                _held.reset(before)

    def _hold(self, held: contextlib.ExitStack, part: str) -> None:
        whole, mine = ".lock", f".lock-{part}" if part else ".lock"
        what = f"part {part} of {self.url}" if part else self.url
        if self.is_local and sys.platform != "win32":
            Path(self.root).mkdir(parents=True, exist_ok=True)
            held.enter_context(hold_file(Path(self.path(whole)), self.url, shared=bool(part)))
            if part:
                held.enter_context(hold_file(Path(self.path(mine)), what))
        elif not self.is_local:
            if (record := self.record(mine)) is None:
                _log.warning("%s knows no conditional writes: nothing keeps two runs on it apart", self.url)
                return
            held.enter_context(hold_record(record, what))
            if part and (record := self.record(whole)) is not None:
                refuse_held(record, self.url)
        for name in [] if part else self.list(""):  # what parts hold, or have left behind
            if name.startswith(".lock-"):
                if (not self.is_local or name.endswith(LEASE)) and (record := self.record(name)) is not None:
                    refuse_held(record, self.url)
                self.remove(name)

    def record(self, name: str) -> Record | None:
        """A small record that several processes agree on (`pipeline.locks`); None where the storage knows none."""
        if self.is_local:
            Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)
            return FileRecord(Path(self.path(name)))
        objects = tagged_objects(self.fs)
        return None if objects is None else ObjectRecord(objects, self.path(name), self.fs.rm_file)

    def sweep(self, folder: str) -> int:
        """Remove what interrupted writers left in `folder`; returns how many files that were."""
        if self.is_object_store:
            return 0
        stale = [n for n in self.list(folder) if n.startswith(".tmp-")]
        for name in stale:
            self.remove(posixpath.join(folder, name))
        return len(stale)
