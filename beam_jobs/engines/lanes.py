"""A job in lanes: worker processes of this machine that ask for one shard after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Literal

from beam_jobs.engines.attempts import Attempts
from beam_jobs.engines.lane import lane_main
from beam_jobs.engines.parts import PartOfJob
from beam_jobs.job import ShardJob
from pipeline.crate.ledger import Ledger
from pipeline.progress import read_heartbeats

__all__ = ["LanePool", "run_lanes"]

_TICK_S = 0.25
_SPAWN = multiprocessing.get_context("spawn")  # faiss and torch must not be forked after use


class _Lane:
    """One worker process and the shard it has."""

    def __init__(self) -> None:
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


class LanePool:
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


def run_lanes(
    job: ShardJob,
    todo: list[int],
    attempts: Attempts,
    on_tick: Callable[[bool], None],
    *,
    pool: LanePool,
    workers: int,
    stall_s: float,
) -> None:
    """Do `todo` in at most `workers` lanes; one that dies, or gives no sign of life for `stall_s`, costs its shard."""
    queue = deque(todo)
    heard = Ledger(job.storage(), job.folder, alone=not isinstance(job, PartOfJob))
    lanes: list[_Lane] = []
    next_stall_check = time.monotonic() + 5
    try:
        while queue or lanes:
            while queue and len(lanes) < min(workers, len(queue) + sum(lane.shard is not None for lane in lanes)):
                lanes.append(pool.take(job))
            lines: dict[Connection, _Lane] = {lane.line: lane for lane in lanes}
            for line in wait(list(lines), timeout=_TICK_S):
                lane = lines[line]  # type: ignore[index]
                answer = _answer(lane, queue, heard)
                if answer == "idle":
                    lanes.remove(lane)
                    pool.put(lane)
                elif answer == "dead":
                    lane.process.join(timeout=10)
                    lane.end()
                    lanes.remove(lane)
                    if attempts.record(lane.shard, lane.last_words()) and lane.shard is not None:
                        queue.append(lane.shard)
            if time.monotonic() > next_stall_check:
                next_stall_check = time.monotonic() + 5
                _end_stalled(job, stall_s, lanes)
            heard.flush()
            on_tick(False)
    finally:
        for lane in lanes:
            lane.end()
        heard.flush(now=True)
    attempts.close()


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


def _end_stalled(job: ShardJob, stall_s: float, lanes: list[_Lane]) -> None:
    beats = read_heartbeats(job.storage(), job.folder).beats
    for lane in lanes:
        if lane.shard is None:
            continue
        if (beat := beats.get(lane.shard, 0.0)) != lane.last_beat:
            lane.last_beat, lane.since = beat, time.monotonic()
        if time.monotonic() - lane.since > stall_s:
            lane.process.kill()  # its line ends; the loop above records the failure
