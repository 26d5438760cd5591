"""Runs a job to its end: on this machine in lanes, or on any Beam runner; what fails is tried again, within bounds."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Literal

from beam_jobs.cpus import usable_workers
from beam_jobs.job import ShardJob
from pipeline.crate.ledger import Ledger, fold
from pipeline.errors import BadInput, CratedigError, RunFailed
from pipeline.process import kill_group
from pipeline.progress import Failure, forget_beats, progress_folder, read_failure, read_heartbeats

if TYPE_CHECKING:
    import apache_beam as beam

__all__ = ["Engine", "OnTick", "beam_pipeline", "run_job"]

OnTick = Callable[[bool], None]

_TICK_S = 0.25
_ORPHAN_GRACE_S = 2.0
"""A runner that can tell its worker's death by itself gets this long to do so."""
_SPAWN = multiprocessing.get_context("spawn")  # faiss and torch must not be forked after use


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How work is carried out; nothing of it reaches the bytes.

    As a context manager it keeps its worker processes from one job to the next.
    """

    workers: int = field(default_factory=usable_workers)
    runner: str = "local"
    """`local`, or the name of a Beam runner such as PortableRunner, FlinkRunner, DataflowRunner."""
    beam_options: str = ""
    """Beam's own options in one string, such as `--job_endpoint=localhost:8099 --environment_type=LOOPBACK`."""
    attempts: int = 3
    """A shard that has failed this often is set aside; the others go on."""
    stall_s: float = 900.0
    """A worker without a sign of life for so long is ended, and its shard tried again."""

    _pool: _LanePool = field(default_factory=lambda: _LanePool(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"workers is {self.workers}; expected 1 or more")

    def __enter__(self) -> Engine:
        self._pool.keep = True
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.keep = False
        self._pool.close()


def run_job(job: ShardJob, engine: Engine, on_tick: OnTick = lambda ended: None) -> int:
    """Do the shards of `job` that are not done; returns how many that were.

    on_tick: called a few times a second while work goes on, with False, and once when it has ended, with True.
    Raises RunFailed when a shard keeps failing, after all others are done; at once for an error that no second try
    can mend.
    """
    storage = job.storage()
    with storage.lock():
        _clear(job)
        todo = job.todo()
        if todo:
            try:
                (_run_lanes if engine.runner == "local" else _run_beam)(job, engine, todo, on_tick)
            except BaseException:
                with contextlib.suppress(OSError, CratedigError):  # what went wrong may befall this, too
                    on_tick(True)
                    _clear(job)
                raise
            on_tick(True)
            _clear(job)
            for folder in {job.at(shard)[0] for shard in todo}:
                fold(storage, folder)
    return len(todo)


def _clear(job: ShardJob) -> None:
    """Remove what workers that are gone have left behind."""
    storage = job.storage()
    storage.remove(progress_folder(job.folder))
    forget_beats(storage, job.folder)
    if storage.is_object_store:
        return
    for folder in {job.at(shard)[0] for shard in range(job.shard_count)}:
        storage.sweep(folder)
    if not storage.list(".progress"):
        storage.remove(".progress")


def beam_pipeline(engine: Engine) -> beam.Pipeline:
    """A pipeline on the engine's runner; on this machine, in this process, where that is `local`."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    given = shlex.split(engine.beam_options)
    # DirectRunner means FnApiRunner here: since Beam 2.6x it would first try to download another runner.
    if engine.runner == "DirectRunner" and not any(option.startswith("--direct_") for option in given):
        given += ["--direct_running_mode=multi_processing", f"--direct_num_workers={engine.workers}"]
    if engine.runner in ("local", "DirectRunner"):
        return beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(given))
    return beam.Pipeline(options=PipelineOptions([f"--runner={engine.runner}", *given]))


class _Ledger:
    """Which shards failed, how often and with what words."""

    def __init__(self, job: ShardJob, attempts: int) -> None:
        self._job, self._attempts = job, attempts
        self._failures: Counter[int | None] = Counter()
        self._words: dict[int | None, str] = {}

    def record(self, shard: int | None, otherwise: str) -> bool:
        """Note a failure; True when the shard is to be tried again. Raises RunFailed where that is pointless."""
        failure = read_failure(self._job.storage(), self._job.folder, shard) or Failure(
            message=otherwise, final=False, traceback=""
        )
        if failure.final:
            raise RunFailed(failure.message)
        self._failures[shard] += 1
        self._words[shard] = failure.message
        if self._failures[shard] < self._attempts:
            return True
        if shard is None:
            raise RunFailed(
                f"workers of {self._job.folder} end before they begin, {self._attempts} times: {failure.message}"
            )
        return False

    def close(self) -> None:
        given_up = sorted(s for s, n in self._failures.items() if s is not None and n >= self._attempts)
        if given_up:
            first = given_up[0]
            raise RunFailed(
                f"{len(given_up)} of {self._job.shard_count} shards of {self._job.folder} failed {self._attempts} "
                f"times each; shard {first}: {self._words[first]}. All others are done; run the same command again "
                "to try these"
            )


class _Lane:
    """One worker process and the shard it has."""

    def __init__(self) -> None:
        from beam_jobs.lane import lane_main

        self.line, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=lane_main, args=(theirs, os.getpid()))
        self.process.start()
        theirs.close()
        self.shard: int | None = None
        self.since, self.last_beat = time.monotonic(), 0.0

    def start(self, job: ShardJob) -> None:
        self.shard, self.since = None, time.monotonic()
        self.line.send(job)

    def give(self, shard: int) -> None:
        self.shard, self.since = shard, time.monotonic()
        self.line.send_bytes(str(shard).encode())

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.line.close()

    def last_words(self) -> str:
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its worker was ended by {signal.Signals(-code).name} (out of memory, perhaps)"
        return f"its worker ended with exit code {code}"


class _LanePool:
    """Lanes between two jobs."""

    def __init__(self) -> None:
        self.keep = False
        self._idle: list[_Lane] = []

    def take(self, job: ShardJob) -> _Lane:
        while self._idle:
            lane = self._idle.pop()
            if lane.process.is_alive():
                lane.start(job)
                return lane
            lane.end()
        lane = _Lane()
        lane.start(job)
        return lane

    def put(self, lane: _Lane) -> None:
        if self.keep:
            self._idle.append(lane)
        else:
            lane.end()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()


def _run_lanes(job: ShardJob, engine: Engine, todo: list[int], on_tick: OnTick) -> None:
    queue = deque(todo)
    ledger = _Ledger(job, engine.attempts)
    heard = Ledger(job.storage(), job.folder)
    lanes: list[_Lane] = []
    next_stall_check = time.monotonic() + 5
    try:
        while queue or lanes:
            while queue and len(lanes) < min(
                engine.workers, len(queue) + sum(lane.shard is not None for lane in lanes)
            ):
                lanes.append(engine._pool.take(job))
            lines: dict[Connection, _Lane] = {lane.line: lane for lane in lanes}
            for line in wait(list(lines), timeout=_TICK_S):
                lane = lines[line]  # type: ignore[index]
                answer = _answer(lane, queue, heard)
                if answer == "idle":
                    lanes.remove(lane)
                    engine._pool.put(lane)
                elif answer == "dead":
                    lane.process.join(timeout=10)
                    lane.end()
                    lanes.remove(lane)
                    if ledger.record(lane.shard, lane.last_words()) and lane.shard is not None:
                        queue.append(lane.shard)
            if time.monotonic() > next_stall_check:
                next_stall_check = time.monotonic() + 5
                _end_stalled(job, engine, lanes)
            heard.flush()
            on_tick(False)
    finally:
        for lane in lanes:
            lane.end()
        heard.flush(now=True)
    ledger.close()


def _answer(lane: _Lane, queue: deque[int], heard: Ledger) -> Literal["working", "idle", "dead"]:
    """Read what the lane says; hand it its next shard, or tell it that there is none."""
    try:
        said = lane.line.recv_bytes()
        if heard.hears(said):
            return "working"
        if said == b"idle":
            return "idle"
        if lane.shard is not None:
            heard.shard_ended(lane.shard)
        lane.shard = None
        if queue:
            lane.give(queue.popleft())
        else:
            lane.line.send_bytes(b"-1")
    except (EOFError, OSError):
        return "dead"
    return "working"


def _end_stalled(job: ShardJob, engine: Engine, lanes: list[_Lane]) -> None:
    beats = read_heartbeats(job.storage(), job.folder).beats
    for lane in lanes:
        if lane.shard is None:
            continue
        if (beat := beats.get(lane.shard, 0.0)) != lane.last_beat:
            lane.last_beat, lane.since = beat, time.monotonic()
        if time.monotonic() - lane.since > engine.stall_s:
            lane.process.kill()  # its line ends; the loop above records the failure


def _run_beam(job: ShardJob, engine: Engine, todo: list[int], on_tick: OnTick) -> None:
    """One Beam pipeline over all that is to do, in a process of its own, begun again on what is left."""
    ledger = _Ledger(job, engine.attempts)
    while todo:
        job.storage().remove(progress_folder(job.folder))  # the signs of those who are gone
        process = _SPAWN.Process(target=_beam_main, args=(job, engine, todo, os.getpid()))
        process.start()
        try:
            suspects = _watch(process, job, engine, on_tick)
        finally:
            if process.pid is not None:
                kill_group(process.pid)
            process.join()
        left = job.todo()
        if not left:
            return
        if process.exitcode == 0:
            raise RunFailed(f"{engine.runner} ended well but left shard {left[0]} of {job.folder} undone; run it again")
        words = f"the pipeline on {engine.runner} ended without it (exit code {process.exitcode})"
        blamed = [shard for shard in left if shard in suspects]
        if not blamed and ledger.record(None, words):
            blamed = []
        todo = [shard for shard in left if shard not in blamed or ledger.record(shard, words)]
    ledger.close()


def _watch(process: SpawnProcess, job: ShardJob, engine: Engine, on_tick: OnTick) -> set[int]:
    """Wait for the pipeline to end, or end it when a worker has died or nothing moves: runners may then hang for good.

    Returns the shards that were in work at the end.
    """
    last_life, last_beats, undone = time.monotonic(), dict[int, float](), len(job.todo())
    while process.is_alive():
        process.join(timeout=_TICK_S)
        on_tick(False)
        signs = read_heartbeats(job.storage(), job.folder)
        if signs.beats != last_beats:
            last_life, last_beats = time.monotonic(), signs.beats
        if signs.orphans:
            time.sleep(_ORPHAN_GRACE_S)
            if read_heartbeats(job.storage(), job.folder).orphans:
                return set(signs.orphans)
        if time.monotonic() - last_life > engine.stall_s:
            if (left := len(job.todo())) == undone:
                return set(signs.beats)
            undone, last_life = left, time.monotonic()
    return set(read_heartbeats(job.storage(), job.folder).beats)


def _beam_main(job: ShardJob, engine: Engine, todo: list[int], parent: int) -> None:
    from beam_jobs.job import run_shards
    from pipeline.process import die_with_parent

    os.setpgrp()  # so that the driver can end this process with all that it started
    die_with_parent(parent)
    with beam_pipeline(engine) as pipeline:
        run_shards(pipeline, job, todo)
