"""What a job is: shards, each of which one function turns into one finished file."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam

from pipeline.crate.plan import place
from pipeline.errors import BadInput
from pipeline.progress import record_failure
from pipeline.records import ShardReport
from pipeline.storage import Storage

__all__ = ["PouredJob", "RunShard", "ShardJob", "ShardWorker", "run_shards"]


class ShardWorker(Protocol):
    """Holds what a process needs to work on shards: a model, a decoder, an index."""

    def run(self, shard: int) -> ShardReport:
        """Write the shard and its marker; the same bytes whoever runs it, and how often."""
        ...

    def close(self) -> None: ...


class ShardJob(Protocol):
    """A picklable description of the work; opening it loads what is heavy."""

    @property
    def title(self) -> str:
        """For people, such as `clips` or `labels first`."""
        ...

    @property
    def folder(self) -> str:
        """Where the shards and their markers lie, below the crate's root."""
        ...

    @property
    def shard_count(self) -> int: ...

    def at(self, shard: int) -> tuple[str, int, int]:
        """Where a shard lies: folder, its number in it, and of how many; see `pipeline.crate.shards.part_name`."""
        ...

    def storage(self) -> Storage: ...

    def todo(self) -> list[int]:
        """Shards without a valid marker."""
        ...

    def open(self) -> ShardWorker: ...


@dataclass(frozen=True, kw_only=True)
class PouredJob(ABC):
    """A job whose shards lie pour by pour, as those of a crate do."""

    root: str
    pours: tuple[int, ...]
    """Shards of each pour."""

    @property
    @abstractmethod
    def folder(self) -> str: ...

    @property
    def shard_count(self) -> int:
        return sum(self.pours)

    def at(self, shard: int) -> tuple[str, int, int]:
        return place(self.folder, shard, self.pours)

    def storage(self) -> Storage:
        return Storage(self.root)


class RunShard(beam.DoFn):  # type: ignore[misc]  # apache_beam has no types
    """Thin: opens the job in `setup`, calls one function, routes what comes back, leaves word of failures."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._worker: ShardWorker | None = None

    def setup(self) -> None:
        _require_reach(self._job.storage())  # before anything is left there: it would be a stray folder of this machine
        try:
            self._worker = self._job.open()
        except Exception as error:
            record_failure(self._job.storage(), self._job.folder, None, error)
            raise

    def process(self, shard: int) -> Iterator[ShardReport]:
        assert self._worker is not None, "Beam calls setup before process"
        try:
            report = self._worker.run(shard)
        except Exception as error:
            record_failure(self._job.storage(), self._job.folder, shard, error)
            raise
        yield report

    def teardown(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _require_reach(storage: Storage) -> None:
    if storage.is_local and not storage.exists():
        raise BadInput(
            f"the worker on {socket.gethostname()} has no folder {storage.url}: all workers must reach the crate under "
            "the same path; give a folder that they share, or a URL such as s3://BUCKET/CRATE"
        )


def run_shards(pipeline: Any, job: ShardJob, todo: list[int]) -> Any:
    """The whole of a job on any Beam runner; linear, since some runners drop tagged outputs."""
    return (
        pipeline
        | f"Shards of {job.folder}" >> beam.Create(todo)
        | f"Deal out {job.folder}" >> beam.Reshuffle()
        | job.folder >> beam.ParDo(RunShard(job))
    )
