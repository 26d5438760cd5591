"""What a mean cannot tell: whether clips lie where the reference lies, whether they cover it, and which are strangers.

N vectors of the reference, M of the set, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.kernel import squared_distances
from pipeline.threads import one_blas_thread

__all__ = ["NEAREST", "Neighbours", "look_around"]

NEAREST = 5
"""K of Naeem et al."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Kynkäänniemi et al. 2019 (precision, recall) and Naeem et al. 2020 (density, coverage)."""

    precision: float
    """Share of the set's clips within the K-th neighbour's distance of some clip of the reference."""
    recall: float
    """The other way round: share of the reference that some clip of the set is near."""
    density: float
    """Reference clips whose neighbourhood a clip of the set lies in, over K; 1 for the reference itself, and above 1
    where the set keeps to the crowded parts."""
    coverage: float
    """Share of the reference's clips with a clip of the set in their neighbourhood; falls when variety is lost."""
    strangeness_M: NDArray[np.float64]
    """Of each clip of the set: distance to its K-th neighbour in the reference, over the median of that distance within
    the reference. 1 is at home."""
    nearest_M: NDArray[np.int64]
    """Which clip of the reference is nearest."""


@one_blas_thread()
def look_around(
    reference_ND: NDArray[np.floating], vectors_MD: NDArray[np.floating], nearest: int = NEAREST
) -> Neighbours:
    """K is smaller in sets of fewer than K + 1 clips."""
    middle_D = reference_ND.astype(np.float64).mean(axis=0)
    x_ND, y_MD = reference_ND.astype(np.float64) - middle_D, vectors_MD.astype(np.float64) - middle_D
    k = max(1, min(nearest, len(x_ND) - 1, len(y_MD) - 1))
    radius_N, radius_M = _radii(x_ND, k), _radii(y_MD, k)
    inside_M, near_N, closest_N = np.zeros(len(y_MD)), np.zeros(len(x_ND), bool), np.full(len(x_ND), np.inf)
    kth_M, nearest_M = np.zeros(len(y_MD)), np.zeros(len(y_MD), np.int64)
    for rows, d2_BN in squared_distances(y_MD, x_ND):
        inside_M[rows] = (d2_BN < radius_N).sum(axis=1)
        near_N |= (d2_BN < radius_M[rows, None]).any(axis=0)
        np.minimum(closest_N, d2_BN.min(axis=0), out=closest_N)
        kth_M[rows] = np.partition(d2_BN, k - 1, axis=1)[:, k - 1]
        nearest_M[rows] = d2_BN.argmin(axis=1)
    at_home = float(np.median(np.sqrt(radius_N)))
    return Neighbours(
        precision=float((inside_M > 0).mean()),
        recall=float(near_N.mean()),
        density=float(inside_M.mean() / k),
        coverage=float((closest_N < radius_N).mean()),
        strangeness_M=np.sqrt(kth_M) / max(at_home, 1e-12),
        nearest_M=nearest_M,
    )


def _radii(x_ND: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Squared distance of each row to its K-th neighbour but itself."""
    found = np.zeros(len(x_ND))
    for rows, d2_BN in squared_distances(x_ND, x_ND):
        at = np.arange(len(d2_BN))
        d2_BN[at, rows.start + at] = 0  # a row is its own first neighbour, whatever rounding says
        found[rows] = np.partition(d2_BN, min(k, d2_BN.shape[1] - 1), axis=1)[:, min(k, d2_BN.shape[1] - 1)]
    return found
