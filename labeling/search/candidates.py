"""Pass 1 of labelling: the top K captions of each clip.

B clips of a shard, K candidates, N captions of the vocabulary, D dimensions. A set of candidates belongs to one
vocabulary and one K; profiles, seeds and K' share it.
"""

from __future__ import annotations

import heapq
import itertools
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
from pipeline.ids import content_hash
from pipeline.parquet import read_table
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.threads import in_order

__all__ = [
    "CandidateSet",
    "captions_in",
    "embeddings_in",
    "find_candidates",
    "first_tracks",
    "mean_embedding",
    "read_candidates",
    "read_embeddings",
    "read_mean",
    "write_mean",
]


_AT_ONCE = 8


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


def mean_embedding(crate: Crate, tracks: int = 2_000) -> tuple[NDArray[np.float32], int]:
    """The mean embedding of the clips of the `tracks` tracks whose ids come first, and how many clips they have.

    Ids are hashes, so that the first are as fair a sample as any; they stand in the first shards of each pour, and no
    others are read.
    """
    chosen = first_tracks(crate, tracks)

    def look(shard: int) -> NDArray[np.float32]:
        with crate.storage.open(crate.clips_part(shard)) as file:
            table = read_table(file, columns=["track_id", "embedding"])
        mine = [track in chosen[shard] for track in table.column("track_id").to_pylist()]
        return embeddings_in(table, crate.embedder.dimension)[np.array(mine, bool)]

    total_D, clips = np.zeros(crate.embedder.dimension), 0
    for embedding_BD in in_order(look, chosen, at_once=_AT_ONCE):
        total_D += embedding_BD.sum(axis=0, dtype=np.float64)
        clips += len(embedding_BD)
    return (total_D / max(clips, 1)).astype(np.float32), clips


def first_tracks(crate: Crate, count: int) -> dict[int, set[str]]:
    """Shard -> which of its tracks are among the `count` whose ids come first. A pour has its tracks in that order."""
    first: list[tuple[str, int]] = []
    shards = iter(crate.shards)
    for pour in crate.pour_shards:
        here: list[tuple[str, int]] = []
        for shard in list(itertools.islice(shards, pour)):
            planned = [track.track_id for track in crate.plan(shard).tracks]
            if len(here) >= count or (planned and len(first) == count and planned[0] > first[-1][0]):
                break
            here += [(track, shard) for track in planned]
        first = heapq.nsmallest(count, first + here)
    chosen: dict[int, set[str]] = {}
    for track, shard in first:
        chosen.setdefault(shard, set()).add(track)
    return dict(sorted(chosen.items()))


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
