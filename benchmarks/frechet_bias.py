"""What a Fréchet distance comes to by chance, beside what `chance_distance` predicts, and what extrapolation takes off.

    python -m benchmarks.frechet_bias [CRATE]

Pairs of samples from one Gaussian of 128 dimensions with a spectrum like the bundled model's, and of 512 even ones;
with a crate also random halves of its own embeddings, tracks kept whole.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.frechet import chance_distance, extrapolate, frechet_distance, subset_sizes
from labeling.evaluation.moments import Moments

__all__ = ["main"]

_REPEATS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate", nargs="?", help="its embeddings are split in halves")
    args = parser.parse_args()
    falling = np.exp(-np.arange(128) / 25)
    print("| from | vectors each | measured | predicted |\n|---|---|---|---|")
    for name, spectrum, sizes in (
        ("128 dimensions, falling spectrum", 0.4 * falling / falling.sum(), (100, 250, 500, 1_000, 4_000)),
        ("512 dimensions, even spectrum", np.full(512, 0.4 / 512), (100, 500, 1_000, 4_000)),
    ):
        true = Moments(count=0, mean_D=np.zeros(len(spectrum)), covariance_DD=np.diag(spectrum))
        for size in sizes:
            pairs = [[_draw(size, spectrum, 2 * r + k) for k in (0, 1)] for r in range(_REPEATS if size < 2_000 else 2)]
            found = np.mean([frechet_distance(Moments.of(a), Moments.of(b)) for a, b in pairs])
            print(f"| {name} | {size} | {found:.4f} | {chance_distance(true, size, size):.4f} |", flush=True)
    _extrapolation(0.4 * falling / falling.sum())
    if args.crate:
        _halves(args.crate)
    return 0


def _draw(size: int, spectrum: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(size, len(spectrum))) * np.sqrt(spectrum)


def _extrapolation(spectrum: NDArray[np.float64]) -> None:
    true = Moments(count=0, mean_D=np.zeros(len(spectrum)), covariance_DD=np.diag(spectrum))
    print("\n| vectors | distance (true: 0) | FAD-inf, with replacement | without replacement |\n|---|---|---|---|")
    for size in (300, 1_000):
        rows = []
        for repeat in range(4):
            x = _draw(size, spectrum, 100 + repeat)
            sizes = subset_sizes(size, len(spectrum) + 1)
            lines = [extrapolate(true, x, sizes, replace=replace).distance for replace in (True, False)]
            rows.append([frechet_distance(true, Moments.of(x)), *lines])
        print(f"| {size} | " + " | ".join(f"{v:.4f}" for v in np.mean(rows, axis=0)) + " |", flush=True)


def _halves(source: str) -> None:
    from pipeline.crate.crate import Crate
    from pipeline.crate.dataset import iterate_clips

    crate = Crate.open(source)
    rows = [row.clip for row in iterate_clips(crate, columns=["track_id", "embedding"])]
    vectors = np.array([row["embedding"] for row in rows], np.float64)
    _, track = np.unique([row["track_id"] for row in rows], return_inverse=True)
    print("\n| halves of | vectors | measured | predicted |\n|---|---|---|---|")
    for name, group in (("its clips", np.arange(len(rows))), ("its tracks", track)):
        found, predicted = [], []
        for repeat in range(20):
            first = np.isin(group, np.random.default_rng(repeat).permutation(group.max() + 1)[: (group.max() + 1) // 2])
            a, b = vectors[first], vectors[~first]
            found.append(frechet_distance(Moments.of(a), Moments.of(b)))
            predicted.append(chance_distance(Moments.of(vectors), len(a), len(b)))
        print(f"| {name} | {len(vectors)} | {np.mean(found):.4f} | {np.mean(predicted):.4f} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
