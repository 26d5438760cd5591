"""A small real job: shard k writes the numbers k*10 to k*10+9; it can be told to fail in the ways that jobs fail."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.crate.shards import is_done, part_name, write_marker
from pipeline.errors import BadInput
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage


@dataclass(frozen=True, kw_only=True)
class CountingJob:
    root: str
    shard_count: int = 6
    kill_once: tuple[int, ...] = ()
    """Shards whose first worker is ended by SIGKILL half way."""
    raise_always: tuple[int, ...] = ()
    bad_input: tuple[int, ...] = ()
    stall_once: tuple[int, ...] = ()
    fail_open: type[Exception] | None = None
    shard_s: float = 0.0
    folder: str = "numbers"
    title: str = "numbers"

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.folder, shard, self.shard_count

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        return [k for k in range(self.shard_count) if not is_done(self.storage(), "numbers", k, self.shard_count, "h")]

    def open(self) -> CountingWorker:
        if self.fail_open:
            raise self.fail_open("the model is asleep")
        return CountingWorker(self)


class CountingWorker:
    def __init__(self, job: CountingJob) -> None:
        self.job = job

    def run(self, shard: int) -> ShardReport:
        job, storage = self.job, self.job.storage()
        beat = Heartbeat(storage, job.folder, shard)
        with (Path(job.root) / f"attempts-{shard}").open("a") as log:
            log.write(f"{os.getpid()}\n")
        attempts = len((Path(job.root) / f"attempts-{shard}").read_text().splitlines())
        with storage.write(part_name("numbers", shard, job.shard_count)) as file:
            for number in range(shard * 10, shard * 10 + 10):
                file.write(f"{number}\n".encode())
                beat({"numbers": number % 10 + 1})
                time.sleep(job.shard_s / 10)
                if number % 10 == 5:
                    self._misbehave(shard, attempts)
        report = ShardReport(shard=shard, rows=10, seconds=0.0, counts={"numbers": 10})
        files = {part_name("numbers", shard, job.shard_count): file}
        write_marker(storage, "numbers", shard, job.shard_count, report, run_hash="h", files=files)
        beat.end()
        return report

    def _misbehave(self, shard: int, attempts: int) -> None:
        if shard in self.job.kill_once and attempts == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if shard in self.job.stall_once and attempts == 1:
            time.sleep(600)
        if shard in self.job.raise_always:
            raise ValueError(f"shard {shard} does not like this")
        if shard in self.job.bad_input:
            raise BadInput("the disk of shard 2 is upside down; turn it")

    def close(self) -> None:
        pass
