"""Geometry of an evaluation's charts; the templates draw them as SVG, so that they follow the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from labeling.report.charts import Chart, Series, Tick, even_ticks

__all__ = ["Dot", "Plot", "Points", "plot"]


@dataclass(frozen=True, kw_only=True)
class Points:
    """One line of a plot: (x, y, low, high) each, where low and high may be y itself."""

    name: str
    css: str
    points: Sequence[tuple[float, float, float, float]]
    line: bool = True


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point in the picture's units, with its whisker."""

    x: float
    y: float
    low: float
    high: float
    css: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart of points with whiskers, and lines through them."""

    chart: Chart
    dots: Sequence[Dot] = field(default_factory=tuple)
    chance: float | None = None
    """Where a level of y that is worth nothing stands."""


def plot(
    series: Sequence[Points], *, chance: float | None = None, names: Sequence[str] = (), log_x: bool = False
) -> Plot:
    """names: what stands at x = 0, 1, 2, ... instead of numbers."""
    xs = [x for one in series for x, *_ in one.points]
    ys = [y for one in series for _, *rest in one.points for y in rest] + ([chance] if chance is not None else [])
    low_x, high_x = (min(xs), max(xs)) if xs else (0.0, 1.0)
    if names:
        low_x, high_x = -0.5, len(names) - 0.5
    low_y, high_y = (min(ys), max(ys)) if ys else (0.0, 1.0)
    margin = 0.08 * (high_y - low_y) or 0.05
    low_y, high_y = low_y - margin, high_y + margin
    if low_x == high_x:
        low_x, high_x = (low_x / 2, high_x * 2) if log_x else (low_x - 0.5, high_x + 0.5)
    blank = Chart(series=(), x_ticks=(), y_ticks=())

    def at_x(x: float) -> float:
        share = math.log(x / low_x) / math.log(high_x / low_x) if log_x else (x - low_x) / (high_x - low_x)
        inner = 0.0 if names else 0.03
        return round(blank.left + (blank.right - blank.left) * (inner + (1 - 2 * inner) * share), 1)

    def at_y(y: float) -> float:
        return round(blank.bottom - (blank.bottom - blank.top) * (y - low_y) / (high_y - low_y), 1)

    x_ticks = (
        [Tick(at=at_x(i), label=name) for i, name in enumerate(names)]
        if names
        else [Tick(at=at_x(v), label=f"{v:g}".replace("-", "−")) for v in _ticks(low_x, high_x, log_x)]
    )
    chart = Chart(
        series=[
            Series(name=one.css, points=" ".join(f"{at_x(x)},{at_y(y)}" for x, y, _, _ in one.points))
            for one in series
            if one.line
        ],
        x_ticks=x_ticks,
        y_ticks=[Tick(at=at_y(v), label=f"{v:g}".replace("-", "−")) for v in even_ticks(low_y, high_y, 5)],
    )
    dots = [
        Dot(x=at_x(x), y=at_y(y), low=at_y(low), high=at_y(high), css=one.css, label=f"{one.name}: {x:g}, {y:.4g}")
        for one in series
        for x, y, low, high in one.points
    ]
    return Plot(chart=chart, dots=dots, chance=None if chance is None else at_y(chance))


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if not log:
        return even_ticks(low, high, 6)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [v for p in range(first, last + 1) for v in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if low <= v <= high]
