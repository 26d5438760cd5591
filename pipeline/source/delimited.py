"""CSV as people write it: any delimiter, and a broken quote costs the row that has it, not the rows after it."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence

__all__ = ["choose_delimiter", "delimited_records"]

_LONGEST_RECORD = 1_000
"""Lines in which a quote must be closed again; what is open for longer was never meant to be."""
csv.field_size_limit(1 << 30)  # a long cell is for the reader of the row to judge

Record = tuple[int, list[str] | None, str]
"""Number of its first line, its cells, and what is wrong where there are none."""


def choose_delimiter(header: str, first: str, known: Callable[[Sequence[str]], int]) -> str:
    """The delimiter of `, ; tab |` that shows the most known names in the header, then the most cells.

    first: the one to prefer where that decides nothing.
    """
    marks = [first, *(mark for mark in ",;\t|" if mark != first)]
    seen = {mark: _cells(header, mark)[0] or [header] for mark in marks}
    return max(marks, key=lambda mark: (known(seen[mark]), len(seen[mark]), -marks.index(mark)))


def delimited_records(lines: Iterator[str], delimiter: str, width: int = 0) -> Iterator[Record]:
    """Records of a delimited text. `width`: cells that a record of several lines must have, 0 for any number; of 1, a
    line is one cell (nobody quotes commas in a list of one column).

    A quote may span lines (RFC 4180) where what comes of it is a whole record. Where it is never closed, or what comes
    of it is none, the line that opens it is at fault and reading goes on with the line after it.
    """
    ahead: deque[str] = deque()
    number = 0

    def take() -> str | None:
        return ahead.popleft() if ahead else next(lines, None)

    while (line := take()) is not None:
        number += 1
        if '"' not in line:
            plain = [line] if width == 1 else line.rstrip("\r\n").split(delimiter)
            yield number, [cell.strip(" \r\n") for cell in plain], ""
            continue
        cells, is_open = _cells(line, delimiter)
        if width == 1 and not is_open and len(cells or ()) != 1:
            cells = [line.strip(" \r\n")]
        if cells is not None:
            yield number, cells, ""
            continue
        if not is_open:
            yield number, *_lenient(line, delimiter)
            continue
        more: list[str] = []
        while len(more) < _LONGEST_RECORD and (following := take()) is not None:
            more.append(following)
            if following.count('"') % 2:
                cells, _ = _cells(line + "".join(more), delimiter)
                break
        if cells is not None and (not width or len(cells) == width):
            yield number, cells, ""
            number += len(more)
        else:
            ahead.extendleft(reversed(more))
            yield number, None, "a quote is opened and not closed"


def _cells(text: str, delimiter: str) -> tuple[list[str] | None, bool]:
    """The one record of `text`; None where it is not valid, with whether that is for a quote left open."""
    try:
        records = list(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error as error:
        return None, "unexpected end of data" in str(error)
    return (records[0] if len(records) == 1 else None), False


def _lenient(line: str, delimiter: str) -> tuple[list[str] | None, str]:
    """`"Weird Al" Yankovic,1` is not valid, and plain all the same."""
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    if cells and cells[-1][-1:] in ("\r", "\n"):
        return None, "a quote is opened and not closed"
    return cells, ""
