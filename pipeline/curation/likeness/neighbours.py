"""Which clips might be the same sound, by their embeddings: the nearest ones of each.

N clips, D numbers of an embedding, P of what is compared, K neighbours.

In a large crate most embeddings are alike in the same few directions (loud, with drums, bright), and thousands of other
pieces are nearer than a poor copy. So they are compared in the directions in which this crate's clips differ, each
scaled to the same spread (PCA, whitened). Where all are compared with all the time would grow with N squared; above
some size only the cells around a clip are looked through (FAISS, IVF).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.threads import one_blas_thread

__all__ = ["EXACT_CLIPS", "MOST_NEAR", "near", "spread_out"]

MOST_NEAR = 24
"""Candidates of one clip: in a crate of many alike clips the rest would be all against all."""
EXACT_CLIPS = 20_000
"""Up to so many are compared all with all; see benchmarks/doubles.py for times and what the cells lose."""
_SPREAD_FROM, _DIRECTIONS, _SAMPLED = 2_000, 64, 50_000
"""Clips from which the directions can be told; how many are kept; clips that they are told from."""
_OWN_CLIPS = 64
"""Clips of the same source that may stand before others, at most."""
_BLOCK = 1024


def near(
    embedding_ND: NDArray[np.float32], source_N: NDArray[np.int64], cosine: float, *, exact: bool | None = None
) -> tuple[list[tuple[int, int, float]], int]:
    """Pairs (a < b, cosine) of clips from different sources of which one is among the 24 nearest of the other and that
    have `cosine` or more; and how many clips may have had more of them. Embeddings have length 1.

    exact: all with all, whatever the size.
    """
    count = len(embedding_ND)
    if not count:
        return [], 0
    features_NP = spread_out(embedding_ND)
    own = min(int(np.unique(source_N, return_counts=True)[1].max()), _OWN_CLIPS)
    index = _index(features_NP, count <= EXACT_CLIPS if exact is None else exact)
    found: dict[tuple[int, int], float] = {}
    crowded = 0
    for start in range(0, count, _BLOCK):
        with one_blas_thread():
            _, near_BK = index.search(features_NP[start : start + _BLOCK], min(MOST_NEAR + own, count))
        row_B = np.arange(start, start + len(near_BK))
        other_BK = (near_BK >= 0) & (source_N[near_BK] != source_N[row_B][:, None])
        score_BK = np.einsum("bd,bkd->bk", embedding_ND[row_B], embedding_ND[near_BK])
        good_BK = other_BK & (score_BK >= cosine)
        good_BK &= good_BK.cumsum(axis=1) <= MOST_NEAR
        crowded += int((good_BK.sum(axis=1) == MOST_NEAR).sum())
        for at, k in np.argwhere(good_BK).tolist():
            a, b = start + at, int(near_BK[at, k])
            found[min(a, b), max(a, b)] = float(score_BK[at, k])
    return [(a, b, score) for (a, b), score in sorted(found.items())], crowded


@one_blas_thread()
def spread_out(embedding_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is compared: of length 1, in at most 64 directions; the embeddings themselves where clips are few."""
    if len(embedding_ND) < _SPREAD_FROM:
        return np.ascontiguousarray(embedding_ND)
    chosen = np.unique(np.linspace(0, len(embedding_ND) - 1, min(len(embedding_ND), _SAMPLED)).astype(np.int64))
    sample_SD = embedding_ND[chosen].astype(np.float64)
    mean_D = sample_SD.mean(axis=0)
    spread_E, direction_DE = np.linalg.eigh(np.cov(sample_SD - mean_D, rowvar=False))
    kept = slice(None, -_DIRECTIONS - 1, -1)  # they come in rising order
    scaled_DP = direction_DE[:, kept] / np.sqrt(np.maximum(spread_E[kept], 1e-9))
    features_NP = (embedding_ND - mean_D.astype(np.float32)) @ scaled_DP.astype(np.float32)
    features_NP /= np.maximum(np.linalg.norm(features_NP, axis=1, keepdims=True), 1e-9)
    return np.ascontiguousarray(features_NP)


def _index(features_NP: NDArray[np.float32], exact: bool) -> Any:
    """Nothing may fork after this: FAISS has threads."""
    import faiss

    faiss.omp_set_num_threads(1)  # sums of k-means, and what a tie falls to, depend on their number
    count, width = features_NP.shape
    if exact:
        index: Any = faiss.IndexFlatIP(width)
    else:
        cells = int(4 * count**0.5)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = 1, 64, 1
        index.nprobe = max(8, cells // 16)
        index.train(features_NP)
    index.add(features_NP)
    return index
