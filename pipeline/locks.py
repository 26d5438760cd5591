"""Holding a folder alone: by flock where the file system knows it, else by a lease, a small record that is renewed.

A lease works wherever a record can be created if there is none and replaced if it is still the one that was read: on
file systems without flock (`FileRecord`), and on object stores by their conditional writes (`ObjectRecord`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import BadInput, RunFailed
from pipeline.process import is_gone, this_process
from pipeline.remote import TaggedObjects

__all__ = ["LEASE", "FileRecord", "ObjectRecord", "Record", "hold_file", "hold_record", "refuse_held"]

LEASE = ".lease"
RENEW_S = 10.0
STALE_S = 60.0
"""A record that has not been renewed for so long, by the clock of whoever wrote it, may be another's; see `_stale`."""
_WATCH_S = 2.5 * RENEW_S
_WITHOUT_FLOCK = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_log = logging.getLogger(__name__)


class Record(Protocol):
    """One small record that several processes agree on."""

    def create(self, new: bytes) -> bool:
        """Write it; False where there is one already."""
        ...

    def read(self) -> bytes | None: ...

    def replace(self, old: bytes, new: bytes) -> bool:
        """Put `new` in the place of `old`; False where it is not `old` any more."""
        ...

    def remove(self, old: bytes) -> bool:
        """Take it away; False where it is not `old` any more."""
        ...


@contextlib.contextmanager
def hold_file(path: Path, what: str, *, shared: bool = False) -> Iterator[None]:
    """Hold `what` alone by a lock on the file `path`; gone with the process that holds it, however that ends.

    shared: beside others who share it; it only keeps those out who want it alone.
    Raises BadInput where another process holds it.
    """
    import fcntl

    with path.open("a+") as file:  # a network's file system lets only a reader share
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(_held(what)) from error
        except OSError as error:
            if error.errno not in _WITHOUT_FLOCK:
                raise
            record = FileRecord(path.with_name(path.name + LEASE))
            if shared:
                refuse_held(record, what)
                yield
            else:
                with hold_record(record, what):
                    yield
            return
        yield


@contextlib.contextmanager
def hold_record(record: Record, what: str) -> Iterator[None]:
    """Hold `what` alone by a record that a thread renews every ten seconds.

    One whose holder is gone is taken over, and a warning says so: at once where the holder was a process of this
    machine, else when it has not been renewed for a minute. Raises BadInput where another process holds it, RunFailed
    at the end where another took it over meanwhile because this process stood still.
    """
    renewal = _Renewal(record, _acquire(record, what))
    try:
        yield
    finally:
        renewal.end()
    if renewal.lost:
        raise RunFailed(
            f"this process stood still for more than {STALE_S:.0f} s, and another one has begun to write into {what}; "
            "let it end, then run the same command again"
        )


def refuse_held(record: Record, what: str) -> None:
    """Raises BadInput where another process holds the record; nothing is held here."""
    found = record.read()
    if found is not None and not _stale(record, found, who := _parsed(found)):
        raise BadInput(_held(what, who))


def _acquire(record: Record, what: str) -> bytes:
    while True:
        mine = _now()
        if record.create(mine):
            return mine
        found = record.read()
        if found is None:
            continue  # given up in between
        who = _parsed(found)
        if not _stale(record, found, who):
            raise BadInput(_held(what, who))
        if record.replace(found, mine):
            _log.warning("the lock of %s was left behind by %s, who is gone; taken over", what, _name(who))
            return mine


def _stale(record: Record, found: bytes, who: dict[str, Any]) -> bool:
    """Clocks of machines differ, so an old record is also watched for a while: one that is renewed is not stale."""
    if is_gone(who):
        return True
    if time.time() - who.get("renewed", 0.0) < STALE_S:
        return False
    deadline = time.monotonic() + _WATCH_S
    while time.monotonic() < deadline:
        if record.read() != found:
            return False
        time.sleep(min(1.0, RENEW_S / 2))
    return True


class _Renewal:
    """Renews a record until it is told to end, or finds that it is another's."""

    def __init__(self, record: Record, mine: bytes) -> None:
        self._record, self._mine = record, mine
        self._over = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            new = _now()
            try:
                self.lost = not self._record.replace(self._mine, new)
            except (OSError, BadInput, RunFailed):
                continue  # the next time, perhaps
            if self.lost:
                return
            self._mine = new

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        if not self.lost:
            with contextlib.suppress(OSError):
                self.lost = not self._record.remove(self._mine)


class FileRecord:
    """A record in a file of its own, with nothing but O_EXCL and rename."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, new: bytes) -> bool:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with open(fd, "wb") as file:
            file.write(new)
        return True

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, old: bytes, new: bytes) -> bool:
        with self._changing() as temporary:
            if self.read() != old:
                return False
            temporary.write_bytes(new)
            os.replace(temporary, self._path)
            return True

    def remove(self, old: bytes) -> bool:
        with self._changing():
            if self.read() != old:
                return False
            self._path.unlink()
            return True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Path]:
        """Changes exclude each other by a second file, which exists for milliseconds; yields a name to write under.

        One that is older than RENEW_S by the file system's own clock was left by a process that died just then.
        """
        guard = self._path.with_name(self._path.name + ".change")
        temporary = self._path.with_name(f".tmp-{uuid.uuid4().hex}")
        while True:
            try:
                os.close(os.open(guard, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                break
            except FileExistsError:
                temporary.touch()
                with contextlib.suppress(FileNotFoundError):
                    if temporary.stat().st_mtime - guard.stat().st_mtime > RENEW_S:
                        guard.unlink()
                temporary.unlink()
                time.sleep(0.02)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
            guard.unlink(missing_ok=True)


class ObjectRecord:
    """A record in an object of a store, by writes on condition: a renewal is one request."""

    def __init__(self, objects: TaggedObjects, path: str, remove: Callable[[str], None]) -> None:
        self._objects, self._path, self._remove = objects, path, remove
        self._seen: tuple[bytes, str] | None = None
        """The content that was last read or written, and its tag."""

    def create(self, new: bytes) -> bool:
        return self._put(new, "")

    def read(self) -> bytes | None:
        self._seen = self._objects.get(self._path)
        return self._seen[0] if self._seen else None

    def replace(self, old: bytes, new: bytes) -> bool:
        if (self._seen is None or self._seen[0] != old) and self.read() != old:
            return False
        assert self._seen is not None
        return self._put(new, self._seen[1])

    def remove(self, old: bytes) -> bool:
        if self.read() != old:
            return False
        self._remove(self._path)
        return True

    def _put(self, new: bytes, tag: str) -> bool:
        """A write whose answer was lost is sent again by the driver and then refused: it is looked at."""
        if (tag_now := self._objects.put(self._path, new, tag)) is not None:
            self._seen = new, tag_now
            return True
        return self.read() == new


def _now() -> bytes:
    return json.dumps({**this_process(), "renewed": time.time(), "token": uuid.uuid4().hex}).encode()


def _parsed(found: bytes) -> dict[str, Any]:
    """Nothing known of one that is half written, or not ours: it is stale when it stays so."""
    try:
        who = json.loads(found)
        return {**who, "pid": int(who["pid"]), "renewed": float(who["renewed"])}
    except (ValueError, KeyError, TypeError):
        return {}


def _held(what: str, who: dict[str, Any] | None = None) -> str:
    name = f" ({_name(who)})" if who else ""
    return f"another cratedig{name} is writing into {what}; wait for it, or give another output folder"


def _name(who: dict[str, Any]) -> str:
    return f"process {who['pid']} on {who['host']}" if {"pid", "host"} <= who.keys() else "an unknown process"
