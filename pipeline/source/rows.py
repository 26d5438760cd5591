"""Rows from a list as people write it: CSV, TSV, JSON lines, a playlist, a plain text, Parquet.

Every row comes out, good or with its fault, and a fault costs one row.
"""

from __future__ import annotations

import gzip
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from pipeline.errors import BadInput
from pipeline.remote import file_system
from pipeline.source.delimited import choose_delimiter, delimited_records
from pipeline.source.parquet import open_parquet
from pipeline.source.table import LIST_SUFFIXES, Row, Table
from pipeline.source.text import find_encoding, read_lines

__all__ = ["list_suffix", "open_table"]

_JSON_ROWS_FOR_HEADER = 1_000


def list_suffix(name: str) -> str:
    """The suffix by which a name is that of a list; empty where it is not."""
    plain = name.lower()
    suffix = posixpath.splitext(plain.removesuffix(".gz"))[1]
    return suffix if suffix in LIST_SUFFIXES and not (suffix == ".parquet" and plain.endswith(".gz")) else ""


def open_table(
    url: str, *, text_column: str = "path", known: Callable[[Sequence[str]], int] = lambda columns: 0
) -> Table:
    """Open the list at a path or URL, which must exist; the rows are read as they are asked for.

    text_column: what the lines of a .txt are. known: how many of some cells are names of columns that the caller
    knows; it finds the delimiter. Raises BadInput for what is no such file at all.
    """
    fs, path = file_system(url)
    suffix = list_suffix(path)
    if not suffix:
        raise BadInput(f"{url} is no list by its name; expected one of {', '.join(LIST_SUFFIXES)}, or .csv.gz")
    if suffix == ".parquet":
        return open_parquet(fs, path, url)
    packed = path.lower().endswith(".gz")

    def open_file() -> IO[bytes]:
        raw = fs.open(path, "rb")
        return gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[return-value]

    try:
        encoding, remark = find_encoding(open_file)
    except (OSError, EOFError) as error:
        raise BadInput(f"{url} cannot be read ({error})") from error
    notes = (remark,) if remark else ()
    lines = read_lines(open_file, encoding, url)
    if suffix in (".csv", ".tsv"):
        return _delimited(lines, url, "\t" if suffix == ".tsv" else ",", known, notes)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json(lines, url, notes)
    if suffix == ".txt":
        return Table(name=url, columns=(text_column,), rows=_plain(lines, text_column), notes=notes)
    return Table(
        name=url, columns=("path", "title", "artist", "album", "genre"), rows=_playlist(lines, url), notes=notes
    )


def _checked(number: int, values: Mapping[str, Any]) -> Row:
    for name, value in values.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return Row(number=number, values=values, fault="invalid-utf8", detail=f"in column {name!r}")
    return Row(number=number, values=values)


def _delimited(
    lines: Iterator[str], name: str, first: str, known: Callable[[Sequence[str]], int], notes: tuple[str, ...]
) -> Table:
    skipped = 0
    header = ""
    for line in lines:
        skipped += 1
        if line.strip(" \r\n"):
            header = line
            break
    delimiter = first
    if re.fullmatch(r"sep=.\s*", header, re.IGNORECASE):  # Excel's own way to name it
        delimiter, header, skipped = header[4], next(lines, ""), skipped + 1
    else:
        delimiter = choose_delimiter(header, first, known)
    _, cells, _ = next(delimited_records(iter([header]), delimiter), (0, None, ""))
    if cells is None:
        raise BadInput(f"{name} has a header that cannot be read ({header.strip()[:80]!r}); check its quotes")
    columns = _unique(cells)
    if delimiter != first and len(columns) > 1:
        notes += (f"read with {'tab' if delimiter == chr(9) else delimiter} between fields",)
    return Table(name=name, columns=columns, rows=_rows(lines, columns, delimiter, skipped), notes=notes)


def _unique(cells: Sequence[str]) -> tuple[str, ...]:
    """Header cells as names: stripped, each once; cells without a name at the end are gone."""
    names: list[str] = []
    for cell in cells:
        name, twin = cell.strip(), 2
        while name and name in names:
            name, twin = f"{cell.strip()} ({twin})", twin + 1
        names.append(name)
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _rows(lines: Iterator[str], columns: tuple[str, ...], delimiter: str, skipped: int) -> Iterator[Row]:
    width, number = len(columns), 0
    for at, cells, wrong in delimited_records(lines, delimiter, width):
        line = f"line {at + skipped}"
        if cells is None:
            number += 1
            yield Row(number=number, values={}, fault="unclosed-quote", detail=f"{line}: {wrong}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        number += 1
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) != width:
            detail = f"{line}: {len(cells)} fields, the header has {width}; quote a field that holds {delimiter!r}"
            yield Row(number=number, values={}, fault="wrong-number-of-fields", detail=detail)
        else:
            yield _checked(number, {k: v for k, v in zip(columns, cells, strict=True) if k})


def _plain(lines: Iterator[str], column: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        yield _checked(number, {column: line.rstrip("\r\n")})


def _json(lines: Iterator[str], name: str, notes: tuple[str, ...]) -> Table:
    rows = _json_rows(lines, name)
    ahead: list[Row] = []
    for row in rows:
        ahead.append(row)
        if len(ahead) == _JSON_ROWS_FOR_HEADER:
            break
    columns = tuple(dict.fromkeys(key for row in ahead for key in row.values))

    def every() -> Iterator[Row]:
        yield from ahead
        yield from rows

    return Table(name=name, columns=columns, rows=every(), notes=notes)


def _json_rows(lines: Iterator[str], name: str) -> Iterator[Row]:
    """An object a line, or one array of objects."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if number == 1 and text.startswith("["):
            yield from _json_array(text + "\n" + "".join(lines), name)
            return
        yield _json_row(number, text)


def _json_row(number: int, text: str) -> Row:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(number=number, values={}, fault="not-json", detail=str(error))
    if not isinstance(value, dict):
        return Row(number=number, values={}, fault="not-json", detail=f"a {type(value).__name__}, expected an object")
    return _checked(number, value)


def _json_array(text: str, name: str) -> Iterator[Row]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} is not valid JSON ({error}); give an array of objects, or an object a line") from error
    for number, value in enumerate(found, start=1):
        if isinstance(value, dict):
            yield _checked(number, value)
        else:
            yield Row(number=number, values={}, fault="not-json", detail=f"a {type(value).__name__}, not an object")


def _playlist(lines: Iterator[str], name: str) -> Iterator[Row]:
    """M3U: a path a line, with what `#EXTINF:seconds,Artist - Title` and its like say before it."""
    about: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.upper().startswith("#EXT-X-"):
            raise BadInput(
                f"{name} is the playlist of a stream (HLS), whose lines are pieces of one recording; save the stream "
                "as a file first, with ffmpeg -i URL -c copy FILE.mka"
            )
        if text.upper().startswith("#EXTINF:"):
            shown = re.sub(r"^[^,]*,", "", text[8:], count=1).strip() if "," in text else ""
            artist, dash, title = shown.partition(" - ")
            about |= {"title": title.strip(), "artist": artist.strip()} if dash else {"title": shown}
        elif mark := re.match(r"#(EXTART|EXTALB|EXTGENRE):(.*)", text, re.IGNORECASE):
            field = {"EXTART": "artist", "EXTALB": "album", "EXTGENRE": "genre"}[mark[1].upper()]
            about[field] = mark[2].strip()
        elif text and not text.startswith("#"):
            yield _checked(number, {"path": text} | about)
            about = {}
