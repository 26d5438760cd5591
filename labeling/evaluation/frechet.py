"""Fréchet distance of two Gaussians, what it comes to by chance alone, and what is left of it without end of clips.

N vectors, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.moments import Moments
from pipeline.errors import IndexMismatch
from pipeline.threads import one_blas_thread

__all__ = ["Extrapolated", "chance_distance", "extrapolate", "frechet_distance", "subset_sizes"]

_POINTS = 15
_SMALLEST_SHARE = 0.2
_DRAWS, _EXACT = 4, 20


class _Choice(Protocol):
    def choice(self, a: int, size: int, replace: bool) -> NDArray[np.int64]: ...


@one_blas_thread()
def frechet_distance(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2) (Dowson and Landau 1982), in float64.

    The last trace is that of the square roots of the eigenvalues of S_a^1/2 S_b S_a^1/2, which are the singular values
    of S_a^1/2 S_b^1/2: taken as such they lose nothing to the square, so that equal sets give 0 to 1e-12 of their
    size, also where a covariance is singular. Raises IndexMismatch for other dimensions.
    """
    if a.dimension != b.dimension:
        raise IndexMismatch(f"statistics of {a.dimension} and of {b.dimension} dimensions; both must be one encoder's")
    apart_D = a.mean_D - b.mean_D
    shared = np.linalg.svd(_root(a.covariance_DD) @ _root(b.covariance_DD), compute_uv=False).sum()
    value = apart_D @ apart_D + np.trace(a.covariance_DD) + np.trace(b.covariance_DD) - 2 * shared
    return max(0.0, float(value))


def _root(covariance_DD: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric square root; eigenvalues that are rounding alone count as 0."""
    values_D, vectors_DD = np.linalg.eigh(covariance_DD)
    values_D[values_D < len(values_D) * np.finfo(np.float64).eps * max(values_D[-1], 0)] = 0
    return (vectors_DD * np.sqrt(np.maximum(values_D, 0))) @ vectors_DD.T


@one_blas_thread()
def chance_distance(reference: Moments, first: int, second: int) -> float:
    """What two samples of so many vectors, both from the Gaussian of `reference`, are apart on average.

    To first order in 1/N: tr S (1/n + 1/m) for the means, and for covariances half the sum over i, j of
    var(dS_ij) / (l_i + l_j), with var(dS_ij) = l_i l_j (1 + [i = j]) (1/(n - 1) + 1/(m - 1)) (Wishart) and the
    eigenvalues l. Samples smaller than the effective dimension (tr S)^2 / tr S^2 are drawn instead, a few times: the
    formula is far too large there. A size of 0 is one without end.
    """
    values_D = np.maximum(np.linalg.eigvalsh(reference.covariance_DD), 0)
    values_D = values_D[values_D > 1e-12 * max(values_D.max(initial=0), 1e-300)]
    if not len(values_D):
        return 0.0
    effective = values_D.sum() ** 2 / (values_D**2).sum()
    if min((n for n in (first, second) if n), default=effective) < effective:
        return _drawn_distance(values_D, first, second)
    pairs = float((np.outer(values_D, values_D) / np.add.outer(values_D, values_D)).sum()) + values_D.sum() / 2
    means = sum(1 / n for n in (first, second) if n)
    covariances = sum(1 / (n - 1) for n in (first, second) if n > 1)
    return float(values_D.sum() * means + pairs * covariances / 2)


def _drawn_distance(values_D: NDArray[np.float64], first: int, second: int) -> float:
    """Mean distance of samples of a Gaussian with these variances; of small ones it costs little: the trace of the root
    is the sum of the singular values of a product of centred samples, n x m."""
    rng = np.random.default_rng(0)

    def sample(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean, and a matrix whose square is the covariance; a sample beside which the other is nothing is exact."""
        if not size or size > _EXACT * len(values_D):
            return np.zeros(len(values_D)), np.diag(np.sqrt(values_D))
        x_ND = rng.normal(size=(size, len(values_D))) * np.sqrt(values_D)
        return x_ND.mean(axis=0), (x_ND - x_ND.mean(axis=0)) / np.sqrt(max(size - 1, 1))

    found = []
    for _ in range(_DRAWS):
        (mean_a, a), (mean_b, b) = sample(first), sample(second)
        shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
        found.append(((mean_a - mean_b) ** 2).sum() + (a * a).sum() + (b * b).sum() - 2 * shared)
    return float(np.mean(found))


@dataclass(frozen=True, kw_only=True)
class Extrapolated:
    """A straight line through distance over 1/n."""

    distance: float
    """Where it meets 1/n = 0."""
    slope: float
    r2: float
    points: tuple[tuple[int, float], ...]
    """(n, distance)."""


def subset_sizes(count: int, least: int) -> list[int]:
    """Sizes evenly apart in 1/n, from a fifth of the vectors (or `least`) to all."""
    smallest = min(max(int(count * _SMALLEST_SHARE), least), count)
    return sorted({round(1 / x) for x in np.linspace(1 / count, 1 / smallest, _POINTS)})


def extrapolate(
    reference: Moments,
    vectors_ND: NDArray[np.floating],
    sizes: Sequence[int],
    *,
    draw: _Choice | None = None,
    replace: bool = True,
) -> Extrapolated:
    """Distances of `reference` from random subsets, extrapolated to infinitely many vectors (Chong and Forsyth 2020).

    replace: with it, as fadtk has it (Gui et al. 2024), which takes off what drawing adds, but not what the set itself,
    a sample too, is off: that stays as large as `chance_distance` says. Without it, the line goes to the distance of
    what the set was drawn from; its points grow alike towards the whole set.
    """
    draw = draw or np.random.default_rng(0)
    points = []
    for size in sizes:
        rows = draw.choice(len(vectors_ND), size=size, replace=replace)
        points.append((size, frechet_distance(reference, Moments.of(vectors_ND[rows]))))
    x, y = np.array([1 / n for n, _ in points]), np.array([distance for _, distance in points])
    slope, distance = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    r2 = 1 - float(((y - slope * x - distance) ** 2).sum()) / spread if spread > 0 else 1.0
    return Extrapolated(distance=float(distance), slope=float(slope), r2=r2, points=tuple(points))
