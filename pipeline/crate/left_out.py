"""Rejects on disk: those of a shard's tracks and clips, and the rows of the input's list that name no usable track."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.schema import rejects_schema
from pipeline.parquet import read_table
from pipeline.records import Reject
from pipeline.storage import Storage

__all__ = ["ROW_REJECTS", "read_row_rejects", "row_counts", "write_rejects"]

ROW_REJECTS = "rejects/rows.parquet"
"""Rows of the input's list that name no usable track."""


def write_rejects(file: Any, rejects: Sequence[Reject]) -> None:
    """Write one Parquet file of rejects."""
    rows = [asdict(reject) for reject in rejects]
    pq.write_table(pa.Table.from_pylist(rows, schema=rejects_schema()), file, compression="zstd")


def read_row_rejects(storage: Storage) -> list[dict[str, Any]]:
    """The rows of the input's list that were left out; none where the input was no list, or all rows were good."""
    if not storage.exists(ROW_REJECTS):
        return []
    with storage.open(ROW_REJECTS) as file:
        rows: list[dict[str, Any]] = read_table(file).to_pylist()
    return rows


def row_counts(listed: Mapping[str, Any]) -> Counter[str]:
    """What a crate's header says of rows left out, as counts: `rows_rejected`, and `row:reason` each."""
    counts: Counter[str] = Counter()
    for reason, count in listed.get("rejected_rows", {}).items():
        counts.update({"rows_rejected": count, f"row:{reason}": count})
    return counts
