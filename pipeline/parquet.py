"""Reading Parquet from an open file, in the thread that asks.

`pyarrow.parquet.read_table` goes through Arrow's dataset scanner, and `ParquetFile` fetches ahead unless told not to.
In both a thread of Arrow's reads the Python file, and lets go of it at some later moment; where the interpreter is
ending by then, the process aborts (exit code 134) or hangs (apache/arrow 33975, 34314, 50482). tests/test_imports.py
keeps both out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["parquet_file", "read_groups", "read_table"]


def parquet_file(file: IO[bytes] | pa.NativeFile | str, *, buffer_size: int = 0) -> pq.ParquetFile:
    """buffer_size: bytes read at once of a column, where its row groups are not to be in memory whole; 0: all of it."""
    return pq.ParquetFile(file, buffer_size=buffer_size, pre_buffer=False)


def read_table(file: IO[bytes] | pa.NativeFile, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of an open Parquet file, of all columns or of those named, such as `audio` or `tags.list.element.name`;
    ArrowInvalid where one is not there."""
    parquet = parquet_file(file)
    found = parquet.schema_arrow.names
    if absent := [name for name in columns or () if name.partition(".")[0] not in found]:
        raise pa.ArrowInvalid(f"no column {', '.join(map(repr, absent))}; it has {', '.join(found) or 'none'}")
    return parquet.read(columns=None if columns is None else list(columns), use_threads=False)


def read_groups(file: IO[bytes] | pa.NativeFile, column: str, value: Any) -> pa.Table:
    """The row groups that may hold a row whose `column` is `value`, by their statistics; the others are not read."""
    parquet = parquet_file(file)
    groups = [
        number
        for number in range(parquet.metadata.num_row_groups)
        if _may_hold(parquet.metadata.row_group(number), column, value)
    ]
    return parquet.read_row_groups(groups, use_threads=False) if groups else parquet.schema_arrow.empty_table()


def _may_hold(group: pq.RowGroupMetaData, column: str, value: Any) -> bool:
    for chunk in (group.column(number) for number in range(group.num_columns)):
        if chunk.path_in_schema == column:
            bounds = chunk.statistics
            return bounds is None or not bounds.has_min_max or bounds.min <= value <= bounds.max
    raise pa.ArrowInvalid(f"no column {column!r}")
