"""Melodies: motifs of a bar, repeated and varied, that meet the chord on strong beats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labeling.recipe.composing.form import Bar

__all__ = ["write_melody"]

_PACES: dict[str, tuple[int, ...]] = {
    "sparse": (8, 12, 16),
    "mid": (2, 4, 4, 6, 8),
    "busy": (1, 2, 2, 2, 4),
    "run": (1, 1, 2, 2),
}
_COMPOUND: dict[str, tuple[int, ...]] = {"sparse": (6, 12), "mid": (2, 4, 6), "busy": (2, 2, 4), "run": (2, 2, 1)}
_SHAPE = (0, 0, 1, 2)
"""Phrases of four bars: a motif, again, another, a third that ends longer."""

Motif = list[tuple[int, int, int, bool]]
"""(start, length, scale steps moved, rest) of each note."""


def _motif(n: int, lengths: tuple[int, ...], rng: np.random.Generator) -> Motif:
    motif: Motif = []
    step = 0
    while step < n:
        length = min(int(rng.choice(lengths)), n - step)
        motif.append((step, length, int(rng.integers(-2, 3)), bool(rng.random() < 0.1)))
        step += length
    return motif


def write_melody(
    bars: list[Bar], n: int, pace: str, meter: int, rng: np.random.Generator
) -> Iterator[tuple[Bar, list[tuple[int, int, int]]]]:
    """For each bar with a lead: its (start, length, scale degree) notes; degrees lie between -5 and 9."""
    lengths = (_COMPOUND if meter == 6 else _PACES)[pace]
    motifs: dict[tuple[str, int], Motif] = {}
    degree, place = int(rng.integers(-1, 5)), 0
    for bar in bars:
        if "lead" not in bar.layers:
            place = 0
            continue
        if bar.last:
            yield bar, [(0, n, 0)]
            continue
        key = (bar.section, _SHAPE[place % 4])
        if key not in motifs or rng.random() < 0.15:
            motifs[key] = _motif(n, lengths, rng)
        line = []
        for step, length, move, rest in motifs[key]:
            degree = int(np.clip(degree + move, -5, 9))
            if step % 8 == 0:  # land on a chord tone
                tones = [bar.chord + k + 7 * octave for k in (0, 2, 4) for octave in (-1, 0, 1)]
                degree = min(tones, key=lambda d: (abs(d - degree), d))
            if not rest:
                line.append((step, length, degree))
        place += 1
        yield bar, line
