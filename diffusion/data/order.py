"""Which clip is trained on when: a function of (seed, position), so that any position can be taken up again.

Row groups of all shards are permuted, `window` neighbours of that order are shuffled together, epoch by epoch. The
stream of positions belongs to the run, not to a worker: rank r of a step takes its slice of the step's positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import hash_u64

__all__ = ["EpochOrder", "Mixture", "Place"]

_BLOCK = 4096
"""Positions over which a mixture holds its weights exactly (to one part in this number)."""


@dataclass(frozen=True)
class Place:
    """Where a position's clip is."""

    source: int
    """Which crate."""
    part: int
    """Which of its parts (row groups)."""
    row: int
    """Which of the part's kept rows."""
    epoch: int


class EpochOrder:
    """The order of one crate's clips, epoch after epoch."""

    def __init__(self, part_rows: Sequence[int], *, window: int, seed: int) -> None:
        self._rows = np.asarray(part_rows, dtype=np.int64)
        self._window, self._seed = window, seed
        self.clips = int(self._rows.sum())
        self._epoch = lru_cache(maxsize=4)(self._plan_epoch)
        self._shuffled = lru_cache(maxsize=8)(self._shuffle_window)

    def locate(self, index: int) -> tuple[int, int, int]:
        """(part, row, epoch) of the clip at `index` of the endless sequence."""
        epoch, i = divmod(index, self.clips)
        _, window_ends = self._epoch(epoch)
        window = int(np.searchsorted(window_ends, i, side="right"))
        start = int(window_ends[window - 1]) if window else 0
        part, row = self._shuffled(epoch, window)[i - start]
        return int(part), int(row), epoch

    def _plan_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.random.default_rng(hash_u64("parts", self._seed, epoch)).permutation(len(self._rows))
        ends = np.cumsum(self._rows[order])[self._window - 1 :: self._window]
        return order, ends if len(ends) and ends[-1] == self.clips else np.append(ends, self.clips)

    def _shuffle_window(self, epoch: int, window: int) -> NDArray[np.int64]:
        order, _ = self._epoch(epoch)
        parts = order[window * self._window : (window + 1) * self._window]
        rows = self._rows[parts]
        inside = np.concatenate([np.arange(n) for n in rows])
        places = np.stack([np.repeat(parts, rows), inside], axis=1)
        return np.random.default_rng(hash_u64("rows", self._seed, epoch, window)).permutation(places)


class Mixture:
    """Several crates in fixed shares: of every 4096 positions each crate has its share, in shuffled order."""

    def __init__(self, orders: Sequence[EpochOrder], weights: Sequence[float], *, seed: int) -> None:
        self._orders, self._seed = tuple(orders), seed
        total = sum(weights)
        exact = [_BLOCK * weight / total for weight in weights]
        counts = [int(share) for share in exact]
        for i in sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])[: _BLOCK - sum(counts)]:
            counts[i] += 1
        self._counts = counts
        self._sources = np.repeat(np.arange(len(counts)), counts)
        self._block = lru_cache(maxsize=4)(self._plan_block)

    @property
    def clips(self) -> int:
        return sum(order.clips for order in self._orders)

    def locate(self, position: int) -> Place:
        block, i = divmod(position, _BLOCK)
        sources, before = self._block(block)
        source = int(sources[i])
        part, row, epoch = self._orders[source].locate(block * self._counts[source] + int(before[i]))
        return Place(source, part, row, epoch)

    def _plan_block(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The source of each position, and how many before it in the block have the same one."""
        sources = np.random.default_rng(hash_u64("mixture", self._seed, block)).permutation(self._sources)
        before = np.zeros(_BLOCK, dtype=np.int64)
        for source in range(len(self._counts)):
            mine = sources == source
            before[mine] = np.arange(int(mine.sum()))
        return sources, before
