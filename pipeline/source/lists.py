"""From a list of tracks to tracks: columns told by their names, paths resolved, rows that cannot be used counted."""

from __future__ import annotations

import bisect
import posixpath
import urllib.parse
from array import array
from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import BadInput
from pipeline.ids import track_id
from pipeline.records import Reject, Track
from pipeline.remote import UnknownScheme, check_scheme, file_system, is_local, is_url
from pipeline.source.columns import NAMES, Columns, extra_of, known_names, recognise, tags_of, text_of
from pipeline.source.packed import PackedTracks
from pipeline.source.parquet import inside_path
from pipeline.source.rows import open_table
from pipeline.source.table import Row, Table

__all__ = ["ListReader"]

_METADATA = ("title", "artist", "album", "isrc", "tags", "licence")
_SEGMENTS = ("offset", "start", "start_time", "begin", "onset")


class ListReader:
    """Reads one list after the other and gathers what they hold. Millions of tracks are held at once, packed."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns: dict[str, str] = {}
        """What a track has -> the columns it was read from, ` + ` between them."""
        self.unused: dict[str, str] = {}
        """Columns that look like a known one and were not used -> what they look like."""
        self.notes: dict[str, None] = {}
        self._listed = PackedTracks()
        """Of every good row."""
        self._numbers_of = array("Q")
        """Of those rows, in their lists."""
        self._lists: list[tuple[int, str]] = []
        """Of each list: how many good rows came before it, and its name for people."""
        self._rejects: list[tuple[int, int, Reject]] = []
        """Number of the list, of the row in it, reject."""
        self._numbers: Counter[str] = Counter()
        self._schemes: dict[str, str] = {}

    def gathered(self) -> tuple[PackedTracks, tuple[Reject, ...], int]:
        """Tracks by their ids, rejects in the order of their rows, and how many rows said again what an earlier row of
        the same track says. To be called once, when all is read."""
        rejects, repeated = list(self._rejects), 0
        order, is_first = self._listed.by_id()
        firsts = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
        for place in np.flatnonzero(~is_first):
            if contradiction := self._contradiction(int(order[firsts[place]]), int(order[place])):
                rejects.append(contradiction)
            else:
                repeated += 1
        in_order = sorted(rejects, key=itemgetter(0, 1))
        return self._listed.selected(order[is_first]), tuple(reject for _, _, reject in in_order), repeated

    def _contradiction(self, first: int, index: int) -> tuple[int, int, Reject] | None:
        """What a later good row of a track says otherwise than its first."""
        there, here = self._listed[first], self._listed[index]
        for name in _METADATA:
            if getattr(there, name) != getattr(here, name):
                said = f"{here.key!r} has the {name} {getattr(here, name)!r}"
                (number, where), (_, earlier) = self._place(index), self._place(first)
                reject = _reject(where, "contradicts", f"{said}, in {earlier} {getattr(there, name)!r}")
                return number, self._numbers_of[index], reject
        return None

    def _place(self, index: int) -> tuple[int, str]:
        """Of a good row: the number of its list, and where it stands for people."""
        number = bisect.bisect_right(self._lists, index, key=itemgetter(0)) - 1
        return number, f"{self._lists[number][1]} row {self._numbers_of[index]}".strip()

    def read(self, url: str, *, among: str = "") -> None:
        """Read the list at `url`. `among`: its name where there are several, for keys and rejects."""
        table = open_table(url, known=known_names)
        columns = recognise(table.columns)
        if not columns.used.get("path") and not table.audio_column:
            raise BadInput(_no_path_column(url, table))
        fs, path = file_system(url)
        place = _Place(fs, path, url, among)
        self._lists.append((len(self._listed), among))
        self.columns |= {field: " + ".join(names) for field, names in columns.used.items()}
        self.unused |= columns.unused
        if table.audio_column:
            self.columns["path"] = f"{table.audio_column} (the audio itself)"
        self.notes |= dict.fromkeys(table.notes)
        if segments := [name for name in table.columns if name.lower() in _SEGMENTS]:
            self.notes[f"column {segments[0]!r} is not used: a track is cut from its beginning to its end"] = None
        for row in table.rows:
            self.rows += 1
            self._add(row, table, columns, place)
        for column, count in sorted(self._numbers.items()):
            rows = f"{count} row{'s' * (count > 1)}"
            self.notes[f"column {column!r} holds a number in {rows}, kept in extra and not used as text"] = None
        self._numbers.clear()

    def _add(self, row: Row, table: Table, columns: Columns, place: _Place) -> None:
        if row.fault:
            self._reject(row, place, row.fault, row.detail)
            return
        if not table.audio_column and list(row.values.values()) == [""]:
            return  # an empty line
        track = self._track(row, table, columns, place)
        if track is None:
            given = next(iter(columns.values("path", row.values)), None)
            self._reject(row, place, "no-path", f"{given!r} where a path is expected" if given else "the path is blank")
            return
        if is_url(track.path) and (wrong := self._scheme(track.path)):
            self._reject(row, place, "unknown-scheme", wrong)
            return
        self._listed.append(track)
        self._numbers_of.append(row.number)

    def _scheme(self, url: str) -> str:
        """What is wrong with a URL's scheme; empty where nothing is. Raises BadInput where its driver is missing."""
        scheme = url.split("://", 1)[0]
        if scheme not in self._schemes:
            self._schemes[scheme] = ""
            try:
                check_scheme(url)
            except UnknownScheme as error:
                self._schemes[scheme] = str(error)
        return self._schemes[scheme]

    def _reject(self, row: Row, place: _Place, reason: str, detail: str) -> None:
        reject = _reject(f"{place.among} row {row.number}".strip(), reason, detail)
        self._rejects.append((len(self._lists) - 1, row.number, reject))

    def _track(self, row: Row, table: Table, columns: Columns, place: _Place) -> Track | None:
        if table.audio_column:
            key, path = place.inside(row, table.audio_column)
        else:
            given = _given(columns.values("path", row.values)[0])
            if not given:
                return None
            key, path = place.resolve(given)
        values = {f: columns.values(f, row.values) for f in NAMES if f != "path"}
        texts = {field: text_of(found[0]) for field, found in values.items() if found and field != "tags"}
        extra = {}
        used = columns.every
        for column, value in row.values.items():
            number = column in used and isinstance(value, (int, float)) and extra_of(value) != ""
            if number:
                self._numbers[column] += 1
            if (column not in used or number) and column != table.audio_column and (text := extra_of(value)):
                extra[column] = text
        return Track(
            track_id=track_id(key),
            key=key,
            path=path,
            title=texts.get("title", ""),
            artist=texts.get("artist", ""),
            album=texts.get("album", ""),
            isrc=texts.get("isrc", ""),
            tags=tuple(dict.fromkeys(tag for value in values["tags"] for tag in tags_of(value))),
            licence=texts.get("licence", ""),
            extra=tuple(sorted(extra.items())),
        )


