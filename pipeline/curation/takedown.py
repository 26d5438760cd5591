"""Tracks taken out of a crate for good: audio, captions, names. What is left is an id and hashes in removed.parquet.

The order survives a kill at any point. A journal says that a takedown is under way; the removal list comes first, so
that from then on it can be finished by anybody; counts are lowered before the candidates that they are lowered by are
gone; the plan, which says where a track lies, comes after all that. Every step looks at what is there, and does the
rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.crate import CLIPS, LABELS, SET_FILE, Crate, candidate_sets
from pipeline.crate.plan import as_tracks, pour_file, read_pour, row_digest, write_pour
from pipeline.crate.removed import DERIVED, JOURNAL, REMOVED_FILE, Removal, key_hash, read_removed, write_removed
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import part_name, read_marker
from pipeline.curation.rewrite import drop_rows, replace_files, rewrite_clips, rewrite_made, settle
from pipeline.errors import BadInput
from pipeline.parquet import read_table
from pipeline.records import Track
from pipeline.storage import HashingFile, Storage

__all__ = ["Known", "end_takedown", "finish_takedown", "known_tracks", "take_down", "with_copies"]


@dataclass(frozen=True, kw_only=True)
class Known:
    """A track as far as a takedown can be asked for it."""

    track: Track
    artists: frozenset[str]
    """As the list has it, and as the file says."""
    source_sha256: str = ""
    source_bytes: int = 0
    clips: int = 0
    seconds: float = 0.0


def known_tracks(crate: Crate) -> dict[str, Known]:
    """Every track of a crate that is not taken down, by id."""
    found: dict[str, Known] = {}
    columns = ["track_id", "artist", "source_sha256", "source_bytes", "duration_s"]
    for shard, marker in enumerate(crate.markers(CLIPS)):
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if marker is not None:
            with crate.storage.open(crate.clips_part(shard)) as file:
                for row in read_table(file, columns).to_pylist():
                    rows[row["track_id"]].append(row)
        for track in crate.plan(shard).tracks:
            mine = rows[track.track_id]
            found[track.track_id] = Known(
                track=track,
                artists=frozenset({track.artist, *(row["artist"] for row in mine)} - {""}),
                source_sha256=mine[0]["source_sha256"] if mine else "",
                source_bytes=mine[0]["source_bytes"] if mine else 0,
                clips=len(mine),
                seconds=sum(row["duration_s"] for row in mine),
            )
    return found


def with_copies(known: dict[str, Known], chosen: Iterable[str]) -> set[str]:
    """The chosen tracks and all whose files have the same bytes: a source goes under all its names."""
    ids = set(chosen)
    hashes = {known[track].source_sha256 for track in ids} - {""}
    return ids | {track for track, about in known.items() if about.source_sha256 in hashes}


def take_down(
    crate: Crate,
    known: dict[str, Known],
    chosen: Iterable[str],
    *,
    reason: str,
    date: str = "",
    page: str | None = None,
) -> Crate:
    """Take the chosen tracks out. `page`: what `finish_takedown` needs to know later, should this be interrupted.

    An earlier takedown that was not finished is finished first.
    """
    storage = crate.storage
    if storage.exists(JOURNAL):
        raise BadInput(f"a takedown of {storage.url} was begun and not finished; finish it first: --resume")
    with storage.lock():
        new = [
            Removal(
                track_id=track,
                key_hash=key_hash(known[track].track.key),
                source_sha256=known[track].source_sha256,
                source_bytes=known[track].source_bytes,
                plan_row=row_digest(known[track].track),
                reason=reason,
                date=date,
            )
            for track in sorted(set(chosen))
        ]
        write_sealed(storage, JOURNAL, {"page": page})
        write_removed(storage, [*read_removed(storage), *new])
    return finish_takedown(crate)


def finish_takedown(crate: Crate) -> Crate:
    """Do what is left of a takedown in the crate itself; the journal stays until `end_takedown`."""
    storage = crate.storage
    with storage.lock():
        removed = frozenset(removal.track_id for removal in read_removed(storage))
        touched = _touched(crate, removed)
        sets = candidate_sets(storage)
        runs = [f"{LABELS}/{n}" for n in storage.list(LABELS)]
        for folder in sets:
            _lower_counts(crate, folder, touched, removed)
        for shard in touched:
            for folder in (*sets, *runs):
                rewrite_made(crate, folder, shard, removed)
            rewrite_clips(crate, shard, removed)
        crate = _out_of_plan(crate, removed)
        for folder in DERIVED:
            _out_of_tables(storage, folder, removed)
        for name in ("stats.json", "report", ".progress"):
            storage.remove(name)
        _sweep(storage)
    return crate


def _touched(crate: Crate, removed: frozenset[str]) -> list[int]:
    """Shards that the plan still has a removed track in."""
    found, start = set[int](), 0
    for number, pour in enumerate(crate.pours):
        rows = read_pour(crate.storage, number)
        found |= {start + row["shard"] for row in rows if row["track_id"] in removed}
        start += pour.shards
    return sorted(found)


def _lower_counts(crate: Crate, folder: str, touched: Sequence[int], removed: frozenset[str]) -> None:
    """A set's counts less the candidates of the removed clips, once: they are counted while they are still there."""
    storage, sealed = crate.storage, f"{folder}/{SET_FILE}"
    if not storage.exists(sealed):
        return
    settle(storage, sealed)
    said = read_sealed(storage, sealed)
    if said["covers"]["removed"] == len(removed):
        return
    gone: Counter[int] = Counter()
    for shard in (shard for shard in touched if crate.pour_of(shard) < said["covers"]["pours"]):
        if read_marker(storage, *crate.at(folder, shard)) is not None:
            with storage.open(part_name(*crate.at(folder, shard))) as file:
                table = read_table(file, ["clip_id", "caption_id"])
            kept = set(drop_rows(table, removed).column("clip_id").to_pylist())
            for clip, captions in zip(*(c.to_pylist() for c in table.columns), strict=True):
                gone.update(captions if clip not in kept else ())
    (name,) = said["files"]
    with storage.open(name) as file:
        table = read_table(file)
    ids, counts = (table.column(column).to_pylist() for column in ("caption_id", "count"))
    lowered = pa.array([count - gone[caption] for caption, count in zip(ids, counts, strict=True)], pa.int64())
    table = table.set_column(table.schema.get_field_index("count"), "count", lowered)
    table = table.filter(pa.compute.greater(lowered, 0)).combine_chunks()

    def write(target: HashingFile) -> None:
        pq.write_table(table, target, compression="zstd", use_dictionary=False)

    covers = said["covers"] | {"removed": len(removed)}
    replace_files(storage, sealed, said | {"covers": covers}, {name: write})


