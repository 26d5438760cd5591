"""The songs that a language model is asked about, from any list."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import BadInput
from pipeline.source.columns import recognise
from vocab.tables import Skips, read_rows

__all__ = ["Song", "read_songs"]


@dataclass(frozen=True, kw_only=True)
class Song:
    """One row of the list."""

    row: int
    """From 1, the header not counted."""
    title: str
    artist: str
    values: Mapping[str, str]
    """Every column of the row, for templates that name more than title and artist."""


def read_songs(path: str | os.PathLike[str], columns: Sequence[str] = ("title", "artist")) -> tuple[list[Song], Skips]:
    """The rows of a list that have words in all of `columns`, each once, and those that were left out.

    A column that is not there by its very name may go by another one that is known (`pipeline.source.columns`).
    """
    skips = Skips()
    songs: dict[tuple[str, ...], Song] = {}

    def find(header: Sequence[str]) -> Mapping[str, str]:
        used = recognise(header).used
        found = {name: name if name in header else used.get(name, ("",))[0] for name in columns}
        if gone := [name for name, column in found.items() if not column]:
            raise BadInput(
                f"{os.fspath(path)} has no column for the {' and the '.join(gone)}; it has "
                f"{', '.join(map(repr, header)) or 'none'}; rename the right one to {gone[0]!r}"
            )
        return found

    for row in read_rows(path, find=find, skips=skips):
        values = {name: " ".join(value.split()) for name, value in row.values.items()}
        asked = [values.get(name, "") for name in columns]
        key = tuple(value.casefold() for value in asked)
        mute = [name for name, value in zip(columns, asked, strict=True) if not any(map(str.isalnum, value))]
        if row.fault:
            skips.add(row.fault, row=row.number, detail=row.detail)
        elif mute:
            skips.add(f"{mute[0]}-without-words", row=row.number, detail=values.get(mute[0], ""))
        elif key in songs:
            skips.add("repeated", row=row.number, detail=f"{' by '.join(asked)[:200]}, as row {songs[key].row}")
        else:
            title, artist = values.get("title", ""), values.get("artist", "")
            songs[key] = Song(row=row.number, title=title, artist=artist, values=values)
    if not songs:
        raise BadInput(
            f"{os.fspath(path)} holds no usable row ({skips.as_dict()}); it needs words in {' and '.join(columns)}"
        )
    return list(songs.values()), skips
