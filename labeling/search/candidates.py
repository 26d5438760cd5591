"""Pass 1 of labelling: the top K captions of each clip, and how often each caption stands in a top K.

B clips of a shard, K candidates, N captions of the vocabulary, D dimensions. A set of candidates belongs to one
vocabulary and one K; profiles, seeds and K' share it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.search.exact import CaptionSearch
from pipeline.crate.crate import CANDIDATES, Crate
from pipeline.crate.shards import is_done, part_name, write_marker
from pipeline.errors import CrateMismatch
from pipeline.ids import content_hash
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage

__all__ = [
    "CandidateSet",
    "add_bucket_counts",
    "bucket_counts",
    "find_candidates",
    "read_candidates",
    "read_counts",
    "read_embeddings",
    "write_counts",
    "write_mean_embedding",
]

_BUCKET_BITS = 16
"""Counts travel in buckets of 65,536 captions: a dictionary of all of them would not fit a worker."""


@dataclass(frozen=True, kw_only=True)
class CandidateSet:
    """What determines the candidates of a crate's clips in one vocabulary."""

    vocabulary_name: str
    vocabulary_hash: str
    captions: int
    k: int
    search: str
    """`exact`, or the description of a faster path."""
    debias: bool
    """Whether each caption's mean similarity over a sample of clips was taken off first."""
    clips_hash: str

    @property
    def hash(self) -> str:
        return content_hash([self.vocabulary_hash, self.k, self.search, self.debias, self.clips_hash])

    @property
    def folder(self) -> str:
        return f"{CANDIDATES}/{self.vocabulary_name}-{self.hash[:8]}"

    @property
    def counts_file(self) -> str:
        return f"{self.folder}/counts.npy"

    @property
    def mean_file(self) -> str:
        return f"{self.folder}/mean-embedding.npy"

    def done(self, storage: Storage, shard: int, count: int) -> bool:
        return is_done(storage, self.folder, shard, count, self.hash)


def read_embeddings(crate: Crate, shard: int) -> tuple[pa.ChunkedArray, NDArray[np.float32]]:
    """The clip ids of a shard and their (B, D) embeddings; nothing else is read, nothing is decoded."""
    with crate.storage.open(crate.clips_part(shard)) as file:
        table = pq.read_table(file, columns=["clip_id", "embedding"])
    flat = table.column("embedding").combine_chunks()
    values = flat.values.to_numpy(zero_copy_only=False) if len(flat) else np.zeros(0, dtype=np.float32)
    return table.column("clip_id"), values.reshape(len(table), crate.embedder.dimension)


def find_candidates(
    crate: Crate, chosen: CandidateSet, shard: int, *, search: CaptionSearch, ids_N: NDArray[np.uint64]
) -> ShardReport:
    """Search the shard's clips and write their candidates: clip_id, caption ids and scores, best first."""
    started = time.monotonic()
    beat = Heartbeat(crate.storage, chosen.folder, shard)
    clip_ids, embedding_BD = read_embeddings(crate, shard)
    if chosen.debias and len(embedding_BD):
        embedding_BD = embedding_BD - _load(crate.storage, chosen.mean_file)
    k = min(chosen.k, len(ids_N))
    beat({"clips": 0})
    found = search.top(np.ascontiguousarray(embedding_BD, dtype=np.float32), k)
    table = pa.table(
        {
            "clip_id": clip_ids,
            "caption_id": pa.FixedSizeListArray.from_arrays(pa.array(ids_N[found.rows_QK].ravel(), pa.uint64()), k),
            "score": pa.FixedSizeListArray.from_arrays(pa.array(found.scores_QK.ravel(), pa.float32()), k),
        }
    )
    name = part_name(chosen.folder, shard, crate.plan.shards)
    with crate.storage.write(name) as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
    report = ShardReport(
        shard=shard,
        rows=len(table),
        seconds=round(time.monotonic() - started, 3),
        counts={"clips": len(table)},
    )
    write_marker(crate.storage, chosen.folder, crate.plan.shards, report, run_hash=chosen.hash, files={name: file})
    beat.end()
    return report


