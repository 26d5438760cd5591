"""How evenly captions are used: counts by caption id, and the figures that are drawn from them.

U captions that were used at all, N captions of the vocabulary, K candidates of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counter64", "Counts", "Hubness", "Spread", "hubness", "rank_curve", "spread"]

_MERGE_AT = 1 << 20
"""Ids wait until there are so many, or as many as there are counts: each merge then costs what it brings."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often each id occurred; ids ascending, counts above 0."""

    ids_U: NDArray[np.uint64]
    counts_U: NDArray[np.int64]

    def of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Counts of any ids, 0 for one that never occurred; in the shape of `ids`."""
        if not len(self.ids_U):
            return np.zeros(ids.shape, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.ids_U, ids), len(self.ids_U) - 1)
        return np.where(self.ids_U[at] == ids, self.counts_U[at], 0)


class Counter64:
    """Counts 64-bit ids in memory of the order of the distinct ones."""

    def __init__(self) -> None:
        self._ids: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._waiting: list[NDArray[np.uint64]] = []
        self._waiting_ids = 0

    def add(self, ids: NDArray[np.uint64]) -> None:
        """Count every element of `ids`, whatever its shape."""
        self._waiting.append(ids.ravel())
        self._waiting_ids += ids.size
        if self._waiting_ids >= max(_MERGE_AT, len(self._ids)):
            self._merge()

    def counts(self) -> Counts:
        """What was counted so far."""
        self._merge()
        return Counts(ids_U=self._ids, counts_U=self._counts)

    def _merge(self) -> None:
        if not self._waiting:
            return
        found, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
        self._waiting, self._waiting_ids = [], 0
        both = np.concatenate([self._ids, found])
        self._ids, place = np.unique(both, return_inverse=True)
        total = np.zeros(len(self._ids), dtype=np.int64)
        np.add.at(total, place, np.concatenate([self._counts, counts]))
        self._counts = total


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How even a way of drawing is."""

    drawn: int
    distinct: int
    entropy_bits: float
    """Of the distribution of uses over captions; log2 of the number of captions that would do as well evenly."""
    entropy_share: float
    """Of the most that is possible, log2 of min(captions, drawn); 1 where every use is of another caption."""
    largest_share: float
    """Of all uses, that of the caption used most."""


def spread(counts: NDArray[np.int64], *, captions: int) -> Spread:
    """`captions`: how many the vocabulary has, used or not."""
    drawn = int(counts.sum())
    if not drawn:
        return Spread(drawn=0, distinct=0, entropy_bits=0.0, entropy_share=0.0, largest_share=0.0)
    used = np.sort(counts[counts > 0])
    share = used / drawn
    entropy_bits = max(0.0, float(-(share * np.log2(share)).sum()))
    most = float(np.log2(min(captions, drawn)))
    return Spread(
        drawn=drawn,
        distinct=len(used),
        entropy_bits=round(entropy_bits, 6),
        entropy_share=round(entropy_bits / most, 6) if most > 0 else 1.0,
        largest_share=round(float(share[-1]), 6),
    )


@dataclass(frozen=True, kw_only=True)
class Hubness:
    """Of N_K, in how many clips' top K a caption stands, over the whole vocabulary (Radovanovic et al. 2010)."""

    skewness: float
    """Third standardised moment; 0 is symmetric, well above 1 means hubs."""
    never_share: float
    """Share of captions that stand in no top K."""
    largest: int
    """Clips with the most common candidate in their top K."""
    mean: float


def hubness(counts: NDArray[np.int64], *, captions: int) -> Hubness:
    """`counts` of the captions that occurred; the others of `captions` count as 0."""
    if captions < 1:
        return Hubness(skewness=0.0, never_share=0.0, largest=0, mean=0.0)
    used = np.sort(counts[counts > 0]).astype(np.float64)
    never = captions - len(used)
    mean = used.sum() / captions
    second = (((used - mean) ** 2).sum() + never * mean**2) / captions
    third = (((used - mean) ** 3).sum() - never * mean**3) / captions
    return Hubness(
        skewness=round(float(third / second**1.5), 6) if second > 0 else 0.0,
        never_share=round(never / captions, 6),
        largest=int(used[-1]) if len(used) else 0,
        mean=round(float(mean), 6),
    )


def rank_curve(counts: NDArray[np.int64], *, points: int = 160) -> Sequence[tuple[int, int]]:
    """(rank from 1, uses), most used first, at ranks that are even on a log axis, the last one among them."""
    falling = np.sort(counts[counts > 0])[::-1]
    if not len(falling):
        return []
    ranks = np.unique(np.rint(np.geomspace(1, len(falling), points)).astype(np.int64))
    return [(int(rank), int(falling[rank - 1])) for rank in ranks]
