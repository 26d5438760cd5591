"""The list of songs that a language model is asked about, from CSV or Parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput
from vocab.cleaning.names import name_forms
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


def read_songs(path: str | os.PathLike[str]) -> tuple[list[Song], Skips]:
    """The songs of a file with the columns `title` and `artist`, each once, and the rows that were left out."""
    skips = Skips()
    songs: dict[tuple[str, str], Song] = {}
    for row in read_rows(path, columns=["title", "artist"]):
        values = {name: " ".join(value.split()) for name, value in row.values.items()}
        title, artist = values["title"], values["artist"]
        key = (title.casefold(), artist.casefold())
        if row.fault:
            skips.add(row.fault, row=row.number)
        elif not name_forms(title, "") and not any(letter.isalnum() for letter in title):
            skips.add("title-without-words", row=row.number, detail=title)
        elif not any(letter.isalnum() for letter in artist):
            skips.add("artist-without-words", row=row.number, detail=artist)
        elif key in songs:
            skips.add("repeated", row=row.number, detail=f"{title} by {artist}, as row {songs[key].row}")
        else:
            songs[key] = Song(row=row.number, title=title, artist=artist, values=values)
    if not songs:
        raise BadInput(f"{os.fspath(path)} holds no usable song ({skips.as_dict()}); it needs titles and artists")
    return list(songs.values()), skips
