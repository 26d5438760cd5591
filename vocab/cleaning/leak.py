"""The leak guard: captions of an evaluation set, and near copies of them, must not come back as labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vocab.cleaning.minhash import Banding, Sketches, likely_pairs, similarities, sketch
from vocab.cleaning.sentences import split_sentences
from vocab.tables import read_rows

__all__ = ["Leak", "evaluation_texts", "find_leaks"]

GUARD = Banding(bands=20, rows=3)
"""Catches a similarity of 0.6 in 992 of 1,000 cases; more candidates than for duplicates are no matter here."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A caption that is in the evaluation set, or close to it."""

    row: int
    """Of the vocabulary's texts."""
    caption: str
    evaluation_caption: str
    similarity: float
    """1 for a copy that differs in case, spaces or punctuation at most."""


def evaluation_texts(path: str | os.PathLike[str], *, column: str) -> list[str]:
    """Every caption of a file, whole and cut into its sentences, each once."""
    found: dict[str, None] = {}
    for row in read_rows(path, columns=[column], text_column=column):
        text = " ".join(row.values[column].encode("utf-8", "replace").decode().split())
        for piece in (text, *split_sentences(text)):
            if piece:
                found[piece] = None
    return list(found)


def find_leaks(
    texts: Sequence[str], evaluation: Sequence[str], *, threshold: float, block: int = 200_000
) -> list[Leak]:
    """Captions at least `threshold` similar to one of `evaluation`, each with the closest one; rows ascending."""
    theirs = sketch(evaluation, GUARD)
    best: dict[int, Leak] = {}
    for start in range(0, len(texts), block):
        captions = texts[start : start + block]
        ours = sketch(captions, GUARD)
        pairs = likely_pairs(_common_keys(ours, theirs), ours.low_NH, theirs.low_NH, threshold=threshold)
        alike_P = similarities(captions, evaluation, pairs)
        close = alike_P >= threshold
        for (row, other), alike in zip(pairs[close].tolist(), alike_P[close].tolist(), strict=True):
            known = best.get(start + row)
            if known is None or alike > known.similarity:
                best[start + row] = Leak(
                    row=start + row, caption=captions[row], evaluation_caption=evaluation[other], similarity=alike
                )
    return [best[row] for row in sorted(best)]


def _common_keys(ours: Sketches, theirs: Sketches) -> NDArray[np.int64]:
    """(pairs, 2) of rows with a common key in some band, each once."""
    found: list[NDArray[np.int64]] = []
    for band in range(ours.keys_NB.shape[1]):
        order = np.argsort(theirs.keys_NB[:, band], kind="stable")
        sorted_keys = theirs.keys_NB[order, band]
        left = np.searchsorted(sorted_keys, ours.keys_NB[:, band], side="left")
        right = np.searchsorted(sorted_keys, ours.keys_NB[:, band], side="right")
        rows = np.flatnonzero(right > left)
        counts = (right - left)[rows]
        steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        others = order[np.repeat(left[rows], counts) + steps]
        found.append(np.stack([np.repeat(rows, counts), others], axis=1))
    return np.unique(np.concatenate(found), axis=0)
