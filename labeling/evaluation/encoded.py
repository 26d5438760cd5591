"""A set's clips as vectors on disk: a part a shard, each with its moments, and what reads them back.

N vectors, D dimensions.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.encoders.encoder import Encoder
from labeling.evaluation.clip_sets import ClipSet, LeftOutClip
from labeling.evaluation.moments import Moments, read_moments, write_moments
from pipeline.crate.shards import is_done, part_name, read_marker, write_marker
from pipeline.errors import IndexMismatch
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import parquet_file, read_table
from pipeline.records import EmbedderCard, ShardReport
from pipeline.storage import Storage

__all__ = ["ENCODED", "EncodedSet", "Sampled", "encode_shard", "encoded_folder", "file_name", "vectors_of"]

ENCODED = "encoded"
_FORMAT = 1
_KEPT_A_CLIP = 32
"""Vectors of a clip that are kept for what compares clip with clip; all enter the moments."""
_GROUP_ROWS = 512
_LISTED = 1_000


def encoded_folder(clips: ClipSet, card: EmbedderCard, through_hz: int) -> str:
    """Named by all that determines the vectors: clips, encoder, rate."""
    shards = [clips.shard_hash(shard) for shard in range(clips.shard_count)]
    return f"{ENCODED}/{file_name(card.name)}-{content_hash([_FORMAT, shards, card.weights_hash, through_hz])}"


def file_name(encoder: str) -> str:
    """An encoder's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in encoder)


def _schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [
            ("clip_id", pa.string()),
            ("track_id", pa.string()),
            ("key", pa.string()),
            ("start_s", pa.float64()),
            ("duration_s", pa.float64()),
            ("source_rate_hz", pa.int32()),
            ("vectors", pa.list_(pa.list_(pa.float32(), dimension))),
            ("reason", pa.string()),
            ("detail", pa.string()),
        ]
    )


