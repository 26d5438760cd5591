"""Rows from a text, CSV or Parquet file as other people write them: every row comes out, good or with its fault."""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import BadInput
from pipeline.storage import Storage

__all__ = ["Row", "Skips", "read_rows"]

LONGEST_CELL = 20_000
"""Characters. A caption or a song's title is never this long; a cell that is, is a broken quote or another file."""
_CSV_LIMIT = 1 << 30
_KEPT_SKIPS = 100_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a file; `fault` is empty, or the reason for which its values must not be used."""

    number: int
    """From 1, the header not counted; in a text file the line."""
    values: Mapping[str, str]
    fault: str = ""
    """`invalid-utf8`, `too-long`, `missing-field`."""


@dataclass
class Skips:
    """Rows left out: how many by reason, and which."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, reason: str, *, row: int, detail: str = "") -> None:
        self.counts[reason] += 1
        if len(self.rows) < _KEPT_SKIPS:
            self.rows.append({"row": row, "reason": reason, "detail": detail[:200]})

    def as_dict(self) -> dict[str, int]:
        """Reason -> rows, the most frequent first."""
        return dict(self.counts.most_common())


def read_rows(path: str | os.PathLike[str], *, columns: Sequence[str], text_column: str = "text") -> Iterator[Row]:
    """Rows of `path` (.txt, .csv, .tsv, .parquet, also .gz of the first three) that have at least `columns`.

    All columns of the file come along. A text file has one column, `text_column`. A file without rows is an error.
    """
    name = os.fspath(path)
    storage = Storage(posixpath.dirname(name) or ".")
    base = posixpath.basename(name)
    if not storage.exists(base):
        raise BadInput(f"{name} does not exist; give a .txt, .csv, .tsv or .parquet file")
    kind = base.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("txt", "csv", "tsv", "parquet"):
        raise BadInput(f"{name} is neither .txt, .csv, .tsv nor .parquet; rename or convert it")
    if storage.size(base) == 0:
        raise BadInput(f"{name} is empty; expected at least one row")
    seen = 0
    with storage.open(base) as raw:
        if kind == "parquet":
            rows = _parquet(raw, name, columns)
        else:
            file = _text(raw, base)
            rows = (
                _lines(file, text_column)
                if kind == "txt"
                else _csv(file, name, columns, "\t" if kind == "tsv" else ",")
            )
        for row in rows:
            seen += 1
            yield row
    if not seen:
        raise BadInput(f"{name} has a header but no rows; expected at least one row")


def _text(raw: IO[bytes], base: str) -> IO[str]:
    if base.lower().endswith(".gz"):
        import gzip

        raw = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _fault(values: Mapping[str, str], columns: Sequence[str]) -> str:
    for column in columns:
        value = values[column]
        if len(value) > LONGEST_CELL:
            return "too-long"
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return "invalid-utf8"
    return ""


def _lines(file: IO[str], column: str) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        values = {column: line.rstrip("\r\n")}
        yield Row(number=number, values=values, fault=_fault(values, [column]))


def _csv(file: IO[str], name: str, columns: Sequence[str], delimiter: str) -> Iterator[Row]:
    before = csv.field_size_limit(_CSV_LIMIT)
    try:
        lines: list[str] = []
        reader = csv.reader(_remembered(file, lines), delimiter=delimiter)
        header = [cell.strip() for cell in next(reader, [])]
        _need(columns, header, name)
        number = 0
        while True:
            lines.clear()
            cells = next(reader, None)
            if cells is None:
                break
            if not cells:
                continue
            number += 1
            if lines[-1][-1:] not in ("\r", "\n") or cells[-1][-1:] in ("\r", "\n"):
                _check_closed(lines, name, number, delimiter)
            values = dict(zip(header, cells, strict=False))
            if any(column not in values for column in columns):
                values = {column: values.get(column, "") for column in header}
                yield Row(number=number, values=values, fault="missing-field")
            else:
                yield Row(number=number, values=values, fault=_fault(values, columns))
    except csv.Error as error:
        raise BadInput(
            f"{name} is not valid CSV at row {number + 1} ({error}); quote fields with commas in them"
        ) from error
    finally:
        csv.field_size_limit(before)


def _remembered(file: IO[str], lines: list[str]) -> Iterator[str]:
    """The lines of `file`, also noted in `lines`."""
    for line in file:
        line = line.replace("\0", "\ufffd")
        lines.append(line)
        yield line


def _check_closed(lines: Sequence[str], name: str, number: int, delimiter: str) -> None:
    """Of what may be the last row: a quote that is never closed makes all rows after it part of one field."""
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise BadInput(
                f"{name} has a quote in row {number} that is never closed, which makes everything after it one field; "
                "close it, and double quotes inside of fields"
            ) from error


def _parquet(raw: IO[bytes], name: str, columns: Sequence[str]) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(raw)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{name} is not a Parquet file ({str(error).splitlines()[0]}); rename or convert it") from error
    _need(columns, file.schema_arrow.names, name)
    plain = [f.name for f in file.schema_arrow if not (pa.types.is_nested(f.type) or pa.types.is_binary(f.type))]
    _need(columns, plain, name)
    number = 0
    for batch in file.iter_batches(batch_size=8192, columns=plain):
        for record in batch.to_pylist():
            number += 1
            values = {key: "" if value is None else str(value) for key, value in record.items()}
            yield Row(number=number, values=values, fault=_fault(values, columns))


def _need(columns: Sequence[str], header: Sequence[str], name: str) -> None:
    gone = [column for column in columns if column not in header]
    if gone:
        raise BadInput(
            f"{name} has no column {', '.join(map(repr, gone))}; it has {', '.join(map(repr, header)) or 'none'}; "
            "name the right one with an option, or rename it in the file"
        )
