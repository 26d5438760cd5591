"""Which column of a list is what, however it is spelled, and what its values come to."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Columns", "extra_of", "known_names", "recognise", "tags_of", "text_of"]

NAMES: Mapping[str, tuple[str, ...]] = {
    "path": tuple(
        "path file filepath file_path file_name filename audio audio_path audio_file audio_filepath audio_filename "
        "track_path song_path local_path relative_path wav location url uri audio_url link".split()
    ),
    "title": tuple("title track_name track_title song song_name song_title name".split()),
    "artist": tuple("artist artists artist_name track_artist performer performers singer band creator".split()),
    "album": tuple("album album_name album_title release".split()),
    "isrc": ("isrc",),
    "tags": tuple("tags tag genre genres style styles mood moods keywords".split()),
    "licence": tuple("licence license licence_name license_name licence_url license_url".split()),
}
"""What a track has -> the names that its column goes by, the best first; case, spaces and punctuation don't matter."""
_SEVERAL = ("tags",)
"""Read from every column that fits; the others from the best."""
_FIELD_OF = {name: field for field, names in NAMES.items() for name in names}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of one list."""

    used: Mapping[str, tuple[str, ...]]
    """What a track has -> the columns that it is read from, as the list spells them."""
    unused: Mapping[str, str]
    """Columns that look like something a track has and are not read as that -> what they look like."""

    def values(self, field: str, row: Mapping[str, Any]) -> list[Any]:
        return [row.get(column) for column in self.used.get(field, ())]

    @property
    def every(self) -> set[str]:
        return {column for columns in self.used.values() for column in columns}


def _plain(name: str) -> str:
    """`Track Name`, `trackName` and `track-name` are one."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", split.casefold()).strip("_")


def known_names(cells: Sequence[str]) -> int:
    """How many of the cells are names that a column goes by."""
    return sum(_plain(cell) in _FIELD_OF for cell in cells)


def recognise(columns: Iterable[str], *, fields: Sequence[str] = tuple(NAMES)) -> Columns:
    """Which of `columns` holds what."""
    by_field: dict[str, list[tuple[int, str]]] = {}
    unused: dict[str, str] = {}
    for column in columns:
        plain = _plain(column)
        field = _FIELD_OF.get(plain, "")
        if field in fields:
            by_field.setdefault(field, []).append((NAMES[field].index(plain), column))
        elif looks_like := _resembles(plain, fields):
            unused[column] = looks_like
    used = {}
    for field, found in by_field.items():
        ordered = [column for _, column in sorted(found, key=lambda pair: pair[0])]
        used[field] = tuple(ordered if field in _SEVERAL else ordered[:1])
        unused |= dict.fromkeys(ordered[len(used[field]) :], field)
    return Columns(used={field: used[field] for field in NAMES if field in used}, unused=dict(sorted(unused.items())))


def _resembles(plain: str, fields: Sequence[str]) -> str:
    parts = set(plain.split("_"))
    for field in fields:
        own = {field, *(name for name in NAMES[field] if "_" not in name and name not in ("name", "link", "release"))}
        if parts & own:
            return field
    close = difflib.get_close_matches(plain, [name for f in fields for name in NAMES[f]], n=1, cutoff=0.8)
    return _FIELD_OF[close[0]] if close and len(plain) > 3 else ""


def text_of(value: Any) -> str:
    """Text of one thing, or of a list of them; what is no text (None, NaN, a number, bytes) is absent: empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, tuple)):
        return ", ".join(dict.fromkeys(filter(None, map(text_of, value))))
    if isinstance(value, dict):
        return text_of(value.get("name") or value.get("title"))
    return ""


def tags_of(value: Any) -> tuple[str, ...]:
    """Tags from a list, a JSON list, or text with `;`, `|` or `,` between them."""
    parts: Iterable[Any] = ()
    if isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parts = json.loads(value)
        except ValueError:
            parts = value.strip(" []").split(",")
    elif isinstance(value, str):
        parts = value.split(next((mark for mark in ";|," if mark in value), ";"))
    return tuple(dict.fromkeys(text for part in parts if (text := text_of(part).strip(" '\""))))


def extra_of(value: Any) -> str:
    """Any other value as text, exact; empty where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or isinstance(value, bytes):
        return ""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str) if value else ""
    return str(value).strip()
