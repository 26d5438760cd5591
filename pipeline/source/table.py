"""A list that is open for reading: its columns, and its rows, good or with a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LIST_SUFFIXES", "Row", "Table"]

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".m3u", ".m3u8", ".txt", ".parquet")
"""All but the last also with .gz behind."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row; where `fault` is set its values must not be used."""

    number: int
    """From 1: in CSV and Parquet the header and empty lines are not counted; elsewhere the line."""
    values: Mapping[str, Any]
    fault: str = ""
    """`wrong-number-of-fields`, `unclosed-quote`, `not-json`, `invalid-utf8`."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A list that is open for reading."""

    name: str
    columns: tuple[str, ...]
    """As the header has them; of JSON lines, every key of the first 1,000."""
    rows: Iterator[Row]
    notes: tuple[str, ...] = ()
    """What had to be guessed, for people."""
    audio_column: str = ""
    """In Parquet: the column that holds whole audio files, `struct<bytes, path>`."""