def write_mean_embedding(crate: Crate, chosen: CandidateSet, sample: int = 2_000) -> None:
    """The mean embedding of the first clips, about `sample` of them.

    Taking it off the queries takes each caption's mean similarity to those clips off its scores:
    (q - m) . c = q . c - mean over clips of (clip . c).
    """
    if crate.storage.exists(chosen.mean_file):
        return
    total_D, clips = np.zeros(crate.embedder.dimension), 0
    for shard in crate.shards:
        _, embedding_BD = read_embeddings(crate, shard)
        total_D += embedding_BD.sum(axis=0, dtype=np.float64)
        clips += len(embedding_BD)
        if clips >= sample:
            break
    buffer = io.BytesIO()
    np.save(buffer, (total_D / max(clips, 1)).astype(np.float32), allow_pickle=False)
    crate.storage.write_bytes(chosen.mean_file, buffer.getvalue())


def read_candidates(
    storage: Storage, chosen: CandidateSet, shard: int, count: int
) -> tuple[pa.ChunkedArray, NDArray[np.uint64], NDArray[np.float32]]:
    """Clip ids, (B, K) caption ids and (B, K) scores of a shard."""
    with storage.open(part_name(chosen.folder, shard, count)) as file:
        table = pq.read_table(file)
    k = min(chosen.k, chosen.captions)
    captions = table.column("caption_id").combine_chunks().values.to_numpy(zero_copy_only=False)
    scores = table.column("score").combine_chunks().values.to_numpy(zero_copy_only=False)
    return table.column("clip_id"), captions.reshape(-1, k), scores.reshape(-1, k)


def bucket_counts(caption_BK: NDArray[np.uint64], ids_N: NDArray[np.uint64]) -> Iterator[tuple[int, bytes]]:
    """Of one shard: for each bucket of captions, rows and how often they occur, packed for the shuffle."""
    rows, counts = np.unique(np.searchsorted(ids_N, caption_BK.ravel()), return_counts=True)
    buckets = rows >> _BUCKET_BITS
    for bucket in np.unique(buckets):
        mine = buckets == bucket
        yield int(bucket), _pack(rows[mine], counts[mine])


def add_bucket_counts(packed: Iterable[bytes]) -> bytes:
    """Add up counts of one bucket; associative, so a runner may combine as it likes."""
    total = np.zeros(1 << _BUCKET_BITS, dtype=np.int64)
    bucket = 0
    for data in packed:
        rows, counts = _unpack(data)
        if len(rows):
            bucket = int(rows[0]) >> _BUCKET_BITS
            np.add.at(total, rows & ((1 << _BUCKET_BITS) - 1), counts)
    rows = np.flatnonzero(total)
    return _pack(rows + (bucket << _BUCKET_BITS), total[rows])


def write_counts(storage: Storage, chosen: CandidateSet, buckets: Iterable[bytes], *, clips: int) -> NDArray[np.int64]:
    """Put the buckets together: (N,) counts. Raises CrateMismatch where they do not add up to K a clip."""
    counts_N = np.zeros(chosen.captions, dtype=np.int64)
    for data in buckets:
        rows, counts = _unpack(data)
        counts_N[rows] = counts
    expected = clips * min(chosen.k, chosen.captions)
    if int(counts_N.sum()) != expected:
        raise CrateMismatch(
            f"{chosen.folder} counts {int(counts_N.sum())} candidates, its {clips} clips have {expected}; "
            f"delete {storage.url}/{chosen.folder} and label again"
        )
    buffer = io.BytesIO()
    np.save(buffer, counts_N, allow_pickle=False)
    storage.write_bytes(chosen.counts_file, buffer.getvalue())
    return counts_N


def read_counts(storage: Storage, chosen: CandidateSet) -> NDArray[np.int64] | None:
    """(N,) counts, in the vocabulary's order; None where they were never made."""
    return _load(storage, chosen.counts_file) if storage.exists(chosen.counts_file) else None


def _load(storage: Storage, name: str) -> NDArray[Any]:
    return np.load(io.BytesIO(storage.read_bytes(name)), allow_pickle=False)


def _pack(rows: NDArray[np.int64], counts: NDArray[np.int64]) -> bytes:
    return np.stack([rows, counts]).astype("<i8").tobytes()


def _unpack(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, counts = np.frombuffer(data, dtype="<i8").reshape(2, -1)
    return rows, counts
