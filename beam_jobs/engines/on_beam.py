"""Jobs on any Beam runner: one pipeline over all that is to do, watched, and begun again on what is left."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beam_jobs.engines.attempts import Attempts
from beam_jobs.engines.kept_job import KeptJob, State, forget_job, keep_job, kept_job
from beam_jobs.engines.runner_log import new_log
from beam_jobs.engines.runners import Runner
from beam_jobs.engines.submitter import Build, Submitter
from beam_jobs.job import ShardJob, run_shards
from pipeline.errors import RunFailed
from pipeline.progress import progress_folder, read_heartbeats

__all__ = ["InTurn", "Stage", "Submitters", "Work", "run_build", "run_on_beam", "settle_kept_job"]

_TICK_S = 0.25
_ORPHAN_GRACE_S = 2.0
"""A runner that can tell its worker's death by itself gets this long to do so."""
OnTick = Callable[[bool], None]
Note = Callable[[str], None]
Stage = Callable[[ShardJob], OnTick]
"""Told of a job before its progress is shown; returns what is called meanwhile."""
_LOOK_S = 5.0


class InTurn:
    """The progress of jobs that are done at once, shown one after the other: the next when nothing is left of one."""

    def __init__(self, jobs: Sequence[ShardJob], stage: Stage) -> None:
        self._waiting, self._stage = list(jobs), stage
        self._job: ShardJob | None = None
        self._next_look = 0.0

    def __call__(self, ended: bool) -> None:
        if self._job is None:
            self._begin()
        elif not ended and self._waiting and time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + _LOOK_S
            if not self._job.todo():
                self._show(True)
                self._begin()
        self._show(ended)
        while ended and self._waiting:
            self._begin()
            self._show(True)

    def _begin(self) -> None:
        self._job = self._waiting.pop(0)
        self._show = self._stage(self._job)


@dataclass
class Submitters:
    """At most one submitter, kept between jobs while `keep`; and the log of all."""

    runner: Runner
    note: Note
    keep: bool = False
    _idle: Submitter | None = field(default=None, init=False)
    log: Path | None = field(default=None, init=False)

    def open_log(self) -> Path:
        """Where the runner's words go; said when it is first needed."""
        if self.log is None:
            self.log = new_log(self.runner.name)
            self.note(f"{self.runner.name}: what it says goes to {self.log}")
        return self.log

    def take(self) -> Submitter:
        log = self.open_log()
        found, self._idle = self._idle, None
        return found or Submitter(self.runner, log)

    def put(self, submitter: Submitter) -> None:
        """One whose job ended well."""
        if self.keep and self._idle is None:
            self._idle = submitter
        else:
            submitter.end()

    def close(self) -> None:
        if self._idle is not None:
            self._idle.end()
            self._idle = None


@dataclass
class Work:
    """A job and what is left of it."""

    job: ShardJob
    todo: list[int]
    attempts: Attempts

    def left(self) -> list[int]:
        """Of what was asked for."""
        asked = set(self.todo)
        return [shard for shard in self.job.todo() if shard in asked] if asked else []


def run_on_beam(works: Sequence[Work], on_tick: OnTick, *, name: str, submitters: Submitters, stall_s: float) -> None:
    """Do all works on the runner, in one pipeline; RunFailed as `Attempts` says, or where a shard is left out.

    name: of the pipeline.
    """
    runner, first = submitters.runner.name, works[0].job
    while any(work.todo for work in works):
        for work in works:  # the signs of those who are gone
            work.job.storage().remove(progress_folder(work.job.folder))
        submitter = submitters.take()
        ended_well, kept = False, _keep(first, name, submitters.runner)
        try:
            submitter.submit(name, functools.partial(_build, [(work.job, work.todo) for work in works]))
            ended_well, suspects = _watch(submitter, works, kept, stall_s, on_tick)
        finally:
            if ended_well:
                submitters.put(submitter)
            else:
                submitter.end()
            if kept and (ended_well or kept.cancel() != "at work"):
                forget_job(first)
        left = {number: found for number, work in enumerate(works) if (found := work.left())}
        if ended_well and left:
            job, shards = next((works[number].job, shards) for number, shards in left.items())
            raise RunFailed(f"{runner} ended well but left shard {shards[0]} of {job.folder} undone; run it again")
        words = f"{submitter.words or f'the pipeline on {runner} was ended without it'}; see {submitters.log}"
        if left and not any((number, shard) in suspects for number, shards in left.items() for shard in shards):
            works[next(iter(left))].attempts.record(None, words, final=submitter.final)
        for number, work in enumerate(works):
            work.todo = [
                shard
                for shard in left.get(number, [])
                if (number, shard) not in suspects or work.attempts.record(shard, words, final=submitter.final)
            ]
    for work in works:
        work.attempts.close()


def _build(jobs: Sequence[tuple[ShardJob, list[int]]], pipeline: Any) -> None:
    for job, todo in jobs:
        if todo:
            run_shards(pipeline, job, todo)


