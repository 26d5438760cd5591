"""A few clips to look at and listen to: chosen by hash, spread over the tracks, read without their neighbours."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.report.runs import ReportRun
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.dataset import read_once
from pipeline.crate.shards import part_name
from pipeline.errors import CrateMismatch
from pipeline.ids import hash_u64
from pipeline.parquet import parquet_file, read_table

__all__ = ["Place", "PlacesWatcher", "SampledClip", "choose_places", "read_sample"]

_ROWS_AT_ONCE = 4
"""Audio of a row group is read in slices of so many clips."""
_TRACK = ("title", "artist", "album", "tags", "licence", "extra")
_COLUMNS = ("clip_id", "track_id", "index", "start_s", "duration_s", "music_score", *_TRACK)
_SOURCE = ("source_key", "source_codec", "source_sample_rate_hz", "source_channels", "rms_dbfs")


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where a chosen clip lies. Ordered as clips are chosen: every track's first, by hash, then their seconds."""

    turn: int
    key: int
    shard: int
    row: int
    clip_id: str


@dataclass(frozen=True, kw_only=True)
class SampledClip:
    """One clip with everything that the page shows of it."""

    place: Place
    row: dict[str, Any]
    """The clip's columns but its audio and its embedding."""
    flac: bytes
    embedding_D: NDArray[np.float32]
    labels: dict[str, Any]
    """The clip's row in the label run; empty without one."""


class PlacesWatcher:
    """Chooses `clips` clips as shards are seen."""

    def __init__(self, clips: int) -> None:
        self._clips = clips
        self._best: list[Place] = []

    def columns(self, shard: int) -> dict[str, list[str]]:
        return {CLIPS: ["clip_id", "track_id"]}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        tracks: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        ids = (tables[CLIPS].column(name).to_pylist() for name in ("clip_id", "track_id"))
        for row, (clip, track) in enumerate(zip(*ids, strict=True)):
            tracks[track].append((hash_u64("sample", clip), row, clip))
        here = [
            Place(turn=turn, key=key, shard=shard, row=row, clip_id=clip)
            for found in tracks.values()  # a track lies in one shard
            for turn, (key, row, clip) in enumerate(sorted(found))
        ]
        self._best = heapq.nsmallest(self._clips, self._best + here)

    def places(self) -> list[Place]:
        """In the order of the crate."""
        return sorted(self._best, key=lambda place: (place.shard, place.row))


def choose_places(crate: Crate, clips: int) -> list[Place]:
    """Reads the ids of all clips."""
    read_once(crate, [chosen := PlacesWatcher(clips)])
    return chosen.places()


def read_sample(crate: Crate, places: Sequence[Place], run: ReportRun | None) -> Iterator[SampledClip]:
    """In the order of the crate; one shard open, one slice of its audio in memory."""
    shards: dict[int, list[Place]] = defaultdict(list)
    for place in places:
        shards[place.shard].append(place)
    for shard, mine in sorted(shards.items()):
        labels = _labels(crate, run, shard, [place.row for place in mine])
        with crate.storage.open(crate.clips_part(shard)) as raw, parquet_file(raw, buffer_size=1 << 20) as file:
            for place, label in zip(mine, labels, strict=True):
                row = _row(file, place.row)
                if row["clip_id"] != place.clip_id or (label and label["clip_id"] != place.clip_id):
                    raise CrateMismatch(
                        f"row {place.row} of shard {shard} is another clip in the labels than among the clips; "
                        f"find out more with: cratedig verify {crate.storage.url}"
                    )
                flac, embedding_D = row.pop("audio")["bytes"], np.array(row.pop("embedding"), np.float32)
                yield SampledClip(place=place, row=row, flac=flac, embedding_D=embedding_D, labels=label)


def _row(file: pq.ParquetFile, row: int) -> dict[str, Any]:
    group = 0
    while row >= (rows := file.metadata.row_group(group).num_rows):
        row, group = row - rows, group + 1
    names = [*_COLUMNS, *_SOURCE, "audio", "embedding"]
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=names, use_threads=False):
        if row < len(batch):
            found: dict[str, Any] = batch.slice(row, 1).to_pylist()[0]
            return found
        row -= len(batch)
    raise IndexError(f"row group {group} ends before row {row}")


def _labels(crate: Crate, run: ReportRun | None, shard: int, rows: Sequence[int]) -> list[dict[str, Any]]:
    if run is None:
        return [{} for _ in rows]
    with crate.storage.open(part_name(*crate.at(run.folder, shard))) as file:
        found: list[dict[str, Any]] = read_table(file).take(list(rows)).to_pylist()
    return found
