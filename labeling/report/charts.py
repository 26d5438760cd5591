"""Geometry of the page's two charts; the template draws them as SVG, so that they follow its colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Chart", "Series", "Tick", "even_ticks", "histogram_chart", "rank_chart"]

WIDTH, HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 40


class Histogram(Protocol):
    """Counts of drawn and shuffled pairs over the same edges, `pairs` of each."""

    @property
    def pairs(self) -> int: ...
    @property
    def edges(self) -> Sequence[float]: ...
    @property
    def drawn(self) -> Sequence[int]: ...
    @property
    def shuffled(self) -> Sequence[int]: ...
    @property
    def drawn_mean(self) -> float: ...
    @property
    def shuffled_mean(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis, in the picture's units."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line or area."""

    name: str
    points: str
    """As SVG's `points`."""
    mark: float | None = None
    """Where its mean stands on the x axis."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What the template needs to draw one chart."""

    series: Sequence[Series]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def rank_chart(curves: Mapping[str, Sequence[tuple[int, int]]]) -> Chart:
    """Uses over rank, both axes logarithmic."""
    last = max((curve[-1][0] for curve in curves.values() if curve), default=1)
    most = max((curve[0][1] for curve in curves.values() if curve), default=1)
    last, most = max(last, 10), max(most, 10)

    def x(rank: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * math.log(rank) / math.log(last)

    def y(uses: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * math.log(uses) / math.log(most)

    return Chart(
        series=[Series(name=n, points=_points([(x(r), y(u)) for r, u in curve])) for n, curve in curves.items()],
        x_ticks=[Tick(at=round(x(v), 1), label=_short(v)) for v in _log_ticks(last)],
        y_ticks=[Tick(at=round(y(v), 1), label=_short(v)) for v in _log_ticks(most)],
    )


def histogram_chart(found: Histogram) -> Chart:
    """Share of pairs over cosine, drawn and shuffled, as stepped areas."""
    low, high = found.edges[0], found.edges[-1]
    peak = max(max(found.drawn), max(found.shuffled), 1) / found.pairs

    def x(cosine: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (cosine - low) / (high - low)

    def y(share: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share / (peak * 1.04)

    def area(counts: Sequence[int]) -> str:
        points = [(x(low), y(0))]
        for i, count in enumerate(counts):
            height = y(count / found.pairs)
            points += [(x(found.edges[i]), height), (x(found.edges[i + 1]), height)]
        return _points([*points, (x(high), y(0))])

    shares, cosines = even_ticks(0, peak * 100, 4), even_ticks(low, high, 6)
    digits = max((len(f"{v:g}".partition(".")[2]) for v in cosines), default=0)
    return Chart(
        series=[
            Series(name="shuffled", points=area(found.shuffled), mark=round(x(found.shuffled_mean), 1)),
            Series(name="drawn", points=area(found.drawn), mark=round(x(found.drawn_mean), 1)),
        ],
        x_ticks=[Tick(at=round(x(v), 1), label=f"{v:.{digits}f}".replace("-", "−")) for v in cosines],
        y_ticks=[Tick(at=round(y(v / 100), 1), label=f"{v:g} %") for v in shares],
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _log_ticks(last: float) -> list[int]:
    steps = (1, 2, 5) if last < 300 else (1,)
    return [step * 10**power for power in range(math.ceil(math.log10(last)) + 1) for step in steps
            if step * 10**power <= last]  # fmt: skip


def even_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in [low, high], about so many."""
    rough = max(high - low, 1e-9) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.7)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    """1,000 as 1k, 1,000,000 as 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
