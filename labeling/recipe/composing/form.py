"""Bars: which layers play in each, over which chord, how loud. A window of ten seconds is one bar after another of
the same; a whole track has an introduction, verses, a break and an ending."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ALL_LAYERS", "Bar", "loop_bars", "song_bars"]

ALL_LAYERS = frozenset({"comp", "bass", "lead", "pad", "drums", "extra"})


@dataclass(frozen=True, kw_only=True)
class Bar:
    index: int
    start_s: float
    chord: int
    """Scale degree of its chord."""
    layers: frozenset[str]
    loudness: int
    """Added to every velocity."""
    section: str
    fill: bool = False
    """The drums lead over into the next section."""
    last: bool = False
    """One held chord that ends the piece."""


def loop_bars(duration_s: float, bar_s: float, progression: tuple[int, ...]) -> list[Bar]:
    """Bars that fill the duration, all layers in each; every fourth has a fill."""
    count = int(duration_s / bar_s) + 1
    return [
        Bar(
            index=i,
            start_s=i * bar_s,
            chord=progression[i % len(progression)],
            layers=ALL_LAYERS,
            loudness=0,
            section="loop",
            fill=i % 4 == 3,
        )
        for i in range(count)
    ]


_SECTIONS: tuple[tuple[str, int, frozenset[str], int], ...] = (  # name, bars, layers, loudness
    ("verse", 8, ALL_LAYERS - {"pad"}, -3),
    ("chorus", 8, ALL_LAYERS, 4),
    ("verse", 8, ALL_LAYERS - {"extra"}, 0),
    ("break", 4, frozenset({"comp", "pad", "lead"}), -10),
    ("chorus", 8, ALL_LAYERS, 7),
)


def song_bars(
    duration_s: float,
    bar_s: float,
    verse: tuple[int, ...],
    chorus: tuple[int, ...],
    rng: np.random.Generator,
) -> list[Bar]:
    """Introduction, then sections in turn for as long as there is room, then four bars that fade to a held chord."""
    total = max(8, int((duration_s - 3.0) / bar_s))
    intro = frozenset({"comp", "pad"}) if rng.random() < 0.6 else frozenset({"comp", "bass", "drums"})
    plan: list[tuple[str, frozenset[str], int, bool]] = [("intro", intro, -9 + 2 * i, i == 3) for i in range(4)]
    turn = 0
    while len(plan) < total - 4:
        name, count, layers, loudness = _SECTIONS[turn % len(_SECTIONS)]
        count = min(count, total - 4 - len(plan))
        plan += [(name, layers, loudness, i == count - 1) for i in range(count)]
        turn += 1
    plan += [("outro", ALL_LAYERS - {"extra"}, -2 - 3 * i, False) for i in range(3)] + [
        ("outro", ALL_LAYERS, -8, False)
    ]
    bars, place = [], 0
    for i, (name, layers, loudness, fill) in enumerate(plan):
        place = place + 1 if i and plan[i - 1][0] == name else 0
        chords = chorus if name == "chorus" else verse
        last = i == len(plan) - 1
        bars.append(
            Bar(
                index=i,
                start_s=i * bar_s,
                chord=0 if last else chords[place % len(chords)],
                layers=layers,
                loudness=loudness,
                section=name,
                fill=fill,
                last=last,
            )
        )
    return bars
