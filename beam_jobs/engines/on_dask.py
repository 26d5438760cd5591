"""A job on dask.distributed: one task a shard, so that its scheduler deals them out, and a worker that dies costs what
it had.

Beam's own Dask runner makes partitions of 128 elements or more, and takes a Reshuffle for nothing: all shards of a job
then go to one worker. So shards are handed to the scheduler directly; each task runs the job's Beam step.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from beam_jobs.engines.attempts import Attempts
from beam_jobs.engines.runner_log import last_words
from beam_jobs.engines.runners import Runner, job_name
from beam_jobs.engines.submitter import speak_into
from beam_jobs.job import RunShard, ShardJob
from pipeline.errors import RunFailed
from pipeline.process import die_with_parent, end_group_with_this, kill_group
from pipeline.progress import read_heartbeats

__all__ = ["run_on_dask", "scheduler_address"]

_TICK_S = 0.25
_AT_LEAST = 8
"""Tasks in the scheduler's hands: twice as many as there are threads, so that none waits for the driver."""
_SPAWN = multiprocessing.get_context("spawn")
_one_at_a_time = threading.Lock()
_opened: dict[bytes, RunShard] = {}
"""Of a worker's process: the step that it has open, by its pickled job; one job at a time."""


def scheduler_address(options: Any) -> str:
    """Such as `tcp://host:8786`; empty where a scheduler is started on this machine."""
    from apache_beam.runners.dask.dask_runner import DaskOptions

    return options.view_as(DaskOptions).address or ""


def run_on_dask(
    job: ShardJob,
    todo: list[int],
    attempts: Attempts,
    on_tick: Callable[[bool], None],
    *,
    runner: Runner,
    log: Path,
    note: Callable[[str], None],
    stall_s: float,
) -> None:
    """Do `todo` on the scheduler's workers, and say how many shards each did.

    A scheduler forgets the tasks of a driver that is gone; a worker ends the shard that it has in hand.
    """
    with _client(runner, log) as client:
        shares = _Tasks(client, job, attempts, stall_s).run(todo, on_tick)
    said = ", ".join(f"{worker} {count}" for worker, count in sorted(shares.items()))
    note(f"{job.title}: shards by worker: {said or 'none'}")
    attempts.close()


class _Tasks:
    """Shards in the hands of a scheduler."""

    def __init__(self, client: Any, job: ShardJob, attempts: Attempts, stall_s: float) -> None:
        self._client, self._job, self._attempts, self._stall_s = client, job, attempts, stall_s
        self._name = f"{job_name(job)}-{uuid.uuid4().hex[:8]}"
        self._packed = pickle.dumps(job)  # with each task: as data of its own it would draw all tasks to its worker
        self._shard_of: dict[Any, int] = {}
        self._tries: Counter[int] = Counter()
        self._since: dict[int, tuple[float, float]] = {}
        """Shard in work -> its last heartbeat, and when that was first seen."""

    def run(self, todo: list[int], on_tick: Callable[[bool], None]) -> Counter[str]:
        """Returns worker -> shards done."""
        shares: Counter[str] = Counter()
        try:
            waiting = deque(todo)
            next_stall_check = next_count = 0.0
            at_once = 0
            while self._shard_of or waiting:
                if time.monotonic() > next_count:
                    next_count = time.monotonic() + 5
                    at_once = max(2 * sum(self._client.nthreads().values()), _AT_LEAST)
                while waiting and len(self._shard_of) < at_once:
                    self._submit(waiting.popleft())
                ended = [future for future in self._shard_of if future.done()]
                for future in ended:
                    shard = self._shard_of.pop(future)
                    if future.status == "finished":
                        shares[future.result()] += 1
                    else:
                        words, final = last_words(_text(future))
                        if self._attempts.record(shard, words, final=final):
                            waiting.append(shard)
                if time.monotonic() > next_stall_check:
                    next_stall_check = time.monotonic() + 5
                    self._end_stalled()
                on_tick(False)
                time.sleep(_TICK_S)
        finally:
            self._client.cancel(list(self._shard_of), force=True)
        return shares

    def _submit(self, shard: int) -> None:
        self._tries[shard] += 1
        key = f"{self._name}-{shard}-{self._tries[shard]}"
        self._shard_of[self._client.submit(_do_shard, self._packed, shard, key=key, pure=False)] = shard

    def _end_stalled(self) -> None:
        """Restart the workers whose shard gives no sign of life; the scheduler deals out again what they had."""
        beats, now = read_heartbeats(self._job.storage(), self._job.folder).beats, time.monotonic()
        at_work = {str(key): worker for worker, keys in self._client.processing().items() for key in keys}
        for future, shard in self._shard_of.items():
            beat = beats.get(shard)
            if beat is None or self._since.get(shard, (None,))[0] != beat:
                self._since[shard] = (beat or 0.0, now)
            elif now - self._since[shard][1] > self._stall_s and (worker := at_work.get(future.key)):
                self._client.restart_workers([worker], raise_for_error=False)
                self._since.pop(shard)


def _do_shard(packed: bytes, shard: int) -> str:
    """Runs on a worker: the job's Beam step on one shard. Returns the worker's name."""
    from distributed import get_worker

    with _one_at_a_time:
        if packed not in _opened:
            for step in list(_opened.values()):
                step.teardown()
            _opened.clear()
            step = RunShard(pickle.loads(packed))
            step.setup()
            _opened[packed] = step
        list(_opened[packed].process(shard))
    return str(get_worker().name)


@contextlib.contextmanager
def _client(runner: Runner, log: Path) -> Iterator[Any]:
    """A client of the scheduler that the options name, or of one on this machine; what Dask says goes to the log."""
    from apache_beam.runners.dask.dask_runner import DaskOptions
    from distributed import Client

    asked = runner.parsed().view_as(DaskOptions)
    handler, logger = logging.FileHandler(log), logging.getLogger("distributed")
    before, had = logger.propagate, list(logger.handlers)
    logger.handlers[:], logger.propagate = [handler], False
    try:
        with contextlib.ExitStack() as started:
            address = asked.address
            if not address and not asked.scheduler_file:
                address = started.enter_context(_cluster(runner.workers, log))
            yield started.enter_context(Client(address, scheduler_file=asked.scheduler_file, set_as_default=False))
    finally:
        logger.handlers[:], logger.propagate = had, before
        handler.close()


@contextlib.contextmanager
def _cluster(workers: int, log: Path) -> Iterator[str]:
    """The address of a scheduler on this machine with `workers` workers; a group of processes that ends whole."""
    line, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_cluster_main, args=(theirs, os.getpid(), workers, os.fspath(log)))
    process.start()
    theirs.close()
    try:
        yield line.recv()
    except EOFError as error:
        raise RunFailed(f"no Dask scheduler could be started here; see {log}") from error
    finally:
        line.close()  # tells it to end
        process.join(timeout=8)
        if process.pid is not None:
            kill_group(process.pid)
        process.join()


def _cluster_main(line: Connection, parent: int, workers: int, log: str) -> None:
    from distributed import LocalCluster

    os.setpgrp()
    die_with_parent(parent)
    end_group_with_this(os.getpid())
    speak_into(log)
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        line.send(cluster.scheduler_address)
        with contextlib.suppress(EOFError):
            line.recv()


def _text(future: Any) -> str:
    """An exception as last_words reads it."""
    error = future.exception()
    return f"{type(error).__module__}.{type(error).__name__}: {error}" if error else f"{future.status} by the scheduler"
