"""Captions of the bundled vocabularies as training texts: whichever are true of a clip.

C captions, N facts, B windows. The model shall know the words and sentence forms that it is going to label with, also
those words that no composed piece sounds like (a mandolin): they then mean what else is said about them.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.recipe.training.captions import Caption
from pipeline.parquet import read_table
from vocab.grammar.lexicon import FACTS

__all__ = ["VocabularyTexts", "vocabulary_pool"]

_FILES = tuple(Path(__file__).parents[3] / "vocab" / "bundled" / name for name in ("long.parquet", "short.parquet"))
_AT_ONCE = 5000
"""Captions looked through for one batch, out of all: enough for every clip to find some."""
_INDEX = {fact: i for i, fact in enumerate(FACTS)}


@cache
def vocabulary_pool() -> tuple[Caption, ...]:
    """Every bundled caption with what it states, which may be nothing."""
    rows = []
    for path in _FILES:
        with path.open("rb") as file:
            rows += read_table(file, columns=["text", "facts"]).to_pylist()
    return tuple(Caption(row["text"], tuple(f for f in row["facts"] or () if f in _INDEX)) for row in rows)


class VocabularyTexts:
    """Finds captions for clips; those that state more are chosen more often."""

    def __init__(self) -> None:
        self.captions = [caption for caption in vocabulary_pool() if caption.facts]
        random.Random(0).shuffle(self.captions)
        self._stated_CN = np.zeros((len(self.captions), len(FACTS)), np.float32)
        for row, caption in enumerate(self.captions):
            self._stated_CN[row, [_INDEX[f] for f in caption.facts]] = 1.0
        self._count_C = self._stated_CN.sum(1)

    def for_clips(self, has_BN: NDArray[np.float32], rng: random.Random) -> list[Caption]:
        """One caption for each clip, all of whose facts hold; the empty caption where there is none."""
        start = rng.randrange(max(1, len(self.captions) - _AT_ONCE))
        block = slice(start, start + _AT_ONCE)
        counts = self._count_C[block]
        fits_CB = self._stated_CN[block] @ has_BN.T >= counts[:, None] - 0.5
        chosen = []
        for column in range(has_BN.shape[0]):
            rows = np.flatnonzero(fits_CB[:, column])
            weights = np.cumsum(counts[rows] ** 2)
            if not rows.size:
                chosen.append(Caption("", ()))
                continue
            chosen.append(self.captions[start + int(rows[np.searchsorted(weights, rng.random() * weights[-1])])])
        return chosen
