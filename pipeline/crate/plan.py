"""The fixed tables that say which tracks make which shard: one for each pour, as a crate's inputs came in.

A pour is written once and then stands: what comes later is another pour. In its table only paths may change (where
files lie now), and a track that was taken down leaves its place and the digest of its row, so that the pour's hash can
still be proved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.schema import plan_schema
from pipeline.errors import CrateMismatch
from pipeline.parquet import read_groups, read_table
from pipeline.records import ShardPlan, Track
from pipeline.storage import HashingFile, Storage

__all__ = [
    "MOST_SHARDS",
    "PLAN",
    "PlanDigest",
    "Pour",
    "as_tracks",
    "begin_pour",
    "deal",
    "place",
    "pour_file",
    "pour_name",
    "pour_tracks",
    "read_pour",
    "read_shard",
    "row_digest",
    "shard_count",
    "write_pour",
]

PLAN = "plan"
MOST_SHARDS = 4_096
"""Of one pour, whose shards lie in one folder with their markers: fewer than 10,000 files, four digits."""
_LARGEST_SHARD_TRACKS = 32
"""x 6 clips x 1.5 MB: below the 500 MB at which a Parquet file becomes a nuisance."""
_FEWEST_SHARDS = 16
"""A small collection is cut finer, so that it can be shared out."""
_PLAN_ROW_GROUP = 8_192


@dataclass(frozen=True, kw_only=True)
class Pour:
    """Tracks that came into a crate together, and the shards that they make."""

    tracks: int
    shards: int
    hash: str
    """Of everything in its table that reaches a shard; what was taken down since counts with its digest."""
    sha256: str = ""
    """Of its table's file."""
    source: str = ""
    """Where its input was; for people, and for what has left that input since."""


def pour_name(number: int) -> str:
    """`pour-00003`: the folder of a pour's shards; 99,999 of them sort by name."""
    return f"pour-{number:05d}"


def pour_file(number: int) -> str:
    """`plan/pour-00003.parquet`."""
    return f"{PLAN}/{pour_name(number)}.parquet"


def place(folder: str, shard: int, pours: Sequence[int]) -> tuple[str, int, int]:
    """Where a crate's shard lies: the pour's folder below `folder`, the shard's number in it, and of how many.

    pours: shards of each pour. Shards are numbered through the whole crate.
    """
    for number, shards in enumerate(pours):
        if shard < shards:
            return f"{folder}/{pour_name(number)}", shard, shards
        shard -= shards
    raise IndexError(f"shard {shard} lies beyond the last of {len(pours)} pours")


