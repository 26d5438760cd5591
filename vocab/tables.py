"""Rows from a list as other people write them, as texts: every row comes out, good or with its fault."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import BadInput
from pipeline.remote import file_system
from pipeline.source.rows import list_suffix, open_table
from pipeline.source.table import LIST_SUFFIXES

__all__ = ["Row", "Skips", "read_rows"]

LONGEST_CELL = 20_000
"""Characters. A caption or a song's title is never this long; a cell that is, is a broken quote or another file."""
_KEPT_SKIPS = 100_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a file; `fault` is empty, or the reason for which its values must not be used."""

    number: int
    """From 1, the header not counted; in a text file the line."""
    values: Mapping[str, str]
    fault: str = ""
    """`too-long`, or one of `pipeline.source.table.Row`."""
    detail: str = ""


@dataclass
class Skips:
    """Rows left out: how many by reason, and which."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What had to be guessed of the file, such as its encoding."""

    def add(self, reason: str, *, row: int, detail: str = "") -> None:
        self.counts[reason] += 1
        if len(self.rows) < _KEPT_SKIPS:
            self.rows.append({"row": row, "reason": reason, "detail": detail[:200]})

    def as_dict(self) -> dict[str, int]:
        """Reason -> rows, the most frequent first."""
        return dict(self.counts.most_common())


def read_rows(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] = (),
    find: Callable[[Sequence[str]], Mapping[str, str]] = lambda header: {},
    text_column: str = "text",
    skips: Skips | None = None,
) -> Iterator[Row]:
    """Rows of any list (`pipeline.source.rows`) that has at least `columns`.

    All columns of the file come along. A text file has one column, `text_column`. A file without rows is an error.
    find: from the header, further names -> the columns under which the file has them.
    skips: takes the remarks on the file; rows are for the caller to add.
    """
    name = os.fspath(path)
    fs, place = file_system(name)
    if not fs.exists(place):
        raise BadInput(f"{name} does not exist; give a list: {', '.join(LIST_SUFFIXES)}")
    if not list_suffix(place):
        raise BadInput(f"{name} is no list by its name ({', '.join(LIST_SUFFIXES)}); rename or convert it")
    if fs.size(place) == 0:
        raise BadInput(f"{name} is empty; expected at least one row")
    table = open_table(name, text_column=text_column, known=lambda cells: len(set(columns) & set(cells)))
    if skips is not None:
        skips.remarks += table.notes
    also = find(table.columns)
    _need(columns, table.columns, name)
    seen = 0
    for row in table.rows:
        seen += 1
        values = {key: "" if value is None else str(value) for key, value in row.values.items()}
        values |= {key: values.get(column, "") for key, column in also.items()}
        if row.fault:
            blank = dict.fromkeys((*columns, *also), "")
            yield Row(number=row.number, values=blank | values, fault=row.fault, detail=row.detail)
        elif long := next((c for c in (*columns, *also) if len(values.setdefault(c, "")) > LONGEST_CELL), ""):
            yield Row(number=row.number, values=values, fault="too-long", detail=f"column {long!r}")
        else:
            yield Row(number=row.number, values=values)
    if not seen:
        raise BadInput(f"{name} has a header but no rows; expected at least one row")


def _need(columns: Sequence[str], header: Sequence[str], name: str) -> None:
    gone = [column for column in columns if column not in header]
    if gone:
        raise BadInput(
            f"{name} has no column {', '.join(map(repr, gone))}; it has {', '.join(map(repr, header)) or 'none'}; "
            "name the right one with an option, or rename it in the file"
        )
