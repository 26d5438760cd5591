"""A piece as the composer leaves it and the renderer and the describer read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Note", "Part", "Piece"]


class Note(NamedTuple):
    """One note; on a drum part the pitch is a General MIDI drum key."""

    start_s: float
    duration_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one player plays."""

    role: str
    """`lead`, `comp`, `bass`, `pad`, `drums`, `extra`, or `sound` for what is no music."""
    instrument: str
    """A lexicon instrument, `drum kit`, `speaker`, or a value of the lexicon's `sound:` group."""
    program: int
    """General MIDI program; of a drum part, the kit."""
    notes: tuple[Note, ...]
    texture: str = ""
    """`arpeggio`, `chords`, `sustained` or `melody`."""
    volume: int = 100
    """MIDI volume, 0 to 127."""
    pan: float = 0.5
    """0 left to 1 right."""
    voice: str = ""
    """`male` or `female`, of singer and speaker."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Parts and the settings they were made with."""

    seed: int
    duration_s: float
    parts: tuple[Part, ...]
    kind: str
    """`style`, `solo`, `duo`, `drums`, `voice` or `sound`."""
    style: str = ""
    bpm: float = 0.0
    """Beats a minute (dotted quarters in six-eight); 0 where there is no pulse."""
    meter: int = 4
    scale: str = ""
    swing: float = 0.0
    staccato: bool = False
    recording: tuple[str, ...] = ()
    """Values of the lexicon's `recording:` group that the renderer shall make true."""
    sections: tuple[tuple[str, float], ...] = field(default=())
    """Name and start in seconds, of a piece with a form."""
