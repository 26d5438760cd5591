"""Which clip is trained on when: a function of (seed, position), so that any position can be taken up again.

Row groups of a crate are permuted, epoch after epoch, into one endless sequence, and dealt to lanes in turn: lane l of
L takes groups l, l + L, l + 2 L, ... and the clips of each in shuffled order. Position p is the next clip of lane
p mod L. A rank takes whole lanes, so that a row group is read once an epoch by one rank, and a step holds the same
clips whatever the number of ranks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import hash_u64

__all__ = ["EpochOrder", "Mixture", "Place", "lane_count"]

_BLOCK = 4096
"""Clips of a lane over which a mixture holds its weights exactly (to one part in this number)."""


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


def lane_count(groups: int, *, window: int, ranks: int) -> int:
    """How many lanes: as many as row groups shall be mixed, a power of two, and a multiple of the number of ranks.

    Powers of two, so that one, two, four, ... ranks have the same lanes and with them the same steps.
    """
    lanes = 1 << (max(1, min(window, groups)).bit_length() - 1)
    return -(-lanes // ranks) * ranks


class EpochOrder:
    """The order of one crate's clips in each lane, epoch after epoch."""

    def __init__(self, part_rows: Sequence[int] | NDArray[np.integer], *, lanes: int, seed: int) -> None:
        self._rows = np.asarray(part_rows, dtype=np.int64)
        self._lanes, self._seed = lanes, seed
        self.clips = int(self._rows.sum())
        self._starts = [np.zeros(lanes, dtype=np.int64)]
        """For each epoch, how many clips each lane had before it."""
        self._growing = threading.Lock()
        self._plan = lru_cache(maxsize=4)(self._plan_epoch)
        self._of_lane = lru_cache(maxsize=4 * lanes)(self._plan_lane)
        self._shuffled = lru_cache(maxsize=4 * lanes)(self._shuffle_part)

    def locate(self, lane: int, index: int) -> tuple[int, int, int]:
        """(part, row, epoch) of the clip at `index` of a lane's endless sequence."""
        epoch = self._epoch_of(lane, index)
        i = index - int(self._starts[epoch][lane])
        parts, ends = self._of_lane(epoch, lane)
        at = int(np.searchsorted(ends, i, side="right"))
        part = int(parts[at])
        return part, int(self._shuffled(epoch, part)[i - (int(ends[at - 1]) if at else 0)]), epoch

    def _epoch_of(self, lane: int, index: int) -> int:
        with self._growing:
            while self._starts[-1][lane] <= index:
                epoch = len(self._starts) - 1
                lanes = (epoch * len(self._rows) + np.arange(len(self._rows))) % self._lanes
                had = np.bincount(lanes, weights=self._rows[self._plan(epoch)], minlength=self._lanes)
                self._starts.append(self._starts[-1] + had.astype(np.int64))
            low, high = 0, len(self._starts) - 1  # starts[low] <= index < starts[high]
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._starts[middle][lane] <= index else (low, middle)
            return low

    def _plan_epoch(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng(hash_u64("parts", self._seed, epoch)).permutation(len(self._rows))

    def _plan_lane(self, epoch: int, lane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The parts of a lane in an epoch, and where each of them ends."""
        parts = self._plan(epoch)[(lane - epoch * len(self._rows)) % self._lanes :: self._lanes]
        return parts, np.cumsum(self._rows[parts])

    def _shuffle_part(self, epoch: int, part: int) -> NDArray[np.int64]:
        return np.random.default_rng(hash_u64("rows", self._seed, epoch, part)).permutation(int(self._rows[part]))


class Mixture:
    """Several crates in fixed shares: of every 4096 clips of a lane each crate has its share, in shuffled order."""

    def __init__(self, orders: Sequence[EpochOrder], weights: Sequence[float], *, lanes: int, seed: int) -> None:
        self._orders, self._seed, self.lanes = tuple(orders), seed, lanes
        total = sum(weights)
        exact = [_BLOCK * weight / total for weight in weights]
        counts = [int(share) for share in exact]
        for i in sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])[: _BLOCK - sum(counts)]:
            counts[i] += 1
        self._counts = counts
        self._sources = np.repeat(np.arange(len(counts)), counts)
        self._block = lru_cache(maxsize=4 * lanes)(self._plan_block)

    @property
    def clips(self) -> int:
        return sum(order.clips for order in self._orders)

    def locate(self, position: int) -> Place:
        index, lane = divmod(position, self.lanes)
        block, i = divmod(index, _BLOCK)
        sources, before = self._block(block, lane)
        source = int(sources[i])
        part, row, epoch = self._orders[source].locate(lane, block * self._counts[source] + int(before[i]))
        return Place(source, part, row, epoch)

    def _plan_block(self, block: int, lane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The source of each clip of a lane, and how many before it in the block have the same one."""
        if len(self._counts) == 1:
            return np.zeros(_BLOCK, dtype=np.int64), np.arange(_BLOCK)
        sources = np.random.default_rng(hash_u64("mixture", self._seed, block, lane)).permutation(self._sources)
        before = np.zeros(_BLOCK, dtype=np.int64)
        for source in range(len(self._counts)):
            mine = sources == source
            before[mine] = np.arange(int(mine.sum()))
        return sources, before
