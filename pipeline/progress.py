"""Signs of life and of failure: small files that a worker writes while it has a shard, the same on every runner."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import CratedigError
from pipeline.installation import explain_fault, is_fault
from pipeline.process import is_gone, this_process
from pipeline.storage import Storage

__all__ = ["Failure", "Heartbeat", "Snapshot", "progress_folder", "read_failure", "read_heartbeats", "record_failure"]

_BEAT_EVERY_S = 0.5


def progress_folder(folder: str) -> str:
    """Where the signs of the job that writes `folder` lie; it is removed when the job has ended."""
    return f".progress/{folder.replace('/', '-')}"


class Heartbeat:
    """Says how far a shard has come, at most twice a second; failing to say so never fails the work."""

    def __init__(self, storage: Storage, folder: str, shard: int) -> None:
        self._storage, self._name = storage, f"{progress_folder(folder)}/shard-{shard:05d}.json"
        self._shard, self._last = shard, 0.0

    def __call__(self, counts: Mapping[str, int]) -> None:
        now = time.monotonic()
        if now - self._last < _BEAT_EVERY_S:
            return
        self._last = now
        with contextlib.suppress(OSError, CratedigError):
            beat = {"shard": self._shard, "worker": this_process(), "time": time.time(), "counts": dict(counts)}
            self._storage.write_json(self._name, beat, durable=False)

    def end(self) -> None:
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
    """The sum over all shards in work."""
    counts: Counter[str] = Counter()
    beats: dict[int, float] = {}
    orphans: list[int] = []
    where = progress_folder(folder)
    for name in storage.list(where, ".json"):
        if not name.startswith("shard-"):
            continue
        try:
            beat = storage.read_json(f"{where}/{name}")
            counts.update({str(k): int(v) for k, v in beat["counts"].items()})
            beats[int(beat["shard"])] = float(beat["time"])
            if is_gone(beat["worker"]):
                orphans.append(int(beat["shard"]))
        except (OSError, CratedigError, KeyError, TypeError, ValueError):
            continue  # it ended between the listing and the reading
    return Snapshot(counts=counts, beats=beats, orphans=tuple(orphans))


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
    with contextlib.suppress(OSError, CratedigError):
        storage.write_json(
            _failure_name(folder, shard),
            {
                "message": explain_fault(error) if is_fault(error) else str(error) or repr(error),
                "final": isinstance(error, CratedigError) or is_fault(error),
                "traceback": "".join(traceback.format_exception(error)),
            },
            durable=False,
        )


def read_failure(storage: Storage, folder: str, shard: int | None) -> Failure | None:
    """What was recorded for `shard`, once: reading it takes it away."""
    name = _failure_name(folder, shard)
    if not storage.exists(name):
        return None
    failure = Failure(**storage.read_json(name))
    storage.remove(name)
    return failure


def _failure_name(folder: str, shard: int | None) -> str:
    return f"{progress_folder(folder)}/failed-{'start' if shard is None else f'{shard:05d}'}.json"
