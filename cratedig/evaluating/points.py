"""The points of a sweep: one setting of one stage changed at a time, all others as the run has them (PAPER 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Point", "Recommendation", "points_of", "recommend"]

_NOISE = 1.0
"""Half widths of the 90 % interval within which two similarities count as equal."""
_WORSE = 0.1
"""Of the way from the least distance to the largest, within which one counts as equal to the least."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A way to sample."""

    stage: str
    """Whose setting is changed; empty for the baseline."""
    setting: str
    value: Any

    @property
    def name(self) -> str:
        return f"{self.stage} {self.setting} {self.value}" if self.stage else "as trained"

    @property
    def changes(self) -> dict[str, dict[Any, Any]]:
        """As `Cascade.sampling` takes them."""
        return {self.setting: {self.stage: self.value}} if self.stage else {}


def points_of(stages: Sequence[str], values: Mapping[str, Sequence[Any]], texts: Mapping[str, bool]) -> list[Point]:
    """The baseline first; guidance of a stage that reads no text is no setting. texts: stage -> whether it does."""
    points = [Point(stage="", setting="", value=None)]
    for stage in stages:
        for setting, wanted in values.items():
            if setting == "guidance" and not texts[stage]:
                continue
            points += [Point(stage=stage, setting=setting, value=value) for value in wanted]
    return points


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """One point, and why."""

    point: int
    why: str


def recommend(rows: Sequence[Mapping[str, Any]]) -> Recommendation:
    """The cheapest point whose similarity is within noise of the best and whose distance is at most a tenth
    of the way from the least to the largest; where none is both, the one with the best sum of the two places.

    rows: similarity, similarity_low, similarity_high, distance (None without a reference), seconds.
    """
    best = max(range(len(rows)), key=lambda i: rows[i]["similarity"])
    bar = rows[best]["similarity"] - _NOISE * (rows[best]["similarity_high"] - rows[best]["similarity_low"]) / 2
    distances = [row["distance"] for row in rows]
    measured = [d for d in distances if d is not None]
    limit = min(measured) + _WORSE * (max(measured) - min(measured)) if measured else None
    good = [
        i
        for i, row in enumerate(rows)
        if row["similarity"] >= bar and (limit is None or row["distance"] is None or row["distance"] <= limit)
    ]
    if good:
        cheapest = min(good, key=lambda i: (rows[i]["seconds"], i))
        return Recommendation(
            point=cheapest,
            why=f"the cheapest of {len(good)} whose similarity is within noise of the best ({bar:.3f} or more)"
            + (f" and whose distance is among the least ({limit:.4g} or less)" if limit is not None else ""),
        )
    by_similarity = sorted(range(len(rows)), key=lambda i: -rows[i]["similarity"])
    by_distance = sorted(range(len(rows)), key=lambda i: (distances[i] is None, distances[i] or 0.0))
    chosen = min(range(len(rows)), key=lambda i: (by_similarity.index(i) + by_distance.index(i), rows[i]["seconds"]))
    return Recommendation(point=chosen, why="no point is good in both; this one has the best sum of the two places")
