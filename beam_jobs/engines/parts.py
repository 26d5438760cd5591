"""A part of a job: some of its shards, done by one task of a scheduler beside the tasks that do the others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from beam_jobs.job import ShardJob, ShardWorker
from pipeline.errors import BadInput
from pipeline.storage import Storage

__all__ = ["Part", "PartOfJob"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Such as 3/64: the third of 64 runs of neighbouring shards, of as even a length as can be."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Raises BadInput for anything but K/N with 1 <= K <= N."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        part = cls(number=int(found[1]), of=int(found[2])) if found else None
        if part is None or not 1 <= part.number <= part.of:
            raise BadInput(f"--part {text!r}: expected K/N with K from 1 to N, such as 3/64")
        return part

    def shards(self, count: int) -> range:
        """Which of `count` shards are this part's; none, where there are fewer shards than parts."""
        return range(count * (self.number - 1) // self.of, count * self.number // self.of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, kw_only=True)
class PartOfJob:
    """A job, as far as one part of its shards goes; they keep their numbers."""

    job: ShardJob
    part: Part

    @property
    def title(self) -> str:
        return f"{self.job.title}, part {self.part}"

    @property
    def folder(self) -> str:
        return self.job.folder

    @property
    def shard_count(self) -> int:
        """Of the part."""
        return len(self.shards)

    @property
    def shards(self) -> range:
        return self.part.shards(self.job.shard_count)

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.job.at(shard)

    def storage(self) -> Storage:
        return self.job.storage()

    def todo(self) -> list[int]:
        mine = self.shards
        return [shard for shard in self.job.todo() if shard in mine]

    def open(self) -> ShardWorker:
        return self.job.open()
