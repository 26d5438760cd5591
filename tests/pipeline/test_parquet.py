"""Tables from open files: the columns and rows that were asked for, and a process that ends as it should."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.parquet import parquet_file, read_groups, read_table


def in_memory(table: pa.Table, rows_per_group: int = 3) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=rows_per_group)
    file.seek(0)
    return file


TABLE = pa.table(
    {
        "extra": [[{"name": "n", "value": str(i)}] for i in range(8)],  # nested: its leaves are columns of their own
        "shard": [0, 0, 1, 1, 1, 1, 3, 3],
        "text": list("abcdefgh"),
    }
)


def test_all_rows_of_the_named_columns() -> None:
    assert read_table(in_memory(TABLE)).equals(TABLE)
    assert read_table(in_memory(TABLE), columns=["text"]).equals(TABLE.select(["text"]))
    with pytest.raises(pa.ArrowInvalid, match="no column 'shards'; it has extra, shard, text"):
        read_table(in_memory(TABLE), columns=["text", "shards"])


@pytest.mark.parametrize(("shard", "texts"), [(0, "ab"), (1, "cdef"), (2, ""), (3, "gh"), (4, "")])
def test_the_rows_of_one_value(shard: int, texts: str) -> None:
    found = read_groups(in_memory(TABLE), "shard", shard)
    assert found.schema.equals(TABLE.schema)
    assert [row["text"] for row in found.to_pylist() if row["shard"] == shard] == list(texts)


def test_only_row_groups_that_may_hold_the_value_are_read() -> None:
    file = in_memory(TABLE, rows_per_group=2)
    groups = [pq.ParquetFile(file).metadata.row_group(i).column(2) for i in range(4)]
    damaged = bytearray(file.getvalue())
    for chunk in groups[1:]:  # the text of every other row group becomes noise
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        damaged[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    assert read_groups(io.BytesIO(damaged), "shard", 0).column("text").to_pylist() == ["a", "b"]
    with pytest.raises((pa.ArrowException, OSError)):
        read_groups(io.BytesIO(damaged), "shard", 1)


class Watched(io.BytesIO):
    """A file that knows which threads read it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.readers: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.readers.add(threading.get_native_id())
        return super().read(size)

    def readinto(self, buffer: Any) -> int:
        self.readers.add(threading.get_native_id())
        return super().readinto(buffer)


@pytest.mark.parametrize(
    "read",
    [
        read_table,
        lambda file: read_groups(file, "shard", 1),
        lambda file: list(parquet_file(file, buffer_size=64).iter_batches(batch_size=2, use_threads=False)),
    ],
)
def test_no_thread_of_arrow_s_reads_a_python_file(read: Callable[[Watched], object]) -> None:
    """It would let go of it at some later moment, while the interpreter ends for instance."""
    file = Watched(in_memory(TABLE).getvalue())
    read(file)
    assert file.readers == {threading.get_native_id()}


def test_a_process_that_has_read_tables_ends_well(tmp_path: Path) -> None:
    """Through Arrow's dataset scanner one in ten of these ended by SIGABRT."""
    pq.write_table(TABLE, tmp_path / "a.parquet")
    code = (
        "from pipeline.parquet import read_table\n"
        "for _ in range(4):\n"
        "    with open('a.parquet', 'rb') as file:\n"
        "        read_table(file, columns=['text'])"
    )
    path = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}"]
    for _ in range(8):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
