"""The fixed table that says which tracks make which shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.schema import plan_schema
from pipeline.errors import CrateMismatch
from pipeline.parquet import read_rows
from pipeline.records import ShardPlan, Track
from pipeline.source.listing import Listing
from pipeline.storage import Storage

__all__ = ["PLAN_FILE", "PlanDigest", "PlanSummary", "plan_hash", "read_shard", "shard_count", "write_plan"]

PLAN_FILE = "plan.parquet"
_LARGEST_SHARD_TRACKS = 32
"""x 6 clips x 1.5 MB: below the 500 MB at which a Parquet file becomes a nuisance."""
_FEWEST_SHARDS = 16
"""A small collection is cut finer, so that it can be shared out."""
_PLAN_ROW_GROUP = 8_192


@dataclass(frozen=True, kw_only=True)
class PlanSummary:
    """What a plan comes to."""

    tracks: int
    shards: int
    hash: str


def shard_count(tracks: int, tracks_per_shard: int | None = None) -> int:
    """Number of shards; depends on the tracks alone, never on who works on them."""
    size = tracks_per_shard or max(1, min(_LARGEST_SHARD_TRACKS, tracks // _FEWEST_SHARDS))
    return -(-tracks // size)


def plan_hash(listing: Listing, shards: int) -> str:
    """Of everything in the plan that reaches a shard: ids, metadata and assignment, not where the files lie."""
    digest = PlanDigest(shards)
    digest.add(listing.tracks)
    return digest.hex()


class PlanDigest:
    """`plan_hash`, a few tracks at a time."""

    def __init__(self, shards: int) -> None:
        self._digest = hashlib.blake2b(f"{shards}\n".encode(), digest_size=8)

    def add(self, tracks: Iterable[Track]) -> None:
        for track in tracks:
            names = (track.track_id, track.key, track.title, track.artist, track.album, track.isrc)
            self._digest.update(repr((*names, track.tags, track.licence, track.extra)).encode())

    def hex(self) -> str:
        return self._digest.hexdigest()


def write_plan(storage: Storage, listing: Listing, shards: int) -> None:
    """Tracks in the order of their ids, dealt out in runs of equal length."""
    rows = [
        {
            "track_id": track.track_id,
            "key": track.key,
            "path": track.path,
            "shard": shard,
            "position": position,
            "title": track.title,
            "artist": track.artist,
            "album": track.album,
            "isrc": track.isrc,
            "tags": list(track.tags),
            "licence": track.licence,
            "extra": [{"name": name, "value": value} for name, value in track.extra],
        }
        for shard in range(shards)
        for position, track in enumerate(_run(listing, shard, shards))
    ]
    with storage.write(PLAN_FILE) as file:
        pq.write_table(
            pa.Table.from_pylist(rows, schema=plan_schema()), file, compression="zstd", row_group_size=_PLAN_ROW_GROUP
        )


def _run(listing: Listing, shard: int, shards: int) -> tuple[Track, ...]:
    total = len(listing.tracks)
    return listing.tracks[shard * total // shards : (shard + 1) * total // shards]


def read_shard(storage: Storage, index: int, count: int) -> ShardPlan:
    """The plan of one shard; only the row groups that hold it are read."""
    try:
        with storage.open(PLAN_FILE) as file:
            rows = read_rows(file, "shard", index).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise CrateMismatch(
            f"{storage.url}/{PLAN_FILE} cannot be read ({str(error).splitlines()[0]}); plan the same input into "
            "this crate again, which writes it anew: cratedig plan INPUT --out CRATE"
        ) from error
    return ShardPlan(index=index, count=count, tracks=tuple(_tracks(rows)))


def _tracks(rows: list[dict[str, object]]) -> Iterator[Track]:
    for row in sorted(rows, key=lambda row: int(str(row["position"]))):
        yield Track(
            track_id=str(row["track_id"]),
            key=str(row["key"]),
            path=str(row["path"]),
            title=str(row["title"]),
            artist=str(row["artist"]),
            album=str(row["album"]),
            isrc=str(row["isrc"]),
            tags=tuple(row["tags"]),  # type: ignore[arg-type]
            licence=str(row["licence"]),
            extra=tuple((pair["name"], pair["value"]) for pair in row["extra"]),  # type: ignore[attr-defined]
        )
