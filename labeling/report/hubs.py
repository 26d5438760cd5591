"""What `--debias` changes: the hubs of one sample of clips, with each caption's mean similarity left on and taken off.

B sampled clips, D dimensions, N captions of the vocabulary, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.report.usage import Hubness, hubness
from labeling.search.exact import ExactSearch

__all__ = ["HubComparison", "compare_hubs"]

_CLIPS, _CAPTIONS = 512, 200_000
"""At most so many, evenly chosen: a minute at 512 dimensions on one core."""


@dataclass(frozen=True, kw_only=True)
class HubComparison:
    """Hubness of one sample under both ways of ranking."""

    clips: int
    captions: int
    plain: Hubness
    """The paper's method: similarity as it is."""
    debiased: Hubness
    """Similarity less the caption's mean over the clips."""


def compare_hubs(clips_BD: NDArray[np.float32], captions_ND: NDArray[np.floating], k: int) -> HubComparison:
    """Searches twice; the mean is taken over all of `clips_BD`, the search over an even choice of them."""
    mean_D = clips_BD.mean(axis=0, dtype=np.float64).astype(np.float32)
    queries = clips_BD[_evenly(len(clips_BD), _CLIPS)]
    captions = np.asarray(captions_ND[_evenly(len(captions_ND), _CAPTIONS)])
    search = ExactSearch(captions)

    def measure(queries_BD: NDArray[np.float32]) -> Hubness:
        return hubness(np.bincount(search.top(queries_BD, k).rows_QK.ravel()), captions=len(captions))

    return HubComparison(
        clips=len(queries),
        captions=len(captions),
        plain=measure(queries),
        debiased=measure(queries - mean_D),
    )


def _evenly(count: int, most: int) -> NDArray[np.int64] | slice:
    return slice(None) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)
