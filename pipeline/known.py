"""What is known of a track: the columns of the list that named it, then the tags in its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.records import Track

__all__ = ["known_columns"]

_COLUMNS = ("title", "artist", "album", "isrc", "licence")
_NO_GENRE = {"", "other", "unknown", "none", "genre", "misc"}
_MOST_GENRES = 20


def known_columns(track: Track, tags: Mapping[str, str]) -> dict[str, Any]:
    """The describing columns of a clip's row. Where both name something the list wins, and both are named:
    `from_list` and `from_file` hold the names of what each of them had."""
    listed = {name: getattr(track, name) for name in _COLUMNS if getattr(track, name)} | dict(track.extra)
    file = {name: value for name, value in tags.items() if name != "genre"}
    genres = _genres(tags.get("genre", ""))
    both = file | listed
    return {
        **{name: both.get(name, "") for name in _COLUMNS},
        "tags": list(track.tags) or genres,
        "extra": [{"name": name, "value": both[name]} for name in sorted(both) if name not in _COLUMNS],
        "from_list": sorted([*listed, *(["tags"] if track.tags else [])]),
        "from_file": sorted([*file, *(["tags"] if genres else [])]),
    }


def _genres(text: str) -> list[str]:
    """`Folk/Rock; Pop` is three tags."""
    parts = (part.strip() for part in re.split(r"[;|/,]", text))
    first: dict[str, str] = {}
    for part in parts:
        if part.casefold() not in _NO_GENRE:
            first.setdefault(part.casefold(), part)
    return list(first.values())[:_MOST_GENRES]
