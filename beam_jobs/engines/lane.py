"""A lane: one process of this machine, running the job's Beam step over the shards that the driver hands it.

Beam's own local runner with several processes deals all shards out at the start, ends with the first worker that dies,
and may hang when it does. A lane is a pipeline of its own whose source asks the driver for the next shard, so that a
dead lane costs the shard it had and no other.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_jobs.job import RunShard, ShardJob
from pipeline.crate.ledger import markers_to
from pipeline.process import die_with_parent, keep_freed_memory
from pipeline.progress import beats_to, failures_to

__all__ = ["lane_main"]

_driver: Connection | None = None
"""The lane's line to its driver; a process runs one lane."""


class _AskDriver(beam.DoFn):  # type: ignore[misc]  # apache_beam has no types
    """Yields shards until the driver has none; each is finished before the next is asked for (the steps are fused)."""

    def process(self, _: int) -> Iterator[int]:
        assert _driver is not None, "set before the pipeline starts"
        while True:
            _driver.send_bytes(b"next")
            shard = int(_driver.recv_bytes())
            if shard < 0:
                return
            yield shard


def _say(what: str, value: object) -> None:
    """`mark`: a finished shard's marker, `beat`: a sign of life, where each file is a request; `fail`: last words."""
    assert _driver is not None, "set before the pipeline starts"
    _driver.send_bytes(f"{what} {json.dumps(value)}".encode())


def lane_main(driver: Connection, parent: int) -> None:
    """Runs in its own process: takes a job, works on it until the driver has no more shards, takes the next job.

    Ends with the driver, whose process number is `parent`, or with exit code 1 where a job failed.
    """
    global _driver
    die_with_parent(parent)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    logging.disable(logging.CRITICAL)  # Beam logs each failure many times; `record_failure` keeps it once
    _driver = driver
    markers_to(lambda name, marker: _say("mark", [name, marker]))
    beats_to(lambda beat: _say("beat", beat))
    failures_to(lambda failure: _say("fail", failure))
    try:
        while True:
            job: ShardJob = driver.recv()
            with beam.Pipeline(runner=FnApiRunner()) as pipeline:
                _ = pipeline | beam.Create([0]) | beam.ParDo(_AskDriver()) | beam.ParDo(RunShard(job))
            driver.send_bytes(b"idle")
    except Exception:  # the driver is gone, or the job failed and left word of it
        os._exit(1)
