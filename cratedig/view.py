"""Progress for people: a live line on a terminal, plain lines elsewhere; both read the markers and heartbeats."""

from __future__ import annotations

import posixpath
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from pipeline.crate.ledger import checked, read_markers
from pipeline.crate.shards import marker_name
from pipeline.progress import read_heartbeats

if TYPE_CHECKING:
    from beam_jobs.engine import OnTick
    from beam_jobs.job import ShardJob

__all__ = ["JobView", "duration"]

More = Callable[[Counter[str], float], str]

_PLAIN_EVERY_S = 10.0
_LIVE_EVERY_S = 0.5
_REMOTE_EVERY_S = 10.0


class JobView:
    """Shows one job at a time: shards, clips and clips per second, rejects, time left.

    with JobView() as view:
        run_job(job, engine, view.watch(job))
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._job: ShardJob | None = None
        self._shown = False

    def __enter__(self) -> JobView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_line()

    def watch(self, job: ShardJob, more: More = lambda done, seconds: "") -> OnTick:
        """Begin to show `job`; the result is to be called while it runs, and when it has ended.

        more: what else to say of the counts of the shards done since now, and the seconds that they took.
        """
        self._job = job
        self._state = _JobState(job, more)
        self._next = 0.0 if self._live else time.monotonic() + _PLAIN_EVERY_S
        if self._state.skipped:
            self._write(f"{job.title}: {self._state.skipped} of {job.shard_count} shards are done already")
        return self._tick

    def _tick(self, ended: bool) -> None:
        if self._job is None or (time.monotonic() < self._next and not ended):
            return
        self._next = time.monotonic() + (_LIVE_EVERY_S if self._live else _PLAIN_EVERY_S)
        text = self._state.line(ended=ended)
        if self._live:
            self._rewrite(text)
        else:
            self._write(text)
        if ended:
            self._end_line()
            self._job = None

    def _end_line(self) -> None:
        if self._shown:
            self._out.write("\n")
            self._shown = False

    def say(self, text: str) -> None:
        """A line of its own."""
        self._end_line()
        self._write(text)

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def _rewrite(self, text: str) -> None:
        self._out.write("\r\x1b[2K" + text)
        self._out.flush()
        self._shown = True


class _JobState:
    """What markers and heartbeats say about a job."""

    def __init__(self, job: ShardJob, more: More) -> None:
        self._job, self._storage, self._more = job, job.storage(), more
        self._left = set(job.todo())
        self.todo = len(self._left)
        self.skipped = job.shard_count - self.todo
        self._done: Counter[str] = Counter()
        self._started = time.monotonic()
        self._folders: dict[str, dict[str, int]] = {}
        """Folder -> name of a marker that is awaited -> its shard."""
        for shard in sorted(self._left):
            name = marker_name(*self._job.at(shard))
            self._folders.setdefault(posixpath.dirname(name), {})[posixpath.basename(name)] = shard
        self._looked: dict[str, float] = {}

    def line(self, *, ended: bool = False) -> str:
        """Such as `clips: 12 of 16 shards, 61 clips (8.3/s), 3 rejects, 4 s left`."""
        signs = read_heartbeats(self._storage, self._job.folder)
        self._look_for_markers(signs.beats, now=ended)
        working = signs.counts
        seconds = time.monotonic() - self._started
        unit = next((unit for unit in ("captions", "songs") if unit in self._done or unit in working), "clips")
        units = self._done[unit] + (working[unit] if self._left else 0)
        rejects = sum(n for name, n in (self._done + working).items() if name.startswith(("track:", "clip:")))
        shards = self._job.shard_count - len(self._left)
        rate = f" ({units / max(seconds, 0.1):,.1f}/s)" if units else ""
        parts = [f"{self._job.title}: {shards} of {self._job.shard_count} shards"]
        if units or not self._left:
            parts.append(f"{units:,} {unit}{rate}")
        if heard := working["seconds_decoded"]:
            parts.append(f"{duration(heard)} of audio decoded of the tracks in work")
        if self._left and not units and not heard:
            first = f"at the first {'tracks' if unit == 'clips' else unit}"
            parts.append(f"{first if working else 'workers start'} since {duration(seconds)}")
        if rejects:
            parts.append(f"{rejects} rejects")
        if self._left and len(self._left) < self.todo:
            parts.append(f"{duration(seconds / (self.todo - len(self._left)) * len(self._left))} left")
        elif not self._left:
            parts.append(f"in {duration(seconds)}")
        return ", ".join(filter(None, [*parts, self._more(self._done, seconds)]))

    def _look_for_markers(self, beats: Iterable[int], *, now: bool) -> None:
        """Read new markers, in folders that have changed; on an object store, every ten seconds those in work."""
        in_work = {self._job.at(shard)[0] for shard in beats}
        for number, (folder, awaited) in enumerate(list(self._folders.items())):
            if not now and not self._has_changed(folder, number == 0 or folder in in_work):
                continue
            if self._storage.is_object_store:
                markers = read_markers(self._storage, folder)[0]
            else:
                names = awaited.keys() & set(self._storage.list(folder, ".done.json"))
                found = self._storage.read_many([f"{folder}/{name}" for name in sorted(names)])
                markers = {n: m for n, data in zip(sorted(names), found, strict=True) if (m := checked(data))}
            for name in awaited.keys() & markers.keys():
                self._left.discard(awaited.pop(name))
                self._done.update(markers[name]["counts"])
            if not awaited:
                del self._folders[folder]

    def _has_changed(self, folder: str, in_work: bool) -> bool:
        """Whether it is worth listing a folder again; its time may be as coarse as two of our looks."""
        now = time.monotonic()
        if not self._storage.is_local:
            if not in_work or now - self._looked.get(folder, -_REMOTE_EVERY_S) < _REMOTE_EVERY_S:
                return False
            self._looked[folder] = now
            return True
        try:
            changed = Path(self._storage.path(folder)).stat().st_mtime
        except FileNotFoundError:
            return False
        if changed == self._looked.get(folder) and time.time() - changed > 2:
            return False
        self._looked[folder] = changed
        return True


def duration(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `5 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