def shard_count(tracks: int, tracks_per_shard: int | None = None) -> int:
    """Number of shards; depends on the tracks alone, never on who works on them."""
    return -(-tracks // _shard_tracks(tracks, tracks_per_shard)) if tracks else 0


def _shard_tracks(tracks: int, tracks_per_shard: int | None) -> int:
    return tracks_per_shard or max(1, min(_LARGEST_SHARD_TRACKS, tracks // _FEWEST_SHARDS))


def deal(tracks: Sequence[Track], tracks_per_shard: int | None = None) -> Iterator[tuple[Sequence[Track], int]]:
    """Tracks in the order of their ids as pours of at most MOST_SHARDS shards: (tracks, shards) of each."""
    size = _shard_tracks(len(tracks), tracks_per_shard)
    for start in range(0, len(tracks), size * MOST_SHARDS):
        part = tracks[start : start + size * MOST_SHARDS]
        yield part, -(-len(part) // size)


def row_digest(track: Track) -> str:
    """Of all that a plan says of a track but where its file lies."""
    names = (track.track_id, track.key, track.title, track.artist, track.album, track.isrc)
    row = (*names, track.tags, track.licence, track.extra)
    return hashlib.blake2b(repr(row).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


class PlanDigest:
    """A pour's hash, a few rows at a time."""

    def __init__(self, shards: int) -> None:
        self._digest = hashlib.blake2b(f"{shards}\n".encode(), digest_size=8)

    def add(self, digests: Iterable[str]) -> None:
        """Digests of rows, in the pour's order."""
        for digest in digests:
            self._digest.update(digest.encode() + b"\n")

    def hex(self) -> str:
        return self._digest.hexdigest()


def begin_pour(storage: Storage, number: int, tracks: Sequence[Track], shards: int, source: str) -> Pour:
    """Write a pour's table: its tracks in the order of their ids, dealt out in runs of equal length."""
    digest = PlanDigest(shards)
    digest.add(row_digest(track) for track in tracks)
    bounds = [shard * len(tracks) // shards for shard in range(shards + 1)]
    sizes = np.diff(bounds)
    columns: dict[str, Any] = {  # a column at a time: rows as dictionaries would take a kilobyte a track
        "shard": np.repeat(np.arange(shards), sizes),
        "position": np.arange(len(tracks)) - np.repeat(bounds[:-1], sizes),
        "extra": [[{"name": name, "value": value} for name, value in track.extra] for track in tracks],
        "removed": [""] * len(tracks),
    }
    schema = plan_schema()
    arrays = []
    for field in schema:
        own = columns.pop(field.name, None)
        values = [getattr(track, field.name) for track in tracks] if own is None else own
        arrays.append(pa.array(values, field.type))
    file = _write(storage, number, pa.table(arrays, schema=schema))
    return Pour(tracks=len(tracks), shards=shards, hash=digest.hex(), sha256=file.sha256, source=source)


def write_pour(storage: Storage, number: int, rows: Sequence[Mapping[str, Any]]) -> HashingFile:
    """A pour's table, as `read_pour` gave it."""
    return _write(storage, number, pa.Table.from_pylist(rows, schema=plan_schema()))


def _write(storage: Storage, number: int, table: pa.Table) -> HashingFile:
    with storage.write(pour_file(number)) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=_PLAN_ROW_GROUP)
    return file


def read_pour(storage: Storage, number: int) -> list[dict[str, Any]]:
    """A pour's whole table; a row that was taken down has nothing but its place and its digest, `removed`."""
    try:
        with storage.open(pour_file(number)) as file:
            rows: list[dict[str, Any]] = read_table(file).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(storage, number, error) from error
    return rows


def pour_tracks(storage: Storage, number: int) -> Iterator[Track]:
    """The tracks of a pour that were not taken down, without all of its rows in memory."""
    try:
        with storage.open(pour_file(number)) as file:
            table = read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(storage, number, error) from error
    for batch in table.to_batches(max_chunksize=_PLAN_ROW_GROUP):
        yield from as_tracks(batch.to_pylist())


def read_shard(storage: Storage, number: int, index: int, count: int, *, sha256: str = "") -> ShardPlan:
    """The plan of one shard of a pour.

    sha256: of the pour's table; given it, the rows around the shard's, once read, serve its neighbours as well.
    """
    global _rows_read
    key = (storage.url, number, sha256)
    known = _rows_read if sha256 and _rows_read is not None and _rows_read[0] == key else None
    if known is None or not _holds(known[1], index):
        try:
            with storage.open(pour_file(number)) as file:
                known = key, read_groups(file, "shard", index)
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(storage, number, error) from error
        _rows_read = known
    table = known[1]
    shards = table.column("shard").to_numpy()
    first, end = np.searchsorted(shards, [index, index + 1]).tolist()
    rows = table.slice(first, end - first).to_pylist()
    rows.sort(key=lambda row: int(row["position"]))
    tracks = tuple(as_tracks(rows))
    digests = iter(row_digest(track) for track in tracks)
    return ShardPlan(
        index=index,
        count=count,
        tracks=tracks,
        digests=tuple(row["removed"] or next(digests) for row in rows),
        removed=tuple(row["removed"] for row in rows if row["removed"]),
    )


_rows_read: tuple[tuple[str, int, str], pa.Table] | None = None
"""Row groups of a pour that were read last: 8,192 rows, some megabytes."""


def _holds(table: pa.Table, index: int) -> bool:
    """Whether all rows of that shard are in the table: there are others before and after them."""
    shards = table.column("shard")
    return len(table) > 0 and shards[0].as_py() < index < shards[-1].as_py()


def _unreadable(storage: Storage, number: int, error: Exception) -> CrateMismatch:
    return CrateMismatch(
        f"{storage.url}/{pour_file(number)} cannot be read ({str(error).splitlines()[0]}); restore it from a copy, or "
        "mine the input into another folder"
    )


def as_tracks(rows: Iterable[Mapping[str, Any]]) -> Iterator[Track]:
    """The tracks of a plan's rows, without those that were taken down."""
    for row in rows:
        if not row["removed"]:
            yield Track(
                **{
                    name: row[name]
                    for name in ("track_id", "key", "path", "title", "artist", "album", "isrc", "licence")
                },
                tags=tuple(row["tags"]),
                extra=tuple((pair["name"], pair["value"]) for pair in row["extra"]),
            )
