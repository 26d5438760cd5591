"""Signs of life and of failure: small files that a worker writes while it has a shard, the same on every runner."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import BadInput, CratedigError
from pipeline.installation import explain_fault, is_fault
from pipeline.process import is_gone, this_process
from pipeline.storage import Storage

__all__ = [
    "Failure",
    "Heartbeat",
    "Snapshot",
    "beats_to",
    "failures_to",
    "forget_beats",
    "hear",
    "hear_failure",
    "progress_folder",
    "read_failure",
    "read_heartbeats",
    "record_failure",
]

_BEAT_EVERY_S = 0.5
_REMOTE_BEAT_EVERY_S = 10.0
"""On an object store, where each sign is a request: one object a worker, and none where its driver hears it."""

Beat = dict[str, Any]
_tell: Callable[[Beat], None] | None = None
_told_at = 0.0
_heard: dict[tuple[str, str], dict[int, Beat]] = {}
"""What a driver was told by workers that have a line to it: (storage, folder) -> shard -> its last sign."""
_report: Callable[[dict[str, Any]], None] | None = None
_reported: dict[tuple[str, str], dict[int | None, dict[str, Any]]] = {}
"""Failures that a driver was told of, as `_heard` has beats."""
_seen: dict[tuple[str, str], tuple[float, list[Beat]]] = {}
"""What was last read from an object store, and when."""


def progress_folder(folder: str) -> str:
    """Where the signs of the job that writes `folder` lie; it is removed when the job has ended."""
    return f".progress/{folder.replace('/', '-')}"


def beats_to(tell: Callable[[Beat], None]) -> None:
    """From now on tell signs of life that would lie on an object store to `tell`, which sees that the driver hears."""
    global _tell
    _tell = tell


def failures_to(report: Callable[[dict[str, Any]], None]) -> None:
    """From now on tell failures to `report`, which sees that the driver hears: their disk may be full."""
    global _report
    _report = report


def hear_failure(storage: Storage, folder: str, failure: dict[str, Any]) -> None:
    """A driver was told why a shard failed."""
    shard = failure.pop("shard")
    _reported.setdefault((storage.url, folder), {})[shard] = failure


def hear(storage: Storage, folder: str, beat: Beat) -> None:
    """A driver was told this of a shard."""
    _heard.setdefault((storage.url, folder), {})[int(beat["shard"])] = beat


def forget_beats(storage: Storage, folder: str, shard: int | None = None) -> None:
    """A shard, or all of a job, has ended."""
    if shard is None:
        _heard.pop((storage.url, folder), None)
        _seen.pop((storage.url, folder), None)
    else:
        _heard.get((storage.url, folder), {}).pop(shard, None)


class Heartbeat:
    """Says how far a shard has come, at most twice a second; failing to say so never fails the work."""

    def __init__(self, storage: Storage, folder: str, shard: int) -> None:
        self._storage, self._shard, self._last = storage, shard, 0.0
        name = f"worker-{socket.gethostname()}-{os.getpid()}" if storage.is_object_store else f"shard-{shard:05d}"
        self._name = f"{progress_folder(folder)}/{name}.json"

    def __call__(self, counts: Mapping[str, int]) -> None:
        global _told_at
        now = time.monotonic()
        if now - self._last < _BEAT_EVERY_S:
            return
        self._last = now
        beat = {"shard": self._shard, "worker": this_process(), "time": time.time(), "counts": dict(counts)}
        with contextlib.suppress(OSError, CratedigError):
            if not self._storage.is_object_store:
                self._storage.write_json(self._name, beat, durable=False)
            elif _tell is not None:
                _tell(beat)
            elif now - _told_at > _REMOTE_BEAT_EVERY_S:
                _told_at = now
                self._storage.write_json(self._name, beat, durable=False)

    def end(self) -> None:
        """On an object store the next shard's sign replaces this one's."""
        if not self._storage.is_object_store:
            with contextlib.suppress(OSError):
                self._storage.remove(self._name)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the shards that are being worked on have come to."""

    counts: Counter[str]
    beats: dict[int, float]
    """Shard -> time of its last sign of life, seconds since the epoch."""
    orphans: tuple[int, ...]
    """Shards whose worker was a process of this machine that is no more."""


def read_heartbeats(storage: Storage, folder: str) -> Snapshot:
    """The sum over all shards in work. From an object store they are read every ten seconds, however often asked."""
    counts: Counter[str] = Counter()
    beats: dict[int, float] = {}
    orphans: list[int] = []
    for beat in _beats(storage, folder):
        try:
            counts.update({str(k): int(v) for k, v in beat["counts"].items()})
            beats[int(beat["shard"])] = float(beat["time"])
            if is_gone(beat["worker"]):
                orphans.append(int(beat["shard"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return Snapshot(counts=counts, beats=beats, orphans=tuple(orphans))


def _beats(storage: Storage, folder: str) -> list[Beat]:
    key = storage.url, folder
    if key in _heard:
        return list(_heard[key].values())
    at, found = _seen.get(key, (-_REMOTE_BEAT_EVERY_S, []))
    if storage.is_object_store and time.monotonic() - at < _REMOTE_BEAT_EVERY_S:
        return found
    where, found = progress_folder(folder), []
    for name in storage.list(where, ".json"):
        if name.startswith(("shard-", "worker-")):
            with contextlib.suppress(OSError, CratedigError):  # it ended between the listing and the reading
                found.append(storage.read_json(f"{where}/{name}"))
    if storage.is_object_store:
        _seen[key] = time.monotonic(), found
    return found


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a worker gave up."""

    message: str
    final: bool
    """Trying again is pointless: the input, the model, the disk or the installation is at fault."""
    traceback: str


def record_failure(storage: Storage, folder: str, shard: int | None, error: BaseException) -> None:
    """Leave word of `error` where the driver finds it; runners wrap exceptions until nobody can read them.

    shard: None where the worker failed before it had one.
    """
    said = {
        "message": explain_fault(error) if is_fault(error) else str(error) or repr(error),
        "final": isinstance(error, CratedigError) or is_fault(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
    if _report is not None:
        _report({**said, "shard": shard})
    elif not storage.is_local or storage.exists():  # else there is no folder that anybody else sees
        with contextlib.suppress(OSError, CratedigError):
            storage.write_json(_failure_name(folder, shard), said, durable=False)


def read_failure(storage: Storage, folder: str, shard: int | None) -> Failure | None:
    """What was recorded for `shard`, once: reading it takes it away."""
    if (told := _reported.get((storage.url, folder), {}).pop(shard, None)) is not None:
        return Failure(**told)
    name = _failure_name(folder, shard)
    try:
        failure = Failure(**storage.read_json(name))
    except (FileNotFoundError, BadInput, TypeError):  # none, or the disk that it went to is full
        return None
    storage.remove(name)
    return failure


def _failure_name(folder: str, shard: int | None) -> str:
    return f"{progress_folder(folder)}/failed-{'start' if shard is None else f'{shard:05d}'}.json"
