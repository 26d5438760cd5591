"""One shard on disk: Parquet parts written under a temporary name, and a marker that is written last.

A shard counts as done when its marker carries the hash of what was asked for and every file it names is there with
its size. `verify` also reads the files and compares their sha256.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.seals import read_sealed, sealed_files, write_sealed
from pipeline.errors import BadInput
from pipeline.records import ShardReport
from pipeline.storage import HashingFile, Storage

__all__ = ["ROW_GROUP_ROWS", "ShardWriter", "is_done", "marker_name", "part_name", "read_marker", "write_marker"]

ROW_GROUP_ROWS = 96
"""About 100 rows of audio a group, so that a reader can take a slice without the whole file."""


def part_name(folder: str, index: int, count: int, suffix: str = "parquet") -> str:
    """`FOLDER/part-00007-of-00128.parquet`; names sort by number however many there are."""
    digits = max(5, len(str(count)))
    return f"{folder}/part-{index:0{digits}d}-of-{count:0{digits}d}.{suffix}"


def marker_name(folder: str, index: int, count: int) -> str:
    """The file that says that a shard is finished."""
    return part_name(folder, index, count, "done.json")


class ShardWriter:
    """Rows to one Parquet file in groups of fixed size, or smaller where `group_bytes` of media are full before;
    media columns are stored as they are."""

    def __init__(
        self, file: HashingFile, schema: pa.Schema, *, media: Iterable[str] = (), group_bytes: int | None = None
    ) -> None:
        media = tuple(media)
        self._schema, self._media = schema, media
        self._group_bytes, self._held_bytes = group_bytes, 0
        self._rows: list[Mapping[str, Any]] = []
        leaves = [f"{name}.bytes" for name in media]
        plain = [name for name in schema.names if name not in set(media)]
        compression = dict.fromkeys(leaves, "none") | dict.fromkeys(_leaf_names(schema, plain), "zstd")
        compression |= {f"{name}.path": "zstd" for name in media}
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression=compression,
            use_dictionary=[n for n in _leaf_names(schema, plain) if not n.startswith("embedding")],
            write_statistics=[n for n in plain if not pa.types.is_nested(schema.field(n).type)],
        )
        self.rows = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self._group_bytes is not None:
            size = sum(len(row[name]["bytes"]) for row in rows for name in self._media)
            if self._rows and self._held_bytes + size > self._group_bytes:
                self._flush(len(self._rows))
            self._held_bytes += size
        self._rows.extend(rows)
        while len(self._rows) >= ROW_GROUP_ROWS:
            self._flush(ROW_GROUP_ROWS)

    def close(self) -> None:
        if self._rows:
            self._flush(len(self._rows))
        self._writer.close()

    def _flush(self, rows: int) -> None:
        batch, self._rows = self._rows[:rows], self._rows[rows:]
        self._held_bytes = 0 if not self._rows else self._held_bytes
        self._writer.write_table(pa.Table.from_pylist(batch, schema=self._schema))
        self.rows += rows


def _leaf_names(schema: pa.Schema, columns: Iterable[str]) -> list[str]:
    """Parquet's names of the leaf columns below `columns`."""

    def leaves(prefix: str, kind: pa.DataType) -> Iterable[str]:
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            yield from leaves(f"{prefix}.list.element", kind.value_type)
        elif pa.types.is_struct(kind):
            for field in kind:
                yield from leaves(f"{prefix}.{field.name}", field.type)
        else:
            yield prefix

    return [leaf for name in columns for leaf in leaves(name, schema.field(name).type)]


def write_marker(
    storage: Storage,
    folder: str,
    index: int,
    count: int,
    report: ShardReport,
    *,
    run_hash: str,
    files: Mapping[str, HashingFile],
) -> None:
    """The last act of a shard. `files` maps names below the crate's root to what was written."""
    marker = asdict(report) | {
        "run_hash": run_hash,
        "files": sealed_files(files),
    }
    write_sealed(storage, marker_name(folder, index, count), marker)


def read_marker(storage: Storage, folder: str, index: int, count: int) -> dict[str, Any] | None:
    """The marker's content; None where the shard was never finished, or its marker is damaged."""
    name = marker_name(folder, index, count)
    if not storage.exists(name):
        return None
    try:
        marker = read_sealed(storage, name)
        complete = {"run_hash", "rows", "counts", "files"} <= set(marker)
        return marker if complete and all({"bytes", "sha256"} <= set(f) for f in marker["files"].values()) else None
    except (BadInput, TypeError, AttributeError):
        return None


def is_done(storage: Storage, folder: str, index: int, count: int, run_hash: str) -> bool:
    """Whether the shard is finished, for this very configuration, and its files are there in full length."""
    marker = read_marker(storage, folder, index, count)
    if marker is None or marker.get("run_hash") != run_hash:
        return False
    return all(storage.exists(name) and storage.size(name) == f["bytes"] for name, f in marker["files"].items())
