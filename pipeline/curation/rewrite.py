"""Rows taken out of the files of a finished shard, so that a kill at any moment loses nothing.

Each new file is written beside the old one as NAME.next; then the marker, or another sealed JSON, which names the new
sha256; then NAME.next takes NAME's place. Whoever comes later can tell from the sealed JSON which of the two is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.crate.crate import CLIPS, LABELS, Crate
from pipeline.crate.schema import audio_columns
from pipeline.crate.seals import read_sealed, sealed_files, write_sealed
from pipeline.crate.shards import ShardWriter, own_file, part_name, read_marker
from pipeline.errors import CrateMismatch
from pipeline.parquet import parquet_file, read_table
from pipeline.storage import HashingFile, Storage

__all__ = ["counts_without", "drop_rows", "replace_files", "rewrite_clips", "rewrite_made", "settle"]

_NEXT = ".next"
Write = Callable[[HashingFile], None]


def replace_files(storage: Storage, sealed: str, said: Mapping[str, Any], files: Mapping[str, Write]) -> None:
    """Write `files` anew, and `sealed`, a JSON that says what `said` does and names their sha256."""
    written = {}
    for name, write in files.items():
        with storage.write(name + _NEXT) as file:
            write(file)
        written[name] = file
    write_sealed(storage, sealed, {**said, "files": {**said.get("files", {}), **sealed_files(written)}})
    settle(storage, sealed)


def settle(storage: Storage, sealed: str) -> None:
    """Finish, or forget, what `replace_files` was doing when it was interrupted.

    Raises CrateMismatch where a file is neither what the sealed JSON names nor about to become it.
    """
    for name, wrote in read_sealed(storage, sealed).get("files", {}).items():
        if storage.exists(name + _NEXT):
            if storage.sha256(name + _NEXT) == wrote["sha256"]:
                storage.rename(name + _NEXT, name)
            else:
                storage.remove(name + _NEXT)
        if not storage.exists(name) or storage.sha256(name) != wrote["sha256"]:
            raise CrateMismatch(
                f"{storage.url}/{name} is not what was written (missing, or its sha256 differs), so nothing is taken "
                "out of it; see what is wrong: cratedig verify, delete the shard and run its command again"
            )


def track_of(table: pa.Table) -> pa.ChunkedArray:
    """The track of each row, by its track_id or its clip_id."""
    if "track_id" in table.column_names:
        return table.column("track_id")
    return pc.replace_substring_regex(table.column("clip_id"), "-[0-9]+$", "")


def drop_rows(table: pa.Table, tracks: Iterable[str]) -> pa.Table:
    """The table without the rows of those tracks."""
    return table.filter(pc.invert(pc.is_in(track_of(table), value_set=pa.array(sorted(tracks), pa.string()))))


def _has(table: pa.Table, tracks: Iterable[str]) -> int:
    return int(pc.sum(pc.is_in(track_of(table), value_set=pa.array(sorted(tracks), pa.string()))).as_py() or 0)


def rewrite_clips(crate: Crate, shard: int, tracks: frozenset[str]) -> None:
    """A shard's clips and rejects without those tracks; the bytes of all other clips stay."""
    storage = crate.storage
    clips_part, rejects_part = crate.clips_part(shard), crate.rejects_part(shard)
    marker = read_marker(storage, *crate.at(CLIPS, shard))
    if marker is None:
        for name in (clips_part, rejects_part):  # never finished: it will be mined without them
            storage.remove(name)
        return
    marker_at = own_file(storage, *crate.at(CLIPS, shard))
    settle(storage, marker_at)
    with storage.open(clips_part) as file:
        clips = read_table(file, ["track_id"])
    with storage.open(rejects_part) as file:
        rejects = read_table(file)
    if not _has(clips, tracks) and not _has(rejects, tracks):
        return
    counts = counts_without(marker["counts"], clips, rejects, tracks)

    def write_clips(target: HashingFile) -> None:
        with storage.open(clips_part) as raw:
            parquet = parquet_file(raw)
            writer = ShardWriter(target, parquet.schema_arrow, media=audio_columns(crate.config))
            for group in range(parquet.num_row_groups):
                writer.add(drop_rows(parquet.read_row_group(group, use_threads=False), tracks).to_pylist())
            writer.close()

    def write_rejects(target: HashingFile) -> None:
        pq.write_table(drop_rows(rejects, tracks), target, compression="zstd")

    said = marker | {"rows": len(clips) - _has(clips, tracks), "counts": counts}
    replace_files(storage, marker_at, said, {clips_part: write_clips, rejects_part: write_rejects})


def counts_without(
    counts: Mapping[str, int], clips: pa.Table, rejects: pa.Table, tracks: frozenset[str]
) -> dict[str, int]:
    """A marker's counts less what those tracks had brought to them; `tracks_removed` counts them."""
    left = Counter(counts)
    with_clips = Counter(clips.column("track_id").to_pylist())
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in rejects.to_pylist():
        rows.setdefault(row["track_id"], []).append(row)
    for track in sorted(tracks & (with_clips.keys() | rows.keys())):
        mine = rows.get(track, [])
        left.update(tracks=-1, tracks_removed=1, clips=-with_clips[track])
        left.update(Counter({f"{r['level']}:{r['reason']}": 0 for r in mine}))
        for row in mine:
            left[f"{row['level']}:{row['reason']}"] -= 1
        if not with_clips[track] and not any(row["stage"] == "embed" for row in mine):
            left["tracks_rejected"] -= 1
            for reason in {row["reason"] for row in mine}:
                left[f"rejected-track:{reason}"] -= 1
    always = ("tracks", "tracks_rejected", "tracks_removed", "clips")
    return {name: count for name, count in sorted(left.items()) if count or name in always}


def rewrite_made(crate: Crate, folder: str, shard: int, tracks: frozenset[str]) -> None:
    """The shard of a label run, or of a set of candidates, without those tracks; the others' rows stay."""
    storage, place = crate.storage, crate.at(folder, shard)
    marker, part = read_marker(storage, *place), part_name(*place)
    if marker is None:
        storage.remove(part)
        return
    marker_at = own_file(storage, *place)
    settle(storage, marker_at)
    with storage.open(part) as file:
        table = read_table(file)
    if not (gone := _has(table, tracks)):
        return
    left = len(table) - gone

    def write(target: HashingFile) -> None:
        options: dict[str, Any] = {} if folder.startswith(LABELS) else {"use_dictionary": False}
        pq.write_table(drop_rows(table, tracks).combine_chunks(), target, compression="zstd", **options)

    counts = {name: count * left // max(len(table), 1) for name, count in marker["counts"].items()}
    replace_files(storage, marker_at, marker | {"rows": left, "counts": counts}, {part: write})
