"""How facts are heard in recordings: linear probes of embeddings of composed windows, whose facts are known, carried
over to recorded music, of which nothing is known.

W windows, B recorded clips, F facts, D dimensions.

A probe that is trained on composed music leans on small differences that recordings do not keep. What remains of it
there is how embeddings of recordings vary with its output: its pattern (Haufe et al., 2014), covariance times weights.
Half of that step, the root of the covariance, did best on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.clap import ClapEmbedder
from labeling.recipe.judging.facts import judge_facts
from labeling.recipe.training.data import Shards
from vocab.grammar.lexicon import group_of

__all__ = ["embed_windows", "probes", "verdicts"]

_RIDGE = 1.0
"""Added to the covariance, as a multiple of the mean variance of a dimension."""
_FEWEST = 10
"""Windows for which a fact is true, and for which it is false: below that there is no probe."""
_AT_ONCE = 50


def embed_windows(embedder: ClapEmbedder, folder: Path) -> tuple[NDArray[np.float32], list[list[str]]]:
    """(W, D) of the windows of music in rendered shards, and the facts of each; what is no music is left out."""
    shards = Shards(folder)
    music_W = np.flatnonzero([not any(group_of(fact) == "sound" for fact in facts) for facts in shards.facts])
    found = [
        embedder.embed_mels(shards.mels(music_W[start : start + _AT_ONCE]))
        for start in range(0, len(music_W), _AT_ONCE)
    ]
    return np.concatenate(found), [shards.facts[row] for row in music_W]


def verdicts(facts: Sequence[str], windows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """(W, F): 1 where a fact holds, 0 where it does not, NaN where that is undecided."""
    found_WF = np.full((len(windows), len(facts)), np.nan)
    place = {fact: column for column, fact in enumerate(facts)}
    for row, known in enumerate(windows):
        verdict = judge_facts(facts, known)
        found_WF[row, [place[fact] for fact in verdict.true]] = 1
        found_WF[row, [place[fact] for fact in verdict.false]] = 0
    return found_WF


def probes(
    windows_WD: NDArray[np.float32], holds_WF: NDArray[np.float64], clips_BD: NDArray[np.float32]
) -> list[NDArray[np.float32] | None]:
    """(D,) for each fact, by ridge regression over the windows that decide it; None where too few do."""
    root_DD = _root(np.cov(clips_BD.T.astype(np.float64)))
    found: list[NDArray[np.float32] | None] = []
    for holds_W in holds_WF.T:
        decided = ~np.isnan(holds_W)
        y, x = holds_W[decided], windows_WD[decided].astype(np.float64)
        if min(y.sum(), (1 - y).sum()) < _FEWEST:
            found.append(None)
            continue
        x -= x.mean(axis=0)
        covariance_DD = x.T @ x / len(x)
        covariance_DD += _RIDGE * np.trace(covariance_DD) / len(covariance_DD) * np.eye(len(covariance_DD))
        found.append((root_DD @ np.linalg.solve(covariance_DD, x.T @ (y - y.mean()))).astype(np.float32))
    return found


def _root(covariance_DD: NDArray[np.float64]) -> NDArray[np.float64]:
    values_D, vectors_DD = np.linalg.eigh(covariance_DD)
    root_DD: NDArray[np.float64] = (vectors_DD * np.sqrt(np.maximum(values_D, 0))) @ vectors_DD.T
    return root_DD
