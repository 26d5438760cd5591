"""Lists in Parquet, and tracks whose bytes lie inside of one, as Hugging Face datasets have them.

Such a track's path is `inside:ROW:COLUMN:FILE`: the bytes of struct<bytes, path> in that row, counted from 0.
"""

from __future__ import annotations

import bisect
import urllib.parse
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pyarrow as pa

from pipeline.errors import BadInput, DecodeFailure
from pipeline.parquet import parquet_file
from pipeline.remote import file_system
from pipeline.source.table import Row, Table

__all__ = ["INSIDE", "inside_path", "open_parquet", "read_inside"]

INSIDE = "inside:"
_BATCH = 8_192


def open_parquet(fs: Any, path: str, name: str) -> Table:
    """The rows without the bytes of audio or pictures that they hold."""
    try:
        with fs.open(path, "rb") as file:
            parquet = parquet_file(file)
            schema, metadata = parquet.schema_arrow, parquet.metadata
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{name} is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    audio = [f.name for f in schema if _holds_files(f.type) and not _all_null(metadata, f"{f.name}.bytes")]
    wanted = [leaf for f in schema for leaf in _light_leaves(f.name, f.type)]
    return Table(
        name=name,
        columns=tuple(schema.names),
        rows=_rows(fs, path, name, wanted),
        audio_column=next((n for n in sorted(audio, key=lambda n: "audio" not in n.lower())), ""),
    )


def _rows(fs: Any, path: str, name: str, columns: list[str]) -> Iterator[Row]:
    number = 0
    try:
        with fs.open(path, "rb") as file:
            for batch in parquet_file(file).iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number=number, values=values)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{name} cannot be read after row {number} ({str(error).splitlines()[0]})") from error


def _holds_files(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    inner = kind.field("bytes").type
    return bool(pa.types.is_binary(inner) or pa.types.is_large_binary(inner) or _is_view(inner))


def _is_view(kind: pa.DataType) -> bool:
    return str(kind) == "binary_view"


def _light_leaves(name: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _light_leaves(f"{name}.{field.name}", field.type)
    elif not (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or _is_view(kind)
    ):
        yield name


def _all_null(metadata: Any, leaf: str) -> bool:
    """Whether the file's own statistics say that a column holds nothing."""
    place = next((i for i in range(metadata.num_columns) if metadata.schema.column(i).path == leaf), None)
    for group in range(metadata.num_row_groups if place is not None else 0):
        column = metadata.row_group(group).column(place)
        if not column.is_stats_set or column.statistics.null_count != column.num_values:
            return False
    return place is not None


def inside_path(file: str, column: str, row: int) -> str:
    """Where the bytes of a row lie; `row` from 0."""
    return f"{INSIDE}{row}:{urllib.parse.quote(column, safe='')}:{file}"


def read_inside(path: str) -> bytes:
    """The bytes that an `inside:` path names.

    Pages are read up to the row and no further: a row group of a hundred audio files is not held in memory.
    Raises DecodeFailure `empty` for a row without bytes; an OSError or ArrowInvalid where the file has gone bad.
    """
    number, column, file = path.removeprefix(INSIDE).split(":", 2)
    row, column = int(number), urllib.parse.unquote(column)
    fs, name = file_system(file)
    with fs.open(name, "rb") as source:
        parquet = parquet_file(source, buffer_size=1 << 20)
        metadata = parquet.metadata
        ends = list(accumulate(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)))
        group = bisect.bisect_right(ends, row)
        if group == len(ends):
            raise DecodeFailure("missing", f"{file} has {metadata.num_rows} rows, not row {row + 1}", stage="read")
        skip = row - (ends[group - 1] if group else 0)
        for batch in parquet.iter_batches(
            batch_size=16, row_groups=[group], columns=[f"{column}.bytes"], use_threads=False
        ):
            if skip < len(batch):
                found = batch.column(0)[skip].as_py()
                return _bytes(found, row)
            skip -= len(batch)
    raise DecodeFailure("missing", f"{file} ends before row {row + 1}", stage="read")


def _bytes(found: Any, row: int) -> bytes:
    data = found.get("bytes") if isinstance(found, dict) else found
    if not data:
        raise DecodeFailure("empty", f"row {row + 1} holds no bytes", stage="read")
    return bytes(data)
