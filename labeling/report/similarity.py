"""Is a caption about its clip? Cosines of drawn (clip, caption) pairs, against the same captions on other clips.

B sampled clips, L captions of each, D dimensions, U captions that are candidates somewhere, N of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import hash_u64

__all__ = ["Similarity", "compare", "strangers"]

_BINS = (16, 60)
"""Fewest and most: about two for each root of the number of pairs."""
_PAIRS_AT_ONCE = 4_096


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Two histograms over the same bins."""

    clips: int
    pairs: int
    edges: Sequence[float]
    """One more than the bins."""
    drawn: Sequence[int]
    shuffled: Sequence[int]
    drawn_mean: float
    shuffled_mean: float
    drawn_wins: float
    """Share of (drawn, shuffled) pairs in which the drawn one is higher, ties half: the area under the ROC curve."""


def strangers(clip_ids: Sequence[str], track_ids: Sequence[str]) -> NDArray[np.int64]:
    """For each clip the number of another one, of another track where there are two, in an order set by hashes."""
    B = len(clip_ids)
    order = sorted(range(B), key=lambda i: hash_u64("shuffled", clip_ids[i]))
    several = len(set(track_ids)) > 1
    partner_B = np.zeros(B, dtype=np.int64)
    for place, i in enumerate(order):
        step = 1
        while several and track_ids[order[(place + step) % B]] == track_ids[i]:
            step += 1
        partner_B[i] = order[(place + step) % B]
    return partner_B


def compare(
    clips_BD: NDArray[np.float32],
    caption_BLD: NDArray[np.float32],
    partner_B: NDArray[np.int64],
) -> Similarity | None:
    """None where there is no pair to compare. Vectors are normalised here, so that scores are cosines."""
    B = len(clips_BD)
    if B < 2 or not caption_BLD.shape[1]:
        return None
    drawn_BL = np.empty(caption_BLD.shape[:2])
    shuffled_BL = np.empty(caption_BLD.shape[:2])
    unit_BD = _unit(clips_BD)
    for start in range(0, B, _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        captions = _unit(caption_BLD[rows])
        drawn_BL[rows] = np.einsum("bd,bld->bl", unit_BD[rows], captions)
        shuffled_BL[rows] = np.einsum("bd,bld->bl", unit_BD[partner_B[rows]], captions)
    low = np.floor(min(drawn_BL.min(), shuffled_BL.min()) * 20 - 1e-6) / 20
    high = np.ceil(max(drawn_BL.max(), shuffled_BL.max()) * 20 + 1e-6) / 20
    bins = int(np.clip(2 * np.sqrt(drawn_BL.size), *_BINS))
    edges = np.linspace(low, high, bins + 1)
    return Similarity(
        clips=B,
        pairs=drawn_BL.size,
        edges=[round(float(edge), 6) for edge in edges],
        drawn=np.histogram(drawn_BL, edges)[0].tolist(),
        shuffled=np.histogram(shuffled_BL, edges)[0].tolist(),
        drawn_mean=round(float(drawn_BL.mean()), 4),
        shuffled_mean=round(float(shuffled_BL.mean()), 4),
        drawn_wins=round(_wins(drawn_BL.ravel(), shuffled_BL.ravel()), 4),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)


def _wins(drawn: NDArray[np.float64], shuffled: NDArray[np.float64]) -> float:
    rising = np.sort(shuffled)
    below = np.searchsorted(rising, drawn, side="left") + np.searchsorted(rising, drawn, side="right")
    return float(below.sum() / 2 / (len(drawn) * len(rising)))
