"""Accompaniments, bass lines and drum grooves, written in steps of a sixteenth note.

A bar has n steps: 16 in four-four, 12 in three-four and six-eight. A hit is (start, length, voices): `voices` is None
for the whole chord, an index into it (an octave higher each time the chord is exceeded), or "power" for root and fifth
below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np

__all__ = [
    "BASS",
    "COMP",
    "GROOVES",
    "HAND_PERCUSSION",
    "Hit",
    "bass_hits",
    "comp_hits",
    "divided",
    "divided_strokes",
]

V = TypeVar("V")
Voices = int | None | Literal["power", "bass"]
Hit = tuple[int, float, Voices]


def _every(n: int, step: int, length: float, voices: Voices = None, start: int = 0) -> list[Hit]:
    return [(s, length, voices) for s in range(start, n, step)]


def _at(n: int, steps: tuple[int, ...], length: float, voices: Voices = None) -> list[Hit]:
    return [(s, length, voices) for s in steps if s < n]


def _cycle(n: int, step: int, length: float, order: tuple[int, ...]) -> list[Hit]:
    return [(s, length, order[k % len(order)]) for k, s in enumerate(range(0, n, step))]


def _stab(n: int, rng: np.random.Generator) -> list[Hit]:
    places = [p for p in (0, 3, 6, 7, 10, 11, 14) if p < n]
    return [(int(s), 1.6, None) for s in sorted(rng.choice(places, size=2, replace=False))]


def _scratch(n: int, rng: np.random.Generator) -> list[Hit]:
    return [(int(s), 0.7, None) for s in np.flatnonzero(rng.random(n) < 0.5)]


def _stride(n: int, _: np.random.Generator) -> list[Hit]:
    return [h for s in range(0, n, 8) for h in ((s, 3.0, "bass"), (s + 4, 2.0, None)) if h[0] < n]


COMP: dict[str, Callable[[int, np.random.Generator], list[Hit]]] = {
    "block": lambda n, _: _every(n, 4, 3.8),
    "half": lambda n, _: _every(n, n // 2, n / 2 - 0.3),
    "pad": lambda n, _: [(0, n - 0.3, None)],
    "chorale": lambda n, _: _every(n, 4, 3.9),
    "eighth": lambda n, _: _every(n, 2, 1.9),
    "chug": lambda n, rng: _every(n, int(rng.integers(1, 3)), 0.9, "power"),
    "power": lambda n, _: _at(n, (0, 6, 8, 14), 3.6, "power"),
    "stab": _stab,
    "bossa": lambda n, _: _at(n, (0, 3, 6, 10, 13), 1.8),
    "oompah": lambda n, _: _every(n, 4 if n == 12 else 8, 2.0, start=4),
    "polka": lambda n, _: _every(n, 4, 1.4, start=2),
    "offbeat": lambda n, _: _every(n, 4, 1.5, start=2),
    "skank": lambda n, _: _every(n, 8, 1.0, start=4),
    "scratch": _scratch,
    "strum": lambda n, _: _at(n, (0, 4, 6, 8, 10, 12, 14), 2.5),
    "shuffle": lambda n, _: _every(n, 2, 1.5),
    "montuno": lambda n, _: [(s, 1.4, s % 4) for s in (0, 2, 3, 5, 7, 8, 10, 12, 14) if s < n],
    "arp": lambda n, _: _cycle(n, 2, 2.4, (0, 1, 2, 3, 2, 1)),
    "six": lambda n, _: _cycle(n, 1, 1.1, (0, 1, 2, 3)),
    "alberti": lambda n, _: _cycle(n, 2, 2.1, (0, 2, 1, 2)),
    "stride": _stride,
    "marcato": lambda n, _: _at(n, (0, 4, 8, 12, 14), 1.2),
    "habanera": lambda n, _: _at(n, (0, 3, 4, 6), 1.2) + _at(n, (8, 11, 12, 14), 1.2),
    "gate": lambda n, _: _at(n, (0, 2, 3, 5, 6, 8, 10, 11, 13, 14), 0.8),
    "drone": lambda n, _: [(0, n, "power")],
    "roll": lambda n, _: _every(n, 1, 0.95),
}

_ROOT, _FIFTH, _OCTAVE = 0, 1, 2
BASS: dict[str, tuple[tuple[int, float, int], ...]] = {  # (start, length, root | fifth | octave); "walk" is made apart
    "root": ((0, 15.5, _ROOT),),
    "half": ((0, 7.5, _ROOT), (8, 7.5, _ROOT)),
    "eighth": tuple((s, 1.9, _ROOT) for s in range(0, 16, 2)),
    "six": tuple((s, 0.95, _ROOT) for s in range(16)),
    "offbeat": tuple((s, 1.6, _ROOT) for s in range(2, 16, 4)),
    "rolling": tuple((s, 0.9, _ROOT) for s in range(16) if s % 4),
    "bossa": ((0, 5, _ROOT), (6, 2, _FIFTH), (8, 5, _FIFTH), (14, 2, _ROOT)),
    "alternate": ((0, 3.6, _ROOT), (8, 3.6, _FIFTH)),
    "polka": ((0, 1.8, _ROOT), (4, 1.8, _FIFTH), (8, 1.8, _ROOT), (12, 1.8, _FIFTH)),
    "octave": tuple((s, 1.6, _OCTAVE if s % 4 else _ROOT) for s in range(0, 16, 2)),
    "synco": ((0, 3, _ROOT), (3, 3, _ROOT), (7, 2, _ROOT), (10, 4, _FIFTH)),
    "dub": ((4, 2, _ROOT), (6, 2, _ROOT), (8, 3, _FIFTH), (12, 3, _ROOT)),
    "funk": (
        *((0, 1.5, _ROOT), (3, 0.8, _ROOT), (6, 1, _OCTAVE), (7, 0.8, _ROOT)),
        *((10, 1.5, _FIFTH), (13, 0.8, _OCTAVE), (14, 1, _ROOT)),
    ),
    "habanera": ((0, 2.5, _ROOT), (6, 1.5, _FIFTH), (8, 3, _FIFTH), (12, 3, _ROOT)),
    "long808": ((0, 6, _ROOT), (7, 3, _ROOT), (10, 5.5, _ROOT)),
}


def comp_hits(pattern: str, n: int, rng: np.random.Generator) -> list[Hit]:
    """The hits of one bar of n steps."""
    return COMP[pattern](n, rng)


def bass_hits(pattern: str, n: int, bar: int) -> list[tuple[int, float, int]]:
    """(start, length, semitones above the root) of one bar; a walking bass steps through the chord's scale."""
    if pattern == "walk":
        line = (0, 4, 7, 9) if bar % 2 else (0, 3, 5, 7)
        return [(s, 3.8, line[s // 4]) for s in range(0, n, 4)]
    interval = {_ROOT: 0, _FIFTH: 7, _OCTAVE: 12}
    return [(s, min(length, n - s), interval[which]) for s, length, which in BASS[pattern] if s < n]


def divided(hits: list[tuple[int, float, V]], division: int) -> list[tuple[int, float, V]]:
    """Finer (1): each hit of two steps and more is struck twice. Coarser (-1): only what begins on a beat is left."""
    if division > 0:
        halves = [(s, n, v) if n < 1.8 else (s, n / 2, v) for s, n, v in hits]
        again = [(s + round(n / 2), n / 2, v) for s, n, v in hits if n >= 1.8]
        return sorted(halves + again, key=lambda hit: hit[0])
    if division < 0:
        kept = [(s, max(n, min(2 * n, 3.8)), v) for s, n, v in hits if s % 4 == 0]
        return kept or hits[:1]
    return hits


def divided_strokes(key: int, steps: tuple[int, ...], division: int) -> tuple[int, ...]:
    """The same for drums: hats and shakers on all sixteenths or on beats alone; the rest as it is, or thinned."""
    if division > 0:
        return _ALL if key in _TICKING else steps
    if division < 0:
        return tuple(s for s in steps if s % (4 if key in _TICKING else 2) == 0) or steps[:1]
    return steps


_EIGHTHS = tuple(range(0, 16, 2))
_ALL = tuple(range(16))
_KICK, _RIM, _SNARE, _CLAP, _HAT, _PEDAL, _OPEN = 36, 37, 38, 39, 42, 44, 46
_TAMB, _COWBELL, _SHAKER, _CRASH, _RIDE = 54, 56, 70, 49, 51
_TICKING = (_HAT, _PEDAL, _OPEN, _TAMB, _SHAKER, _RIDE)
_HI_BONGO, _LO_BONGO, _MUTE_CONGA, _OPEN_CONGA, _LO_CONGA = 60, 61, 62, 63, 64

GROOVES: dict[str, dict[int, tuple[int, ...]]] = {  # General MIDI drum key -> steps
    "rock": {_KICK: (0, 8, 10), _SNARE: (4, 12), _HAT: _EIGHTHS},
    "pop": {_KICK: (0, 7, 8), _SNARE: (4, 12), _HAT: _EIGHTHS},
    "metal": {_KICK: _ALL, _SNARE: (4, 12), _CRASH: (0,), _RIDE: (0, 4, 8, 12)},
    "swing": {_RIDE: (0, 4, 6, 8, 12, 14), _PEDAL: (4, 12), _KICK: (0,)},
    "shuffle": {_KICK: (0, 8), _SNARE: (4, 12), _RIDE: _EIGHTHS},
    "bossa": {_RIM: (0, 3, 6, 10, 12), _KICK: (0, 6, 8, 14), _HAT: _EIGHTHS},
    "waltz": {_KICK: (0,), _HAT: (4, 8), _SNARE: (4, 8)},
    "house": {_KICK: (0, 4, 8, 12), _OPEN: (2, 6, 10, 14), _CLAP: (4, 12)},
    "techno": {_KICK: (0, 4, 8, 12), _HAT: _ALL, _CLAP: (12,), 47: (3, 11)},
    "trance": {_KICK: (0, 4, 8, 12), _OPEN: (2, 6, 10, 14), _CLAP: (4, 12), _HAT: _ALL},
    "hiphop": {_KICK: (0, 7, 10), _SNARE: (4, 12), _HAT: _EIGHTHS},
    "reggae": {_KICK: (8,), _RIM: (8,), _HAT: _EIGHTHS},
    "funk": {_KICK: (0, 3, 6, 10), _SNARE: (4, 7, 9, 12, 15), _HAT: _ALL},
    "country": {_KICK: (0, 8), _SNARE: (2, 4, 6, 10, 12, 14, 15), _HAT: (4, 12)},
    "disco": {_KICK: (0, 4, 8, 12), _SNARE: (4, 12), _OPEN: (2, 6, 10, 14), _HAT: (0, 4, 8, 12)},
    "march": {_SNARE: (0, 4, 6, 8, 12, 14, 15), _KICK: (0, 8), _CRASH: (0,)},
    "polka": {_KICK: (0, 4, 8, 12), _SNARE: (2, 6, 10, 14)},
    "epic": {41: (0, 3, 6, 8, 11, 14), _KICK: (0, 8), _CRASH: (0,), 43: (7, 15)},
    "latin": {
        _KICK: (0, 6, 8, 14),
        _OPEN_CONGA: (2, 3, 6, 10, 11, 14),
        _LO_CONGA: (7, 15),
        _COWBELL: (0, 4, 8, 12),
    },
    "celtic": {45: (0, 4, 6, 10), 41: (0, 6), _TAMB: (2, 4, 8, 10)},
    "dnb": {_KICK: (0, 10), _SNARE: (4, 12), _HAT: _ALL, _RIDE: (2, 6, 10, 14)},
    "indian": {_HI_BONGO: (0, 3, 4, 7, 8, 11, 14), _LO_BONGO: (2, 6, 10, 12), _LO_CONGA: (0, 8)},
    "brushes": {_SNARE: (4, 12), _RIDE: (0, 4, 6, 8, 12, 14), _KICK: (0,)},
}

HAND_PERCUSSION: dict[str, dict[int, tuple[int, ...]]] = {
    "congas": {_OPEN_CONGA: (3, 6, 10, 14), _MUTE_CONGA: (0, 8, 12), _LO_CONGA: (7, 15)},
    "tambourine": {_TAMB: (0, 4, 6, 8, 12, 14)},
    "shaker": {_SHAKER: _ALL},
    "hand claps": {_CLAP: (4, 12)},
}
"""Percussion with a fact of its own, laid over a groove."""
