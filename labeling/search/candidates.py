"""Pass 1 of labelling: the top K captions of each clip.

B clips of a shard, K candidates, N captions of the vocabulary, D dimensions. A set of candidates belongs to one
vocabulary and one K; profiles, seeds and K' share it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.search.exact import CaptionSearch
from pipeline.crate.crate import CANDIDATES, CLIPS, SET_FILE, Crate
from pipeline.crate.dataset import read_once
from pipeline.crate.ledger import forget
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import marker_name, part_name, write_marker
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import read_table
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport

__all__ = [
    "CandidateSet",
    "captions_in",
    "embeddings_in",
    "find_candidates",
    "mean_embedding",
    "read_candidates",
    "read_embeddings",
    "read_mean",
    "write_mean",
]


_MOST = 1 << 64


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
    facts: str = ""
    """Hash of what the facts that a caption states add to its embedding; empty where it is searched as it is, and drawn
    without regard to what it means."""

    @property
    def hash(self) -> str:
        debias = {"none": False, "crate": True}.get(self.debias, self.debias)
        heard = [self.heard] if self.heard else []
        facts = [["facts", self.facts]] if self.facts else []
        return content_hash([self.vocabulary_hash, self.k, self.search, debias, self.base_hash, *heard, *facts])

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
    crate: Crate,
    chosen: CandidateSet,
    shard: int,
    *,
    search: CaptionSearch,
    ids_N: NDArray[np.uint64],
    mean_D: NDArray[np.float32] | None,
) -> ShardReport:
    """Search the shard's clips and write their candidates: clip_id, caption ids and scores, best first.

    mean_D: taken off each clip first (`read_mean`).
    """
    started = time.monotonic()
    beat = Heartbeat(crate.storage, chosen.folder, shard)
    clip_ids, embedding_BD = read_embeddings(crate, shard)
    if mean_D is not None:
        embedding_BD = embedding_BD - mean_D
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


def read_mean(crate: Crate, chosen: CandidateSet) -> NDArray[np.float32] | None:
    """What `write_mean` wrote; None where nothing is taken off."""
    if chosen.debias == "none":
        return None
    return np.array(read_sealed(crate.storage, chosen.mean_file)["mean"], dtype=np.float32)


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
    read_once(crate, [chosen := _MeanWatcher(crate, sample)])
    return chosen.mean_D(), len(chosen.best)


class _MeanWatcher:
    """Keeps the embeddings of some clips as shards are seen."""

    def __init__(self, crate: Crate, sample: int) -> None:
        self._sample, self._dimension = sample, crate.embedder.dimension
        self.best: list[tuple[int, int, int, NDArray[np.float32]]] = []
        """Hash, shard, row, embedding."""

    def columns(self, shard: int) -> dict[str, list[str]]:
        return {CLIPS: ["clip_id", "embedding"]}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        clips = tables[CLIPS]
        most = self.best[-1][0] if len(self.best) == self._sample else _MOST
        hashes = [hash_u64("mean", clip) for clip in clips.column("clip_id").to_pylist()]
        if min(hashes, default=_MOST) >= most:
            return
        embedding_BD = embeddings_in(clips, self._dimension)
        here = [(key, shard, row, embedding_BD[row].copy()) for row, key in enumerate(hashes) if key < most]
        self.best = heapq.nsmallest(self._sample, self.best + here, key=lambda clip: clip[:3])

    def mean_D(self) -> NDArray[np.float32]:
        sampled_SD = np.zeros((len(self.best), self._dimension), dtype=np.float32)
        for place, (_, _, _, embedding_D) in enumerate(self.best):
            sampled_SD[place] = embedding_D
        return (sampled_SD.sum(axis=0, dtype=np.float64) / max(len(self.best), 1)).astype(np.float32)


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
