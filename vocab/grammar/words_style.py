"""Styles and what is at home in them, read from `data/styles.csv`; a row says what is usual, not what is allowed.

Columns: name; words before a noun; tempos (s, m, f); moods; energy (c calm, h high, - neither); leads; instruments for
the harmony; bass: its lines; drums: their groove; pads; voices (m, f, or empty); decades; facts.
An empty drums column means that there are none. Names that the lexicon knows are `style:` facts by themselves.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STYLES", "Style"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """What is at home in a style; names refer to INSTRUMENTS, BASS_LINES and GROOVES."""

    name: str
    words: tuple[str, ...]
    """Before a noun: `a jazz tune`."""
    tempos: tuple[str, ...]
    moods: tuple[str, ...]
    energies: tuple[str, ...]
    """`calm`, `high`, or `plain` where the music is neither."""
    leads: tuple[str, ...]
    chords: tuple[str, ...]
    basses: tuple[str, ...]
    bass_lines: tuple[str, ...]
    drums: tuple[str, ...]
    grooves: tuple[str, ...]
    pads: tuple[str, ...]
    voices: tuple[str, ...]
    """`male`, `female`; empty for instrumental styles."""
    decades: tuple[str, ...]
    facts: tuple[str, ...]


_LETTERS = {
    **{"s": "slow", "m": "medium", "f": "fast"},
    **{"c": "calm", "h": "high", "-": "plain"},
}


def _items(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _style(row: dict[str, str]) -> Style:
    basses, _, bass_lines = row["bass"].partition(":")
    kits, _, grooves = row["drums"].partition(":")
    return Style(
        name=row["name"],
        words=tuple(row["words"].split("|")),
        tempos=tuple(_LETTERS[letter] for letter in row["tempos"]),
        moods=_items(row["moods"]),
        energies=tuple(_LETTERS[letter] for letter in row["energies"]),
        leads=_items(row["leads"]),
        chords=_items(row["chords"]),
        basses=_items(basses),
        bass_lines=_items(bass_lines),
        drums=_items(kits),
        grooves=_items(grooves),
        pads=_items(row["pads"]),
        voices=tuple({"m": "male", "f": "female"}[letter] for letter in row["voices"]),
        decades=_items(row["decades"]),
        facts=tuple(row["facts"].split()),
    )


def _read() -> tuple[Style, ...]:
    with (Path(__file__).parent / "data" / "styles.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_style(row) for row in csv.DictReader(file, delimiter=";"))


STYLES: tuple[Style, ...] = _read()
