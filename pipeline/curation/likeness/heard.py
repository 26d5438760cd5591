"""Finding clips again in a folder of other files, by their sound: an index of fingerprints by parts of their words.

R references, F frames. Half a word (16 bits) survives unchanged far more often than a word; where several halves agree
on one file and one offset, the fingerprints are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.likeness.fingerprint import Fingerprint, Match, compare

__all__ = ["HeardIndex"]

_HALVES = 2
_VOTES, _COMPARED = 4, 6
"""Halves that agree before a file is compared; files compared with one clip at most."""
_WIDTH = 4
"""Frames of offset that count as one: 0.2 s."""


class HeardIndex:
    """Of a few thousand reference clips, in memory: about 5 bytes a half word."""

    def __init__(self, prints: Sequence[Fingerprint]) -> None:
        self._prints = prints
        halves = [_halves(one) for one in prints]
        half = np.concatenate([h for h, _ in halves] or [np.zeros(0, np.int32)])
        order = np.argsort(half, kind="stable")
        self._half = half[order]
        self._frame = np.concatenate([f for _, f in halves] or [np.zeros(0, np.int32)])[order]
        self._of = np.repeat(np.arange(len(prints), dtype=np.int32), [len(h) for h, _ in halves])[order]

    def find(self, clip: Fingerprint, *, error: float, least_s: float) -> tuple[int, Match] | None:
        """The reference with the fewest differing bits, if they are no more than `error`."""
        half, frame = _halves(clip)
        start = np.searchsorted(self._half, half, "left")
        count = np.searchsorted(self._half, half, "right") - start
        if not count.sum():
            return None
        at = np.repeat(start - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
        offset = (np.repeat(frame, count) - self._frame[at]) // _WIDTH
        place = self._of[at].astype(np.int64) << 32 | (offset + (1 << 20))
        places, votes = np.unique(place, return_counts=True)
        best: dict[int, int] = {}
        for number, vote in zip((places >> 32).tolist(), votes.tolist(), strict=True):
            best[number] = max(best.get(number, 0), vote)
        likely = sorted((-vote, number) for number, vote in best.items() if vote >= _VOTES)[:_COMPARED]
        found = [(compare(clip, self._prints[number], least_s=least_s), number) for _, number in likely]
        matches = [(match.error, number, match) for match, number in found if match and match.error <= error]
        if not matches:
            return None
        _, number, match = min(matches, key=lambda one: one[:2])
        return number, match


def _halves(one: Fingerprint) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Half words, told apart by which half they are, and their frames; of frames that are heard."""
    frames_F = np.flatnonzero(one.heard_F).astype(np.int32)
    words_F = one.words_F[frames_F]
    parts = [((words_F >> np.uint32(16 * k)) & np.uint32(0xFFFF)).astype(np.int32) + (k << 16) for k in range(_HALVES)]
    return np.concatenate(parts), np.tile(frames_F, _HALVES)