def run_build(build: Build, name: str, submitters: Submitters) -> None:
    """A pipeline that is no shard job, to its end. Raises RunFailed where it fails."""
    submitter, ended_well = submitters.take(), False
    try:
        submitter.submit(name, build)
        while (state := submitter.wait(_TICK_S)) == "at work":
            pass
        ended_well = state == "done"
    finally:
        if ended_well:
            submitters.put(submitter)
        else:
            submitter.end()
    if not ended_well:
        raise RunFailed(f"{name} on {submitters.runner.name} failed: {submitter.words}; see {submitters.log}")


def settle_kept_job(job: ShardJob, runner: Runner | None, on_tick: OnTick, *, note: Note, stall_s: float) -> None:
    """What an earlier driver left at work on a cluster: waited for where this command uses that cluster, else ended.

    runner: this command's; None where it works on this machine.
    """
    kept = kept_job(job)
    if kept is None:
        return
    state = kept.state()
    if state == "at work" and runner is not None and runner.place == (kept.kind, kept.address):
        note(f"joined: {kept}, which an earlier command left at work (Ctrl-C cancels it)")
        try:
            state = _wait_for(kept, job, on_tick, stall_s)
        except BaseException:
            kept.cancel()
            forget_job(job)
            raise
    if state == "at work":
        state = kept.cancel()
        note(f"{'not cancelled' if state == 'at work' else 'cancelled'}: {kept}, which an earlier command left at work")
    if state == "unknown":
        cloud = f"; see gcloud dataflow jobs list --filter=name:{kept.name}" if kept.kind == "dataflow" else ""
        note(
            f"an earlier command left {kept}, and nobody answers for it{cloud}; what it still writes is the same bytes"
        )
    if state != "at work":
        forget_job(job)


def _keep(job: ShardJob, name: str, runner: Runner) -> KeptJob | None:
    """Note the job before it is there: a driver may be killed at any moment."""
    kind, address = runner.place
    if not kind:
        return None
    given = [option.partition("=")[2] for option in runner.options if option.startswith("--job_name=")]
    kept = KeptJob(name=given[-1] if given else name, kind=kind, address=address, since=time.time())
    keep_job(job, kept)
    return kept


class _Life:
    """Whether anything moves: heartbeats, or shards that get done."""

    def __init__(self, jobs: Sequence[ShardJob], stall_s: float) -> None:
        self._jobs, self._stall_s = jobs, stall_s
        self._last, self._beats, self._undone = time.monotonic(), dict[tuple[int, int], float](), self._count()

    def stalled(self, beats: dict[tuple[int, int], float]) -> bool:
        if beats != self._beats:
            self._last, self._beats = time.monotonic(), beats
        if time.monotonic() - self._last > self._stall_s:
            if (left := self._count()) == self._undone:
                return True
            self._undone, self._last = left, time.monotonic()
        return False

    def _count(self) -> int:
        return sum(len(job.todo()) for job in self._jobs)


def _signs(jobs: Sequence[ShardJob]) -> tuple[dict[tuple[int, int], float], set[tuple[int, int]]]:
    """(Job's number, shard) -> time of its last sign of life; and those whose worker is gone."""
    beats, orphans = dict[tuple[int, int], float](), set[tuple[int, int]]()
    for number, job in enumerate(jobs):
        seen = read_heartbeats(job.storage(), job.folder)
        beats |= {(number, shard): beat for shard, beat in seen.beats.items()}
        orphans |= {(number, shard) for shard in seen.orphans}
    return beats, orphans


def _watch(
    submitter: Submitter, works: Sequence[Work], kept: KeptJob | None, stall_s: float, on_tick: OnTick
) -> tuple[bool, set[tuple[int, int]]]:
    """Wait for the pipeline to end; or see that a worker has died or nothing moves: runners may then hang for good.

    Returns whether it ended well, and (work's number, shard) of those that were in work when it did not.
    """
    jobs = [work.job for work in works]
    life, known = _Life(jobs, stall_s), ""
    while (state := submitter.wait(_TICK_S)) == "at work":
        on_tick(False)
        if kept and submitter.job_id != known:
            known = submitter.job_id
            keep_job(jobs[0], replace(kept, job_id=known))
        beats, orphans = _signs(jobs)
        if orphans:
            time.sleep(_ORPHAN_GRACE_S)
            if orphans & _signs(jobs)[1] and submitter.wait(0) == "at work":
                submitter.words = submitter.words or "a worker has died"
                return False, orphans
        if life.stalled(beats):
            submitter.words = f"no sign of life for {stall_s:.0f} s"
            return False, set(beats)
    return state == "done", set(_signs(jobs)[0])


def _wait_for(kept: KeptJob, job: ShardJob, on_tick: OnTick, stall_s: float) -> State:
    life = _Life([job], stall_s)
    while (state := kept.state()) == "at work":
        time.sleep(_TICK_S)
        on_tick(False)
        if life.stalled(_signs([job])[0]):
            break
    return state