def _out_of_plan(crate: Crate, removed: frozenset[str]) -> Crate:
    """The rows of removed tracks keep their place and their digest; the header names the new files."""
    pours = []
    for number, pour in enumerate(crate.pours):
        rows = read_pour(crate.storage, number)
        if any(row["track_id"] in removed for row in rows):
            crate.storage.remove(f"{pour_file(number)}.next")
            rows = [_emptied(row) if row["track_id"] in removed else row for row in rows]
            sha256 = write_pour(crate.storage, number, rows).sha256
        else:
            sha256 = crate.storage.sha256(pour_file(number))
        pours.append(replace(pour, sha256=sha256))
    listed = crate.storage.sha256(REMOVED_FILE) if removed else ""
    crate = replace(crate, pours=tuple(pours), removed=len(removed), removed_sha256=listed)
    crate.write_header()
    return crate


def _emptied(row: dict[str, Any]) -> dict[str, Any]:
    (track,) = as_tracks([row])
    empty = {name: [] if isinstance(value, list) else "" for name, value in row.items()}
    return empty | {"shard": row["shard"], "position": row["position"], "removed": row_digest(track)}


def _out_of_tables(storage: Storage, folder: str, removed: frozenset[str]) -> None:
    """Rows that name a removed track, or a clip of one, in any column of text."""
    for name in storage.list(folder, ".parquet"):
        with storage.open(f"{folder}/{name}") as file:
            table = read_table(file)
        texts = [c for c in table.column_names if pa.types.is_string(table.schema.field(c).type)]
        values = [[str(value or "").partition("-")[0] for value in table.column(c).to_pylist()] for c in texts]
        keep = [removed.isdisjoint(row) for row in zip(*values, strict=True)]
        if not all(keep):
            with storage.write(f"{folder}/{name}") as target:
                pq.write_table(table.filter(pa.array(keep)), target, compression="zstd")


def _sweep(storage: Storage) -> None:
    """What interrupted writers left anywhere in the crate may hold what was taken down."""
    for path in storage.fs.find(storage.root):
        if path.rpartition("/")[2].startswith(".tmp-"):
            storage.fs.rm(path)


def end_takedown(crate: Crate) -> None:
    """Everything that is made of the crate has followed, too."""
    crate.storage.remove(JOURNAL)
