"""removed.parquet: what was taken down. Ids and hashes alone, so that the list itself gives nothing away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ids import content_hash
from pipeline.parquet import read_table
from pipeline.storage import Storage

__all__ = [
    "DERIVED",
    "JOURNAL",
    "REMOVED_FILE",
    "Removal",
    "key_hash",
    "named_anywhere",
    "read_removed",
    "write_removed",
]

REMOVED_FILE = "removed.parquet"
JOURNAL = ".takedown.json"
"""Lies in a crate while a takedown is not finished."""
DERIVED = ("dedup", "splits", "decontaminate")
"""Folders of tables that are made of a crate's tracks and clips."""


@dataclass(frozen=True, kw_only=True, order=True)
class Removal:
    """One track that was taken down, and must not come back."""

    track_id: str
    key_hash: str
    """blake2b of the track's key."""
    source_sha256: str
    """Of its file; empty where no clip of it had been written."""
    source_bytes: int
    plan_row: str
    """Digest of its row in the plan; empty where it came from another crate's list."""
    reason: str
    """A code, such as `artist`, `licence`, `missing`."""
    date: str
    """As the caller gave it; empty otherwise."""


def key_hash(key: str) -> str:
    """How a removal names a key without saying it."""
    return content_hash(["key", key], digest_size=16)


def read_removed(storage: Storage, name: str = REMOVED_FILE) -> tuple[Removal, ...]:
    """All of a crate, by track id."""
    if not storage.exists(name):
        return ()
    with storage.open(name) as file:
        rows = read_table(file, [field.name for field in fields(Removal)]).to_pylist()
    return tuple(Removal(**row) for row in rows)


def write_removed(storage: Storage, removals: Iterable[Removal]) -> str:
    """By track id, each once; returns the file's sha256."""
    ordered = sorted({removal.track_id: removal for removal in removals}.values())
    schema = pa.schema([(f.name, pa.int64() if f.name == "source_bytes" else pa.string()) for f in fields(Removal)])
    with storage.write(REMOVED_FILE) as file:
        pq.write_table(pa.Table.from_pylist([asdict(r) for r in ordered], schema=schema), file, compression="zstd")
    return file.sha256


def named_anywhere(storage: Storage, tracks: set[str]) -> list[str]:
    """A sentence for each removed track that a page, card or table beside the shards still names."""
    names = ["README.md", "stats.json", "manifest.json", "report/index.html", "ATTRIBUTION.csv"]
    names += [f"{folder}/{name}" for folder in DERIVED for name in storage.list(folder)]
    said = []
    for name in names if tracks else ():
        if not storage.exists(name):
            continue
        if name.endswith(".parquet"):
            with storage.open(name) as file:
                words = {
                    str(value).partition("-")[0] for column in read_table(file).columns for value in column.to_pylist()
                }
            found = tracks & words
        else:
            text = storage.read_bytes(name).decode("utf-8", "replace")
            found = {track for track in tracks if track in text}
        said += [f"track {track} was taken down and is named in {name}" for track in sorted(found)]
    return said