def _reject(where: str, reason: str, detail: str) -> Reject:
    detail = f"{where}: {detail}".encode("utf-8", "backslashreplace").decode()[:500]
    return Reject(track_id="", key=where, level="row", stage="list", reason=reason, detail=detail)


class _Place:
    """Where a list lies: what its paths are relative to."""

    def __init__(self, fs: Any, path: str, url: str, among: str) -> None:
        self._fs, self._path, self._url, self.among = fs, path, url, among
        self._local, self._folder = is_local(fs), posixpath.dirname(path)

    def inside(self, row: Row, column: str) -> tuple[str, str]:
        """Key and path of audio that lies in the list itself."""
        file = self._path if self._local else self._url
        named = row.values.get(column)
        inner = posixpath.basename(str((named or {}).get("path") or "")) if isinstance(named, dict) else ""
        key = f"{self.among or posixpath.basename(self._path)}/{row.number:06d}" + (f"-{inner}" if inner else "")
        return key, inside_path(file, column, row.number - 1)

    def resolve(self, given: str) -> tuple[str, str]:
        """Key and path of a file that a row names."""
        if given.startswith("file://"):
            local = given.removeprefix("file://")
            given = local if Path(local).exists() else urllib.parse.unquote(local)
        elif is_url(given):
            return given, given
        if not self._local:
            if is_url(self._path):  # https: the path is the URL
                return posixpath.normpath(given), urllib.parse.urljoin(self._path, given)
            joined = posixpath.normpath(posixpath.join(self._folder, given))
            return posixpath.normpath(given), str(self._fs.unstrip_protocol(joined))
        given = self._as_written_elsewhere(str(Path(given).expanduser()) if given.startswith("~/") else given)
        return posixpath.normpath(given), posixpath.normpath(posixpath.join(self._folder, given))

    def _as_written_elsewhere(self, given: str) -> str:
        """A path with Windows' separators, or with %20 for a space, where it names no file as it stands."""
        spellings = [given]
        if "\\" in given and "/" not in given:
            spellings.insert(0, given.replace("\\", "/"))
        if "%" in given:
            spellings.append(urllib.parse.unquote(given))
        if len(spellings) == 1:
            return given
        found = (s for s in sorted(spellings, key=given.__ne__) if Path(self._folder, s).exists())
        return next(found, spellings[0])


def _given(value: Any) -> str:
    """The path in a row's value: a text, or the `path` of an audio struct."""
    if isinstance(value, Mapping):
        value = value.get("path")
    return value.strip() if isinstance(value, str) else ""


def _no_path_column(url: str, table: Table) -> str:
    names = ", ".join(table.columns) or "(none)"
    hint = ""
    if any(posixpath.splitext(name)[1] for name in table.columns) or any("/" in name for name in table.columns):
        hint = "; does its first line hold data? Then put a line such as path,title before it"
    return (
        f"{url} has the columns {names}; expected 'path' (or file, file_name, audio, url, ...) and any of title, "
        f"artist, album, tags, licence{hint}"
    )
