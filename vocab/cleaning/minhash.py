"""MinHash over runs of five characters: which of millions of short texts are worth comparing, and exact comparison.

datasketch, the usual library, makes a Python object for each text and takes hours at that size. N texts, B bands, H
minima (rows a band times bands), P positions of a text at which a run of five bytes begins.

Captions share phrases, so a bucket (texts with the same minima in a band) grows with every text added, and comparing
all of it would be quadratic. A bucket that is too full is therefore split by further minima, as an LSH forest does:
what stays together agrees on more than a common phrase.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import hash_u64

__all__ = [
    "Banding",
    "Sketches",
    "band_pairs",
    "likely_pairs",
    "run_form",
    "similarities",
    "similarity",
    "sketch",
    "sorted_distinct",
]

RUN = 5
"""Bytes of a run; sentences have about 60 of them."""
_RUN_BITS = np.uint64(8 * RUN)
_BLOCK = 4_096
"""Texts at a time: what is worked on fits a core's cache."""
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class Banding:
    """Two texts become candidates when all minima of one band agree: probability 1 - (1 - J^rows)^bands."""

    bands: int = 12
    rows: int = 4

    def catches(self, similarity: float) -> float:
        """Probability that texts of this Jaccard similarity become candidates, as long as no bucket is too full."""
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
    codes_P, starts_N, _ = _run_codes(texts)
    codes_P = (codes_P ^ (codes_P >> np.uint64(17))) * np.uint64(0x9E3779B97F4A7C15)
    codes_P ^= codes_P >> np.uint64(29)
    for at, factor in enumerate(factors):
        least_N = np.minimum.reduceat((codes_P * factor) >> np.uint64(32), starts_N)
        low_NH[:, at] = (least_N * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
        band = at // banding.rows
        keys_NB[:, band] = (keys_NB[:, band] ^ least_N) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(at)
    keys_NB ^= keys_NB >> np.uint64(31)


def _run_codes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """The run at each position as an integer of 40 bits; where each text begins, and how many positions it has."""
    encoded = [run_form(text).encode().ljust(RUN, b" ") for text in texts]
    lengths_N = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    data = np.frombuffer(b"".join(encoded) + b" " * RUN, dtype=np.uint8).astype(np.uint64)
    ends_N = np.cumsum(lengths_N)
    starts_N = ends_N - lengths_N
    total = len(data) - RUN
    codes_P = data[:total].copy()
    for step in range(1, RUN):
        codes_P = (codes_P << np.uint64(8)) | data[step : total + step]
    # The last RUN - 1 positions of a text reach into the next one: give them the code of its first run.
    tails = (ends_N[:, None] - np.arange(1, RUN)).ravel()
    codes_P[tails] = codes_P[np.repeat(starts_N, RUN - 1)]
    return codes_P, starts_N, lengths_N


FULL = 24
"""Texts of a bucket that are all compared with each other."""
DEEPEST = 12
"""Further minima that a fuller bucket is split by, one after the other."""
_ESTIMATE_SLACK = 0.2
"""Over three standard deviations of the estimate by 48 minima at a similarity of 0.8."""


def band_pairs(
    keys_N: NDArray[np.uint64], low_NH: NDArray[np.uint8], split_from: int, *, threshold: float
) -> NDArray[np.uint64]:
    """Pairs of rows of one band that are worth an exact comparison, ascending.

    A pair is one integer, the smaller row in its upper half. `split_from`: the minimum by which full buckets are split
    first, the one after those of the band. While a bucket is too full, its texts are compared with its first one.
    """
    found: list[NDArray[np.uint64]] = []
    keys, rows = keys_N, np.arange(len(keys_N))
    for depth in range(DEEPEST + 1):
        order = np.argsort(keys, kind="stable")  # stable: rows of a bucket stay in order
        keys, rows = keys[order], rows[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
        sizes = np.diff(np.r_[starts, len(keys)])
        for size in range(2, FULL + 1):
            first = starts[sizes == size]
            for a in range(size - 1) if len(first) else ():
                for b in range(a + 1, size):
                    found.append(_likely(rows[first + a], rows[first + b], low_NH, threshold))
        over = np.repeat(sizes > FULL, sizes)
        first = np.repeat(starts, sizes)[over]
        found.append(_likely(rows[first], rows[over], low_NH, threshold))
        keys, rows = keys[over], rows[over]
        low = low_NH[rows, (split_from + depth) % low_NH.shape[1]]
        keys = (keys ^ (low + np.uint64(1))) * np.uint64(0xBF58476D1CE4E5B9)
        keys ^= keys >> np.uint64(31)
    return sorted_distinct(np.concatenate(found))


def sorted_distinct(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What `np.unique` gives, ten times as fast for millions of integers: it hashes them before it sorts."""
    ordered = np.sort(codes)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]


def _likely(
    earlier: NDArray[np.int64], later: NDArray[np.int64], low_NH: NDArray[np.uint8], threshold: float
) -> NDArray[np.uint64]:
    earlier, later = earlier[earlier != later], later[earlier != later]
    pairs = likely_pairs(np.stack([earlier, later], axis=1), low_NH, low_NH, threshold=threshold).astype(np.uint64)
    return (pairs[:, 0] << np.uint64(32)) | pairs[:, 1]


def likely_pairs(
    pairs: NDArray[np.int64], a_NH: NDArray[np.uint8], b_NH: NDArray[np.uint8], *, threshold: float
) -> NDArray[np.int64]:
    """The pairs (row of `a`, row of `b`) whose minima agree often enough to be worth an exact comparison."""
    needed = (threshold - _ESTIMATE_SLACK) * a_NH.shape[1]
    kept = [
        block[np.count_nonzero(a_NH[block[:, 0]] == b_NH[block[:, 1]], axis=1) >= needed]
        for block in (pairs[start : start + (1 << 16)] for start in range(0, len(pairs), 1 << 16))
    ]
    return np.concatenate(kept) if kept else pairs


_PAIRS_AT_ONCE = 1 << 14


def similarities(a: Sequence[str], b: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """`similarity` of text `pairs[:, 0]` of `a` and text `pairs[:, 1]` of `b`: the same values, many at a time."""
    result = np.empty(len(pairs))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        block = pairs[start : start + _PAIRS_AT_ONCE]
        runs = [_distinct_runs(texts, block[:, side]) for side, texts in enumerate((a, b))]
        # A run and the number of its pair are one integer: what stands twice is common to both texts.
        every = np.sort(np.concatenate(runs), kind="stable")
        common = every[1:][every[1:] == every[:-1]]
        common_N, all_N = (
            np.bincount((codes >> _RUN_BITS).astype(np.int64), minlength=len(block)) for codes in (common, every)
        )
        result[start : start + len(block)] = common_N / np.maximum(all_N - common_N, 1)
    return result


def _distinct_runs(texts: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The distinct runs of each row's text: place in `rows` above, run below."""
    used, place = np.unique(rows, return_inverse=True)
    runs_P, _, lengths_N = _run_codes([texts[row] for row in used.tolist()])
    owners_P = np.repeat(np.arange(len(used), dtype=np.uint64), lengths_N)
    distinct = sorted_distinct((owners_P << _RUN_BITS) | runs_P)
    counts_N = np.bincount((distinct >> _RUN_BITS).astype(np.int64), minlength=len(used))
    first_N = np.cumsum(counts_N) - counts_N
    counts = counts_N[place]
    steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    runs = distinct[np.repeat(first_N[place], counts) + steps] & np.uint64((1 << 40) - 1)
    return (np.repeat(np.arange(len(rows), dtype=np.uint64), counts) << _RUN_BITS) | runs