def encode_shard(
    clips: ClipSet,
    shard: int,
    card: EmbedderCard,
    encoder: Encoder | None,
    storage: Storage,
    folder: str,
    *,
    through_hz: int = 0,
    beat: Callable[[Mapping[str, int]], None] = lambda counts: None,
) -> ShardReport:
    """Write one part: a row a clip, those that were left out with their reason, and the moments of all vectors.

    encoder: None where `card` is that of the crate's embedder, whose embeddings are taken as they stand.
    """
    began = time.monotonic()
    counts: Counter[str] = Counter(clips=0)
    at = (folder, shard, clips.shard_count)
    moments = Moments.nothing(card.dimension)
    name, moments_name = part_name(*at), part_name(*at, "npz")
    beat(counts)
    with storage.write(name) as file:
        schema = _schema(card.dimension)
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            rows: list[dict[str, Any]] = []
            for clip in clips.clips(shard, card.sample_rate_hz, through_hz=through_hz, stored=encoder is None):
                if isinstance(clip, LeftOutClip):
                    counts[f"{clip.level}:{clip.reason}"] += 1
                    rows.append({"key": clip.key, "reason": clip.reason, "detail": clip.detail, "vectors": []})
                else:
                    vectors_FD = encoder.encode(clip.audio_T) if encoder else clip.embedding_D[None]
                    counts["clips"] += 1
                    moments = moments.with_others(Moments.of(vectors_FD))
                    kept = np.unique(
                        np.linspace(0, len(vectors_FD) - 1, min(len(vectors_FD), _KEPT_A_CLIP)).astype(int)
                    )
                    known = {n: getattr(clip, n) for n in schema.names[:6]}
                    rows.append({**known, "vectors": list(vectors_FD[kept]), "reason": "", "detail": ""})
                beat(counts)
                if len(rows) >= _GROUP_ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    with storage.write(moments_name) as moments_file:
        moments_file.write(write_moments(moments, card.as_dict(), card.name))
    report = ShardReport(
        shard=shard,
        rows=counts["clips"],
        seconds=round(time.monotonic() - began, 3),
        counts=dict(sorted(counts.items())),
    )
    files = {name: file, moments_name: moments_file}
    write_marker(storage, *at, report, run_hash=clips.shard_hash(shard), files=files)
    return report


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Some vectors in memory, with whose they are; clips in an order set by hashes of their ids."""

    vectors_ND: NDArray[np.float32]
    clip_N: NDArray[np.int64]
    """Which of `clips` each vector is of."""
    clips: list[dict[str, Any]]
    """clip_id, track_id, key, start_s, duration_s, source_rate_hz, shard."""

    @property
    def centres_CD(self) -> NDArray[np.float32]:
        """The mean vector of each clip."""
        sums = np.zeros((len(self.clips), self.vectors_ND.shape[1]))
        np.add.at(sums, self.clip_N, self.vectors_ND)
        counted: NDArray[np.float32] = (sums / np.bincount(self.clip_N)[:, None]).astype(np.float32)
        return counted


@dataclass(frozen=True, kw_only=True)
class EncodedSet:
    """All parts of a set by one encoder."""

    storage: Storage
    folder: str
    shards: int
    _markers: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def done(self, shard: int, shard_hash: str) -> bool:
        return is_done(self.storage, self.folder, shard, self.shards, shard_hash)

    def counts(self) -> Counter[str]:
        """Clips, and what was left out by `level:reason`."""
        total: Counter[str] = Counter()
        for shard in range(self.shards):
            marker = read_marker(self.storage, self.folder, shard, self.shards)
            total.update(marker["counts"] if marker else {})
        return total

    def moments(self) -> Moments:
        """Of all vectors, the parts put together in their order."""
        whole: Moments | None = None
        for shard in range(self.shards):
            name = part_name(self.folder, shard, self.shards, "npz")
            part, _ = read_moments(self.storage.read_bytes(name), f"{self.storage.url}/{name}")
            whole = part if whole is None else whole.with_others(part)
        assert whole is not None, "a set has at least one shard"
        return whole

    def rows(self, *, vectors: bool) -> Iterator[dict[str, Any]]:
        """Of clips that were encoded, a row group at a time, with their shard."""
        for shard in range(self.shards):
            with self.storage.open(part_name(self.folder, shard, self.shards)) as file:
                parquet = parquet_file(file)
                columns = ["clip_id", "track_id", "key", "start_s", "duration_s", "source_rate_hz", "reason"]
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(
                        group, columns=[*columns, *(["vectors"] if vectors else [])], use_threads=False
                    )
                    plain = table.select(columns).to_pylist()
                    found = table.column("vectors").combine_chunks() if vectors else None
                    for i, row in enumerate(plain):
                        if not row.pop("reason"):
                            yield (
                                row | {"shard": shard} | ({"vectors": _vectors(found[i])} if found is not None else {})
                            )

    def left_out(self) -> Iterator[tuple[str, str, str]]:
        """(file, reason, detail) of the first thousand; `counts` has how many there are."""
        return itertools.islice(self._left_out(), _LISTED)

    def _left_out(self) -> Iterator[tuple[str, str, str]]:
        for shard in range(self.shards):
            with self.storage.open(part_name(self.folder, shard, self.shards)) as file:
                table = read_table(file, columns=["key", "reason", "detail"])
            yield from ((r["key"], r["reason"], r["detail"]) for r in table.to_pylist() if r["reason"])

    def sample(self, most: int) -> Sampled:
        """At most so many vectors, of whole clips; memory grows with `most`, not with the set."""
        ids = (row["clip_id"] for row in self.rows(vectors=False))
        order = heapq.nsmallest(most, ((hash_u64("evaluation", clip), clip) for clip in ids))
        kept: dict[str, dict[str, Any]] = {}
        wanted = {clip for _, clip in order}
        for row in self.rows(vectors=True):
            if row["clip_id"] in wanted:
                kept[row["clip_id"]] = row
        clips: list[dict[str, Any]] = []
        vectors: list[NDArray[np.float32]] = []
        owner: list[int] = []
        for _, clip in order:
            row = kept[clip]
            found = row.pop("vectors")
            if len(owner) + len(found) > most:
                break
            owner += [len(clips)] * len(found)
            vectors.append(found)
            clips.append(row)
        return Sampled(vectors_ND=np.concatenate(vectors), clip_N=np.array(owner, np.int64), clips=clips)


def _vectors(cell: Any) -> NDArray[np.float32]:
    values = cell.values
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(values), -1)


def vectors_of(encoded: EncodedSet, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """(C, D) of those clips in their order, of an encoder with one vector a clip.

    Raises IndexMismatch where one is missing.
    """
    wanted = {clip: i for i, clip in enumerate(clip_ids)}
    found: dict[int, NDArray[np.float32]] = {}
    for row in encoded.rows(vectors=True):
        if row["clip_id"] in wanted:
            found[wanted[row["clip_id"]]] = row["vectors"].mean(axis=0)
    if len(found) != len(clip_ids):
        raise IndexMismatch(
            f"{encoded.storage.url} has {len(found)} of the {len(clip_ids)} judged clips; remove it and run again"
        )
    return np.stack([found[i] for i in range(len(clip_ids))])
