"""Pass 1 of labelling as a job, and the one shuffle: how often each caption is a candidate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from beam_jobs.engine import Engine, run_pipeline
from beam_jobs.engines.runners import job_name
from beam_jobs.job import PouredJob
from labeling.search.candidates import CandidateSet, find_candidates, read_candidates, read_mean
from labeling.search.caption_embeddings import load_embeddings
from labeling.search.counts import add_bucket_counts, bucket_counts, count_all, read_counts, write_counts
from labeling.search.exact import Captions, CaptionSearch, ExactSearch
from labeling.search.some import SomeCaptions, SomeSearch, read_heard_rows
from labeling.search.stated import StatedCaptions
from pipeline.crate.crate import Crate
from pipeline.records import ShardReport
from pipeline.storage import Storage
from pipeline.threads import in_order
from vocab.store import vocabulary_ids

__all__ = ["CandidatesJob", "count_candidates"]

_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class CandidatesJob(PouredJob):
    """Search every clip's captions in one vocabulary."""

    chosen: CandidateSet
    vocabulary: str
    embeddings_root: str
    embeddings_name: str

    @property
    def title(self) -> str:
        return f"candidates from {self.chosen.vocabulary_name}"

    @property
    def folder(self) -> str:
        return self.chosen.folder

    @property
    def index_name(self) -> str:
        """Of the fast search's index, below the crate's root; empty where the search is exact."""
        return "" if self.chosen.search == "exact" else f"{self.folder}/captions.faiss"

    @property
    def heard_name(self) -> str:
        """Of the rows of captions that may be chosen, below the crate's root; empty where every caption may be."""
        return f"{self.folder}/heard-rows.npy" if self.chosen.heard else ""

    def todo(self) -> list[int]:
        return self.chosen.undone(Crate.open(self.root))

    def searched(self, storage: Storage, matrix_ND: NDArray[np.float32]) -> tuple[Captions, NDArray[np.int64] | None]:
        """What the search compares clips with, and of which captions it is; None where of all."""
        rows_M = read_heard_rows(storage, self.heard_name) if self.heard_name else None
        captions: Captions = matrix_ND if rows_M is None else SomeCaptions(matrix_ND, rows_M)
        return StatedCaptions.read(storage, self.folder, captions) if self.chosen.facts else captions, rows_M

    def open(self) -> _Worker:
        crate = Crate.open(self.root)
        matrix_ND = load_embeddings(Storage(self.embeddings_root), self.embeddings_name, crate.embedder)
        searched, rows_M = self.searched(crate.storage, matrix_ND)
        search: CaptionSearch = ExactSearch(searched)
        if self.index_name:
            from labeling.search.fast import open_index

            search, _ = open_index(crate.storage, self.index_name, searched, matrix=self.embeddings_name)
        if rows_M is not None:
            search = SomeSearch(search, rows_M)
        return _Worker(crate, self.chosen, search, vocabulary_ids(self.vocabulary))


class _Worker:
    def __init__(self, crate: Crate, chosen: CandidateSet, search: CaptionSearch, ids_N: NDArray[np.uint64]) -> None:
        self._crate, self._chosen, self._search, self._ids_N = crate, chosen, search, ids_N
        self._mean_D = read_mean(crate, chosen)

    def run(self, shard: int) -> ShardReport:
        return find_candidates(
            self._crate, self._chosen, shard, search=self._search, ids_N=self._ids_N, mean_D=self._mean_D
        )

    def close(self) -> None:
        pass


class _CountShard(beam.DoFn):  # type: ignore[misc]  # apache_beam has no types
    """A shard's candidates -> (bucket, packed counts)."""

    def __init__(self, root: str, chosen: CandidateSet, vocabulary: str) -> None:
        self._root, self._chosen, self._path = root, chosen, vocabulary

    def setup(self) -> None:
        self._crate, self._ids_N = Crate.open(self._root), vocabulary_ids(self._path)

    def process(self, shard: int) -> Iterator[tuple[int, bytes]]:
        _, caption_BK, _ = read_candidates(self._crate, self._chosen, shard)
        yield from bucket_counts(caption_BK, self._ids_N)


class _WriteBucket(beam.DoFn):  # type: ignore[misc]  # apache_beam has no types
    """(bucket, counts) -> one file, to be put together by the caller: no collection of all counts anywhere."""

    def __init__(self, root: str, folder: str) -> None:
        self._root, self._folder = root, folder

    def process(self, keyed: tuple[int, bytes]) -> Iterator[int]:
        bucket, counts = keyed
        Storage(self._root).write_bytes(f"{self._folder}/{bucket:06d}.bin", counts)
        yield bucket


@dataclass(frozen=True, kw_only=True)
class _Count:
    """np.unique in each shard, one CombinePerKey over buckets of captions, one file a bucket; for each set."""

    jobs: Sequence[CandidatesJob]

    def __call__(self, pipeline: Any) -> None:
        for job in self.jobs:
            name = job.chosen.folder
            counted = _CountShard(job.root, job.chosen, job.vocabulary)
            _ = (
                pipeline
                | f"Shards of {name}" >> beam.Create(list(range(job.shard_count)))
                | f"Deal out {name}" >> beam.Reshuffle()
                | f"Count {name}" >> beam.ParDo(counted).with_output_types(tuple[int, bytes])
                | f"Add up {name}" >> beam.CombinePerKey(add_bucket_counts)
                | f"Write {name}" >> beam.ParDo(_WriteBucket(job.root, _buckets(job)))
            )


def count_candidates(jobs: Sequence[CandidatesJob], engine: Engine, *, clips: int, covers: Mapping[str, int]) -> None:
    """Count how often each caption is a candidate over all clips, and write the counts; nothing where they stand.

    covers: the state of the crate (`Crate.covers`).
    """
    missing = [job for job in jobs if read_counts(job.storage(), job.chosen, covers) is None]
    if missing and engine.on_beam:
        for job in missing:
            job.storage().remove(_buckets(job))
        run_pipeline(_Count(jobs=missing), job_name(missing[0], "count"), engine)
    for job in missing:
        storage, folder, ids_N = job.storage(), _buckets(job), vocabulary_ids(job.vocabulary)
        buckets: Iterable[bytes] = (storage.read_bytes(f"{folder}/{name}") for name in storage.list(folder, ".bin"))
        if not engine.on_beam:
            buckets = [_count_here(job, ids_N)]
        write_counts(storage, job.chosen, buckets, ids_N, clips=clips, covers=covers)
        if engine.on_beam:
            storage.remove(folder)


def _count_here(job: CandidatesJob, ids_N: NDArray[np.uint64]) -> bytes:
    """Without a runner to deal shards out: a few are read at once."""
    crate = Crate.open(job.root)
    shards = in_order(lambda shard: read_candidates(crate, job.chosen, shard)[1], crate.shards, at_once=_AT_ONCE)
    return count_all(shards, ids_N)


def _buckets(job: CandidatesJob) -> str:
    return f"{job.folder}/buckets"
