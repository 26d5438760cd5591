"""One shard on disk: Parquet parts written under a temporary name, and a marker that is written last.

A shard counts as done when its marker carries the hash of what was asked for and every file it names is there with
its size. `verify` also reads the files and compares their sha256.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.ledger import checked, put_marker, read_markers, read_moved
from pipeline.crate.seals import sealed_files, write_sealed
from pipeline.ids import sha256_of
from pipeline.parquet import read_table
from pipeline.records import ShardReport
from pipeline.storage import HashingFile, Listed, Storage
from pipeline.threads import in_order

__all__ = [
    "ROW_GROUP_ROWS",
    "CheckedFiles",
    "Place",
    "ShardWriter",
    "check_files",
    "is_done",
    "marker_name",
    "own_file",
    "part_name",
    "read_all",
    "read_marker",
    "undone",
    "write_marker",
]

Place = tuple[str, int, int]
"""Where a shard lies: folder, its number in it, and of how many."""

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
            **({"write_batch_size": 1} if group_bytes is not None else {}),
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
        self._writer.write_table(self._table(batch))
        self.rows += rows

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Where row groups are counted in bytes, media are not copied together: a chunk a row, a page a chunk."""
        if self._group_bytes is None:
            return pa.Table.from_pylist(rows, schema=self._schema)
        bare = [{name: value for name, value in row.items() if name not in self._media} for row in rows]
        table = pa.Table.from_pylist(bare, schema=self._schema)
        for name in self._media:
            chunks = [_media_chunk(row[name], self._schema.field(name).type) for row in rows]
            table = table.set_column(self._schema.names.index(name), self._schema.field(name), pa.chunked_array(chunks))
        return table


def _media_chunk(value: Mapping[str, Any], kind: pa.DataType) -> pa.Array:
    """One row of a media column over the very bytes that it was given."""
    data = value["bytes"]
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    binary = pa.BinaryArray.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)])
    return pa.StructArray.from_arrays([binary, pa.array([value["path"]], pa.string())], fields=list(kind))


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
    put_marker(storage, marker_name(folder, index, count), marker)


def read_marker(storage: Storage, folder: str, index: int, count: int) -> dict[str, Any] | None:
    """The marker's content; None where the shard was never finished, or its marker is damaged. For all of a folder's
    see `read_all`."""
    name = marker_name(folder, index, count)
    try:
        return checked(storage.read_bytes(name))
    except FileNotFoundError:
        return read_moved(storage, folder, posixpath.basename(name))


def read_all(storage: Storage, places: Iterable[Place], *, copies: bool = True) -> Iterator[dict[str, Any] | None]:
    """The markers of shards at these places, a folder after the other; None where `read_marker` says it."""
    for folder, here in itertools.groupby(places, key=lambda place: place[0]):
        markers, _ = read_markers(storage, folder, copies=copies)
        for place in here:
            yield markers.get(posixpath.basename(marker_name(*place)))


def undone(storage: Storage, places: Iterable[Place], run_hash: Callable[[int], str]) -> list[int]:
    """Which of the places, by their number, hold no finished shard of what `run_hash` says of that number.

    A shard is finished where its files are there in full length, as far as listings show: on an object store only the
    folder of the marker is listed. `verify` reads all files.
    """
    groups = [(folder, list(here)) for folder, here in itertools.groupby(enumerate(places), key=lambda at: at[1][0])]
    left: list[int] = []
    folders = [folder for folder, _ in groups]
    looks: Iterable[dict[str, str]] = (_finished(storage, folder) for folder in folders)
    if not storage.is_local:  # a disk answers faster than threads take turns
        looks = in_order(lambda folder: _finished(storage, folder), folders, at_once=_AT_ONCE)
    for (_, here), finished in zip(groups, looks, strict=True):
        for number, (_, index, count) in here:
            if finished.get(marker_name("", index, count)[1:]) != run_hash(number):
                left.append(number)
    return left


_AT_ONCE = 8


def _finished(storage: Storage, folder: str) -> dict[str, str]:
    """Of a folder: marker's file -> its run hash, where the files that it names are there in full length."""
    markers, listed = read_markers(storage, folder)
    lying: dict[str, Mapping[str, Listed] | None] = {folder: listed}
    finished = {}
    for name, marker in markers.items():
        for file, wrote in marker["files"].items():
            where, _, base = file.rpartition("/")
            if where not in lying:
                lying[where] = None if storage.is_object_store else storage.listed(where)
            files = lying[where]
            if files is not None and (base not in files or files[base].size != wrote["bytes"]):
                break
        else:
            finished[name] = str(marker["run_hash"])
    return finished


def is_done(storage: Storage, folder: str, index: int, count: int, run_hash: str) -> bool:
    """Whether the shard is finished, for this very configuration, and its files are there in full length."""
    marker = read_marker(storage, folder, index, count)
    if marker is None or marker.get("run_hash") != run_hash:
        return False
    return all(storage.exists(name) and storage.size(name) == f["bytes"] for name, f in marker["files"].items())


def own_file(storage: Storage, folder: str, index: int, count: int) -> str:
    """The name of a marker that is about to be changed as a file: taken out of the ledger where it lies there."""
    name = marker_name(folder, index, count)
    if not storage.exists(name) and (marker := read_moved(storage, folder, posixpath.basename(name))) is not None:
        write_sealed(storage, name, marker)
    return name


@dataclass(frozen=True, kw_only=True)
class CheckedFiles:
    """A shard's files as they were found."""

    faults: tuple[str, ...] = ()
    marker: Mapping[str, Any] = field(default_factory=dict)
    tables: list[pa.Table] | None = None
    """The columns that are compared, a table a file; None where a fault hides them."""
    hashes: Mapping[str, str] = field(default_factory=dict)


def check_files(
    storage: Storage, names: Sequence[tuple[str, list[str]]], marker: Mapping[str, Any] | None, run_hash: str
) -> CheckedFiles:
    """The files of a shard where its marker is of this run and they are what was written; else the fault."""
    name = names[0][0]
    if marker is None:
        return CheckedFiles(faults=(f"{name} was never finished (no marker, or a damaged one); run the job again",))
    if marker.get("run_hash") != run_hash:
        return CheckedFiles(faults=(f"{name} was made for {marker.get('run_hash')}, this run is {run_hash}",))
    tables, hashes, columns = [], {}, dict(names)
    for file, wrote in marker["files"].items():
        try:
            hashes[file], table = _hashed(storage, file, columns.get(file), wrote["sha256"])
        except FileNotFoundError:
            return CheckedFiles(faults=(f"{file} is missing",))
        if hashes[file] != wrote["sha256"]:
            fault = f"{file} was changed after it was written (sha256 differs); delete it and run again"
            return CheckedFiles(faults=(fault,))
        if table is not None:
            tables.append((file, table))
    if missing := [file for file, _ in names if file not in hashes]:
        return CheckedFiles(faults=(f"the marker of {name} does not name {missing[0]}; run the job again",))
    return CheckedFiles(marker=marker, tables=[dict(tables)[file] for file, _ in names], hashes=hashes)


def _hashed(storage: Storage, name: str, columns: list[str] | None, wanted: str) -> tuple[str, pa.Table | None]:
    """sha256 of a file, and columns of it where that is the one wanted. It is fetched once."""
    with storage.open_whole(name) as file:
        sha256 = sha256_of(file)
        return sha256, read_table(file, columns) if columns and sha256 == wanted else None
