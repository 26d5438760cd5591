"""Near-duplicates of short texts by MinHash over runs of five characters, verified exactly, at millions of texts.

datasketch, the usual library, makes a Python object for each text and takes hours at that size. N texts, B bands, H
minima (rows a band times bands), P positions of a text at which a run of five bytes begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import hash_u64

__all__ = ["Banding", "Sketches", "candidate_pairs", "near_duplicates", "run_form", "similarity", "sketch"]

RUN = 5
"""Bytes of a run; sentences have about 60 of them."""
_BLOCK = 4_096
"""Texts at a time: what is worked on fits a core's cache."""
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class Banding:
    """Two texts become candidates when all minima of one band agree: probability 1 - (1 - J^rows)^bands."""

    bands: int = 12
    rows: int = 4

    def catches(self, similarity: float) -> float:
        """Probability that texts of this Jaccard similarity become candidates."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def run_form(text: str) -> str:
    """What runs are taken of: letters and digits in lower case, one space between words, one at each end."""
    return f" {_NOT_WORD.sub(' ', text.casefold()).strip()} "


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of the runs of two texts, in [0, 1]."""
    runs_a, runs_b = _runs(a), _runs(b)
    return len(runs_a & runs_b) / max(len(runs_a | runs_b), 1)


@lru_cache(maxsize=20_000)
def _runs(text: str) -> frozenset[bytes]:
    data = run_form(text).encode()
    return frozenset(data[at : at + RUN] for at in range(max(1, len(data) - RUN + 1)))


@dataclass(frozen=True, kw_only=True)
class Sketches:
    """What texts are compared by before they are compared exactly."""

    keys_NB: NDArray[np.uint64]
    """Equal keys in a column make two texts candidates."""
    low_NH: NDArray[np.uint8]
    """Eight bits of each minimum: the share that agrees estimates the similarity."""

    def __len__(self) -> int:
        return len(self.keys_NB)

    def take(self, rows: NDArray[np.int64]) -> Sketches:
        return Sketches(keys_NB=self.keys_NB[rows], low_NH=self.low_NH[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[Sketches]) -> Sketches:
        return cls(
            keys_NB=np.concatenate([part.keys_NB for part in parts]),
            low_NH=np.concatenate([part.low_NH for part in parts]),
        )


def sketch(texts: Sequence[str], banding: Banding) -> Sketches:
    """The same for a text wherever it stands."""
    factors = [np.uint64(hash_u64("minhash", at) | 1) for at in range(banding.bands * banding.rows)]
    keys_NB = np.zeros((len(texts), banding.bands), dtype=np.uint64)
    low_NH = np.zeros((len(texts), len(factors)), dtype=np.uint8)
    for start in range(0, len(texts), _BLOCK):
        block = slice(start, start + _BLOCK)
        _sketch_block(texts[block], factors, banding, keys_NB[block], low_NH[block])
    return Sketches(keys_NB=keys_NB, low_NH=low_NH)


def _sketch_block(
    texts: Sequence[str],
    factors: Sequence[np.uint64],
    banding: Banding,
    keys_NB: NDArray[np.uint64],
    low_NH: NDArray[np.uint8],
) -> None:
    encoded = [run_form(text).encode().ljust(RUN, b" ") for text in texts]
    lengths_N = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    data = np.frombuffer(b"".join(encoded) + b" " * RUN, dtype=np.uint8).astype(np.uint64)
    ends_N = np.cumsum(lengths_N)
    starts_N = ends_N - lengths_N
    total = int(ends_N[-1])
    codes_P = data[:total].copy()
    for step in range(1, RUN):
        codes_P = (codes_P << np.uint64(8)) | data[step : total + step]
    codes_P = (codes_P ^ (codes_P >> np.uint64(17))) * np.uint64(0x9E3779B97F4A7C15)
    codes_P ^= codes_P >> np.uint64(29)
    # The last RUN - 1 positions of a text reach into the next one: give them the code of its first run.
    tails = (ends_N[:, None] - np.arange(1, RUN)).ravel()
    owners = np.repeat(np.arange(len(encoded)), RUN - 1)
    codes_P[tails] = codes_P[starts_N[owners]]
    for at, factor in enumerate(factors):
        least_N = np.minimum.reduceat((codes_P * factor) >> np.uint64(32), starts_N)
        low_NH[:, at] = (least_N * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
        band = at // banding.rows
        keys_NB[:, band] = (keys_NB[:, band] ^ least_N) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(at)
    keys_NB ^= keys_NB >> np.uint64(31)


def candidate_pairs(keys_NB: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(pairs, 2) of rows with a common key, the smaller first: each with the first and with the one before."""
    found: list[NDArray[np.uint64]] = []
    for band in range(keys_NB.shape[1]):
        column = keys_NB[:, band]
        order = np.argsort(column, kind="stable")
        same = column[order[1:]] == column[order[:-1]]
        if not bool(same.any()):
            continue
        later = np.flatnonzero(same) + 1
        run_start = np.where(np.r_[True, ~same], np.arange(len(order)), 0)
        first = np.maximum.accumulate(run_start)[later]
        for earlier in (first, later - 1):
            pair = (order[earlier].astype(np.uint64) << np.uint64(32)) | order[later].astype(np.uint64)
            found.append(pair)
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def likely_pairs(pairs: NDArray[np.int64], a: Sketches, b: Sketches, *, threshold: float) -> NDArray[np.int64]:
    """The pairs (row of `a`, row of `b`) whose minima agree often enough to be worth an exact comparison."""
    kept = [
        block[(a.low_NH[block[:, 0]] == b.low_NH[block[:, 1]]).mean(axis=1) >= threshold - _ESTIMATE_SLACK]
        for block in (pairs[start : start + (1 << 18)] for start in range(0, len(pairs), 1 << 18))
    ]
    return np.concatenate(kept) if kept else pairs


_ESTIMATE_SLACK = 0.2
"""Over three standard deviations of the estimate by 48 minima at a similarity of 0.8."""


def near_duplicates(
    texts: Sequence[str], sketches: Sketches, *, threshold: float, rounds: int = 3
) -> Iterator[tuple[int, int]]:
    """(row to leave out, row that it repeats): every row that is `threshold` similar to an earlier one that stays.

    Rounds: a row is compared with the first of its key, which may itself go; what is left is compared again.
    """
    left = np.arange(len(texts))
    seen = np.empty(0, dtype=np.uint64)
    for _ in range(rounds):
        now = sketches.take(left)
        pairs = left[likely_pairs(candidate_pairs(now.keys_NB), now, now, threshold=threshold)]
        codes = (pairs[:, 0].astype(np.uint64) << np.uint64(32)) | pairs[:, 1].astype(np.uint64)
        pairs = pairs[~np.isin(codes, seen)]
        seen = np.union1d(seen, codes)
        gone: set[int] = set()
        # In order of the later row, so that whether the earlier one stays is known.
        for earlier, later in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
            if earlier in gone or later in gone:
                continue
            if similarity(texts[earlier], texts[later]) >= threshold:
                gone.add(later)
                yield later, earlier
        if not gone:
            return
        left = np.setdiff1d(left, np.fromiter(gone, dtype=np.int64, count=len(gone)), assume_unique=True)
