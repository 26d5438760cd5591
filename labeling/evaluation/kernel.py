"""Kernel distance: squared maximum mean discrepancy with a Gaussian kernel, which needs no covariance and few clips.

N, M vectors, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.threads import one_blas_thread

__all__ = ["KAD_SCALE", "kad", "kernel_distance", "median_distance", "squared_distances"]

KAD_SCALE = 100.0
"""kadtk multiplies by it."""
_KAD_EPS = 1e-8
_ROWS = 1_024


def squared_distances(
    x_ND: NDArray[np.float64], y_MD: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """(rows of x, their squared distances from all of y), a block at a time; never below 0."""
    norms_M = (y_MD * y_MD).sum(axis=1)
    for start in range(0, len(x_ND), _ROWS):
        rows = slice(start, start + _ROWS)
        block_BD = x_ND[rows]
        found_BM = (block_BD * block_BD).sum(axis=1)[:, None] + norms_M - 2 * (block_BD @ y_MD.T)
        yield rows, np.maximum(found_BM, 0, out=found_BM)


def _from_middle(
    x_ND: NDArray[np.floating], y_MD: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both, moved alike to lie about 0: a squared distance is then a difference of small numbers."""
    middle_D = y_MD.astype(np.float64).mean(axis=0)
    return x_ND.astype(np.float64) - middle_D, y_MD.astype(np.float64) - middle_D


@one_blas_thread()
def median_distance(vectors_ND: NDArray[np.floating], *, lower: bool = False) -> float:
    """Of all pairs; with an even number of pairs the mean of the middle two, or the lower one, as torch has it."""
    (x_ND, _), found = _from_middle(vectors_ND, vectors_ND), []
    for rows, d2_BN in squared_distances(x_ND, x_ND):
        found.append(d2_BN[np.arange(len(x_ND)) > np.arange(rows.start, rows.start + len(d2_BN))[:, None]])
    pairs = np.sqrt(np.concatenate(found))
    middle = (len(pairs) - 1) // 2
    return float(np.partition(pairs, middle)[middle] if lower else np.median(pairs))


@one_blas_thread()
def kernel_distance(
    reference_ND: NDArray[np.floating], vectors_MD: NDArray[np.floating], bandwidth: float | None = None
) -> float:
    """Unbiased MMD^2 (Gretton et al. 2012) with exp(-d^2 / 2 s^2), s the median distance within the reference.

    A vector is not compared with itself, also where both sets have it: then equal sets give 0. Below 0 by chance where
    the sets are alike.
    """
    s = median_distance(reference_ND) if bandwidth is None else bandwidth
    reference_ND, vectors_MD = _from_middle(reference_ND, vectors_MD)
    twins = _twins(reference_ND, vectors_MD)
    across, count = _sum(reference_ND, vectors_MD, lambda d2: np.exp(d2 / (-2 * s * s))) if s > 0 else (0.0, 0)
    if s <= 0:
        return 0.0
    own = [_within(v, lambda d2: np.exp(d2 / (-2 * s * s))) for v in (reference_ND, vectors_MD)]
    return sum(own) - 2 * (across - twins) / max(count - twins, 1)


@one_blas_thread()
def kad(reference_ND: NDArray[np.floating], vectors_MD: NDArray[np.floating]) -> float:
    """As kadtk 1.1 has it: 100 times MMD^2, the bandwidth from the set that is judged, all pairs across counted."""
    s = median_distance(vectors_MD, lower=True)
    gamma = 1 / (2 * s * s + _KAD_EPS)

    def kernel(d2: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-gamma * d2)

    reference_ND, vectors_MD = _from_middle(reference_ND, vectors_MD)
    across, count = _sum(reference_ND, vectors_MD, kernel)
    return KAD_SCALE * (_within(reference_ND, kernel) + _within(vectors_MD, kernel) - 2 * across / count)


_Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _sum(x_ND: NDArray[np.float64], y_MD: NDArray[np.float64], kernel: _Kernel) -> tuple[float, int]:
    total = sum(float(kernel(d2_BM).sum()) for _, d2_BM in squared_distances(x_ND, y_MD))
    return total, len(x_ND) * len(y_MD)


def _within(x_ND: NDArray[np.float64], kernel: _Kernel) -> float:
    """Mean over pairs of two different rows."""
    total = 0.0
    for rows, d2_BN in squared_distances(x_ND, x_ND):
        values_BN = kernel(d2_BN)
        at = np.arange(len(values_BN))
        values_BN[at, rows.start + at] = 0
        total += float(values_BN.sum())
    return total / max(len(x_ND) * (len(x_ND) - 1), 1)


def _twins(x_ND: NDArray[np.float64], y_MD: NDArray[np.float64]) -> int:
    """Pairs of equal vectors, one in each set."""
    found: dict[bytes, int] = {}
    for row in x_ND:
        found[row.tobytes()] = found.get(row.tobytes(), 0) + 1
    return sum(found.get(row.tobytes(), 0) for row in y_MD)
