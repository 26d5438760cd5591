"""Pass 1 of labelling: the top K captions of each clip.

B clips of a shard, K candidates, N captions of the vocabulary, D dimensions. A set of candidates belongs to one
vocabulary and one K; profiles, seeds and K' share it.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.search.exact import CaptionSearch
from pipeline.crate.crate import CANDIDATES, SET_FILE, Crate
from pipeline.crate.ledger import forget
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import marker_name, part_name, write_marker
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import read_table
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.threads import in_order

__all__ = [
    "CandidateSet",
    "captions_in",
    "embeddings_in",
    "find_candidates",
    "mean_embedding",
    "read_candidates",
    "read_embeddings",
    "write_mean",
]


_AT_ONCE = 8
"""Shards that are read at once."""


@dataclass(frozen=True, kw_only=True)
class CandidateSet:
    """What determines the candidates of a crate's clips in one vocabulary."""

    vocabulary_name: str
    vocabulary_hash: str
    captions: int
    k: int
    search: str
    """`exact`, or the description of a faster path."""
    debias: str
    """What was taken off each clip first: `none`, `crate` (the mean of its own clips), or the hash of a model's own."""
    heard: str
    """Hash of the facts that a caption may state; empty where every caption may be chosen."""
    base_hash: str
    """Of the crate: its settings and embedder."""

    @property
    def hash(self) -> str:
        debias = {"none": False, "crate": True}.get(self.debias, self.debias)
        heard = [self.heard] if self.heard else []
        return content_hash([self.vocabulary_hash, self.k, self.search, debias, self.base_hash, *heard])

    @property
    def folder(self) -> str:
        return f"{CANDIDATES}/{self.vocabulary_name}-{self.hash[:8]}"

    @property
    def counts_file(self) -> str:
        return f"{self.folder}/counts.parquet"

    @property
    def set_file(self) -> str:
        """Written last, when all clips are searched and counted."""
        return f"{self.folder}/{SET_FILE}"

    @property
    def mean_file(self) -> str:
        return f"{self.folder}/mean-embedding.json"

    def undone(self, crate: Crate) -> list[int]:
        """Shards that are not searched."""
        return crate.undone(self.folder, self.hash)


def read_embeddings(crate: Crate, shard: int) -> tuple[pa.ChunkedArray, NDArray[np.float32]]:
    """The clip ids of a shard and their (B, D) embeddings; nothing else is read, nothing is decoded."""
    with crate.storage.open(crate.clips_part(shard)) as file:
        table = read_table(file, columns=["clip_id", "embedding"])
    return table.column("clip_id"), embeddings_in(table, crate.embedder.dimension)


def embeddings_in(table: pa.Table, dimension: int) -> NDArray[np.float32]:
    """(B, D) of a shard's table of clips."""
    flat = table.column("embedding").combine_chunks()
    values = flat.values.to_numpy(zero_copy_only=False) if len(flat) else np.zeros(0, dtype=np.float32)
    return values.reshape(len(table), dimension)


def find_candidates(
    crate: Crate, chosen: CandidateSet, shard: int, *, search: CaptionSearch, ids_N: NDArray[np.uint64]
) -> ShardReport:
    """Search the shard's clips and write their candidates: clip_id, caption ids and scores, best first."""
    started = time.monotonic()
    beat = Heartbeat(crate.storage, chosen.folder, shard)
    clip_ids, embedding_BD = read_embeddings(crate, shard)
    if chosen.debias != "none" and len(embedding_BD):
        embedding_BD = embedding_BD - np.array(read_sealed(crate.storage, chosen.mean_file)["mean"], dtype=np.float32)
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
    name = part_name(*crate.at(chosen.folder, shard))
    with crate.storage.write(name) as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
    report = ShardReport(
        shard=shard,
        rows=len(table),
        seconds=round(time.monotonic() - started, 3),
        counts={"clips": len(table)},
    )
    run_hash = crate.made_hash(chosen.hash, shard)
    write_marker(crate.storage, *crate.at(chosen.folder, shard), report, run_hash=run_hash, files={name: file})
    beat.end()
    return report


def write_mean(crate: Crate, chosen: CandidateSet, mean: NDArray[np.float32]) -> None:
    """What is taken off each clip before the search, into the set of candidates.

    Taking it off the queries takes each caption's mean similarity to those clips off its scores:
    (q - m) . c = q . c - mean over clips of (clip . c). Where the crate has changed so that the mean is another, the
    candidates found with the old one are forgotten.
    """
    mean_D = [float(x) for x in mean]
    storage = crate.storage
    if storage.exists(chosen.mean_file) and read_sealed(storage, chosen.mean_file)["mean"] == mean_D:
        return
    storage.remove(chosen.set_file)
    forget(storage, (marker_name(*crate.at(chosen.folder, shard)) for shard in crate.shards))
    write_sealed(storage, chosen.mean_file, {"mean": mean_D})


def mean_embedding(crate: Crate, sample: int = 2_000) -> tuple[NDArray[np.float32], int]:
    """The mean embedding of at most `sample` clips, those whose ids' hashes are smallest; and how many they are."""
    best: list[tuple[int, int, int]] = []

    def ids_of(shard: int) -> list[str]:
        with crate.storage.open(crate.clips_part(shard)) as file:
            ids: list[str] = read_table(file, ["clip_id"]).column(0).to_pylist()
        return ids

    for shard, clips in enumerate(in_order(ids_of, crate.shards, at_once=_AT_ONCE)):
        here = ((hash_u64("mean", clip), shard, row) for row, clip in enumerate(clips))
        best = heapq.nsmallest(sample, heapq.merge(best, sorted(here)))
    rows_of: dict[int, list[tuple[int, int]]] = {}
    for place, (_, shard, row) in enumerate(best):
        rows_of.setdefault(shard, []).append((place, row))
    sampled_SD = np.zeros((len(best), crate.embedder.dimension), dtype=np.float32)
    found = in_order(lambda shard: read_embeddings(crate, shard)[1], rows_of, at_once=_AT_ONCE)
    for embedding_BD, places in zip(found, rows_of.values(), strict=True):
        for place, row in places:
            sampled_SD[place] = embedding_BD[row]
    return (sampled_SD.sum(axis=0, dtype=np.float64) / max(len(best), 1)).astype(np.float32), len(best)


def read_candidates(
    crate: Crate, chosen: CandidateSet, shard: int
) -> tuple[pa.ChunkedArray, NDArray[np.uint64], NDArray[np.float32]]:
    """Clip ids, (B, K) caption ids and (B, K) scores of a shard."""
    with crate.storage.open(part_name(*crate.at(chosen.folder, shard))) as file:
        table = read_table(file)
    return table.column("clip_id"), captions_in(table, chosen), _values_BK(table, "score", chosen)


def captions_in(table: pa.Table, chosen: CandidateSet) -> NDArray[np.uint64]:
    """(B, K) caption ids of a shard's table of candidates."""
    return _values_BK(table, "caption_id", chosen)


def _values_BK(table: pa.Table, column: str, chosen: CandidateSet) -> NDArray[Any]:
    values: NDArray[Any] = table.column(column).combine_chunks().values.to_numpy(zero_copy_only=False)
    return values.reshape(-1, min(chosen.k, chosen.captions))
