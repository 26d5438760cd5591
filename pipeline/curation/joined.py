"""Shards of a crate on their way into another one, where some of its tracks stand already, or their names do."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.plan import PlanDigest, Pour, as_tracks, read_pour, row_digest, write_pour
from pipeline.crate.schema import audio_columns, rejects_schema
from pipeline.crate.seals import sealed_files
from pipeline.crate.shards import ShardWriter, part_name
from pipeline.curation.rewrite import counts_without, drop_rows
from pipeline.ids import track_id
from pipeline.parquet import parquet_file, read_table
from pipeline.records import Track
from pipeline.storage import HashingFile

__all__ = ["Clash", "clash", "joined_pour", "joined_shard"]


@dataclass(kw_only=True)
class Clash:
    """What of a crate cannot come into another one as it is."""

    dropped: set[str] = field(default_factory=set)
    """Ids of tracks whose very file stands there under the same key: one copy is kept."""
    renamed: dict[str, Track] = field(default_factory=dict)
    """Id -> the track under a key of its own, where another file has its key there."""

    def __bool__(self) -> bool:
        return bool(self.dropped or self.renamed)


def clash(crate: Crate, seen: Mapping[str, str]) -> tuple[Clash, dict[str, str]]:
    """What a crate has in common with others, and its own tracks as they will stand: id -> source sha256.

    seen: of the crates before it. A track without a clip has no hash; two of them under one key are one reject.
    """
    hashes = dict[str, str]()
    for shard in crate.shards:
        with crate.storage.open(crate.clips_part(shard)) as file:
            table = read_table(file, ["track_id", "source_sha256"])
        hashes |= dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    name = posixpath.basename(crate.storage.url.rstrip("/")) or "crate"
    found, mine = Clash(), dict[str, str]()
    tracks = [t for number in range(len(crate.pours)) for t in as_tracks(read_pour(crate.storage, number))]
    taken = {*seen, *(track.track_id for track in tracks)}
    for track in tracks:
        said = hashes.get(track.track_id, "")
        if (there := seen.get(track.track_id)) is None:
            mine[track.track_id] = said
        elif said == there:
            found.dropped.add(track.track_id)
        else:
            key, number = f"{name}/{track.key}", 2
            while track_id(key) in taken:
                key, number = f"{name}-{number}/{track.key}", number + 1
            found.renamed[track.track_id] = new = replace(track, key=key, track_id=track_id(key))
            taken.add(new.track_id)
            mine[new.track_id] = said
    return found, mine


def joined_pour(crate: Crate, number: int, clashes: Clash, merged: Crate, as_number: int) -> Pour:
    """A pour's table without what is dropped and with new names; another pour, where that changes it."""
    pour, rows = crate.pours[number], read_pour(crate.storage, number)
    rows = [row for row in rows if row["track_id"] not in clashes.dropped]
    for row in rows:
        if (new := clashes.renamed.get(row["track_id"])) is not None:
            row |= {"track_id": new.track_id, "key": new.key}
    digest = PlanDigest(pour.shards)
    digests = iter([row_digest(track) for track in as_tracks(rows)])
    digest.add(row["removed"] or next(digests) for row in rows)
    sha256 = write_pour(merged.storage, as_number, rows).sha256
    return replace(pour, tracks=len(rows), hash=digest.hex(), sha256=sha256)


def joined_shard(
    crate: Crate, index: int, clashes: Clash, merged: Crate, shard: int, folder: str, marker: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Write a shard of clips with its rejects, or of candidates, where one of its tracks clashes; the marker that it
    has then. None where none does."""
    ids = {track.track_id for track in crate.plan(index).tracks}
    dropped = frozenset(ids & clashes.dropped)
    if not dropped and not ids & clashes.renamed.keys():
        return None
    part = part_name(*crate.at(folder, index))
    new_part = part_name(*merged.at(folder, shard))
    if folder != CLIPS:
        with crate.storage.open(part) as file:
            table = drop_rows(read_table(file), dropped)
        clips = [_clip(clip, clashes) for clip in table.column("clip_id").to_pylist()]
        at = table.column_names.index("clip_id")
        table = table.set_column(at, table.schema.field(at), pa.chunked_array([pa.array(clips, pa.string())]))
        with merged.storage.write(new_part) as wrote:
            pq.write_table(table.combine_chunks(), wrote, compression="zstd", use_dictionary=False)
        return {**marker, "rows": len(table), "files": sealed_files({new_part: wrote})}
    with crate.storage.open(part) as file:
        clips_before = read_table(file, ["track_id"])
    with crate.storage.open(crate.rejects_part(index)) as file:
        rejects = read_table(file)
    files = {new_part: _clips(crate, index, dropped, clashes, merged, new_part)}
    with merged.storage.write(merged.rejects_part(shard)) as wrote:
        rows = [_renamed(row, clashes, key="key") for row in drop_rows(rejects, dropped).to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=rejects_schema()), wrote, compression="zstd")
    files[merged.rejects_part(shard)] = wrote
    counts = counts_without(marker["counts"], clips_before, rejects, dropped)
    counts["tracks_removed"] -= len(dropped)  # nothing was taken down: they stand in the other crate
    gone = int(pc.sum(pc.is_in(clips_before.column(0), value_set=pa.array(sorted(dropped), pa.string()))).as_py() or 0)
    return {**marker, "rows": len(clips_before) - gone, "counts": counts, "files": sealed_files(files)}


def _clips(crate: Crate, index: int, dropped: frozenset[str], clashes: Clash, merged: Crate, part: str) -> HashingFile:
    """Rows as they were but for names; the bytes of their audio are copied."""
    media = audio_columns(crate.config)
    with crate.storage.open(crate.clips_part(index)) as raw, merged.storage.write(part) as wrote:
        parquet = parquet_file(raw)
        writer = ShardWriter(wrote, parquet.schema_arrow, media=media)
        for group in range(parquet.num_row_groups):
            rows = drop_rows(parquet.read_row_group(group, use_threads=False), dropped).to_pylist()
            for row in rows:
                clip = _clip(row["clip_id"], clashes)
                for name in media:
                    row[name]["path"] = row[name]["path"].replace(row["clip_id"], clip)
                row["clip_id"] = clip
            writer.add([_renamed(row, clashes, key="source_key") for row in rows])
        writer.close()
    return wrote


def _clip(clip: str, clashes: Clash) -> str:
    track, _, start = clip.rpartition("-")
    return f"{clashes.renamed[track].track_id}-{start}" if track in clashes.renamed else clip


def _renamed(row: dict[str, Any], clashes: Clash, *, key: str) -> dict[str, Any]:
    new = clashes.renamed.get(row["track_id"])
    return row if new is None else row | {"track_id": new.track_id, key: new.key}
