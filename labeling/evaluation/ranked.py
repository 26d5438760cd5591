"""How true captions are by a judge: the rank of each caption's clip among all clips, .5 by chance.

B clips, N drawn captions, D dimensions, U different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.known import Known
from labeling.evaluation.label_sample import Drawn
from pipeline.threads import one_blas_thread
from vocab.grammar.lexicon import stated_facts

__all__ = ["Calibration", "Interval", "Verdict", "by_embedder", "by_known", "calibrate", "interval"]

_DRAWS = 500
_TEXTS_AT_ONCE = 512
_BINS = 5


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with the 5th and 95th percentile of it over tracks drawn anew, whole."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of one judge on the captions of one slot."""

    judge: str
    captions: int
    judged: int
    """Captions that the judge can say something of."""
    rank: Interval
    shuffled: float
    """The same captions, each on another track's clip."""
    similarity: float | None = None
    """Mean cosine of clip and caption, of a judge that has one."""
    similarity_shuffled: float | None = None
    wins: float | None = None
    """Share of (drawn, shuffled) pairs in which the drawn one's cosine is higher."""
    true: Interval | None = None
    """Share of stated facts that hold, of those that can be decided; of a judge that knows all facts."""
    true_shuffled: float | None = None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether a higher score is more often right, by one judge."""

    judge: str
    bins: tuple[tuple[float, Interval, int], ...]
    """(mean score, mean rank, captions) of fifths of the captions by score."""
    correlation: float
    """Spearman's, of score and rank."""


def interval(value_N: NDArray[np.float64], track_N: NDArray[np.int64]) -> Interval:
    """NaN where there is nothing."""
    if not len(value_N):
        return Interval(mean=float("nan"), low=float("nan"), high=float("nan"))
    tracks, track_N = np.unique(track_N, return_inverse=True)
    sums, counts = np.bincount(track_N, value_N), np.bincount(track_N)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(tracks), np.full(len(tracks), 1 / len(tracks)), size=_DRAWS)
    means = (weights @ sums) / np.maximum(weights @ counts, 1)
    low, high = np.quantile(means, [0.05, 0.95])
    return Interval(mean=round(float(value_N.mean()), 4), low=round(float(low), 4), high=round(float(high), 4))


@one_blas_thread()
def by_embedder(
    clips_BD: NDArray[np.float32],
    drawn: Sequence[Drawn],
    partner_B: NDArray[np.int64],
    embed_text: Callable[[Sequence[str]], NDArray[np.float32]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 2) cosines and (N, 2) ranks of each caption on its own clip and on the partner's.

    A rank is the share of the other clips whose cosine with this caption is lower: what is near to everything earns
    nothing.
    """
    texts = list(dict.fromkeys(one.text for one in drawn))
    at = {text: i for i, text in enumerate(texts)}
    by_text: dict[int, list[int]] = {}
    for n, one in enumerate(drawn):
        by_text.setdefault(at[one.text], []).append(n)
    clips_BD = clips_BD / np.maximum(np.linalg.norm(clips_BD, axis=1, keepdims=True), 1e-12)
    cosine_N2, rank_N2 = np.zeros((len(drawn), 2)), np.zeros((len(drawn), 2))
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        found_UD = embed_text(texts[start : start + _TEXTS_AT_ONCE])
        similar_UB = found_UD.astype(np.float64) @ clips_BD.T.astype(np.float64)
        for u, cosine_B in enumerate(similar_UB):
            rising = np.sort(cosine_B)
            for n in by_text[start + u]:
                for column, clip in enumerate((drawn[n].clip, int(partner_B[drawn[n].clip]))):
                    value = cosine_B[clip]
                    below = np.searchsorted(rising, value, "left") + np.searchsorted(rising, value, "right") - 1
                    cosine_N2[n, column], rank_N2[n, column] = value, below / 2 / max(len(rising) - 1, 1)
    return cosine_N2, rank_N2


def by_known(known: Known, drawn: Sequence[Drawn], partner_B: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, 2) mean rank over the facts that a caption states, on its clip and on the partner's; NaN where it states
    none that the judge knows, or nothing is known of the clip."""
    at = {fact: f for f, fact in enumerate(known.facts)}
    columns: dict[str, list[int]] = {}
    rank_N2 = np.full((len(drawn), 2), np.nan)
    for n, one in enumerate(drawn):
        if one.text not in columns:
            columns[one.text] = [at[f] for f in map(_as_instrument, stated_facts(one.text)) if f in at]
        if columns[one.text]:
            for column, clip in enumerate((one.clip, int(partner_B[one.clip]))):
                rank_N2[n, column] = known.rank_BF[clip, columns[one.text]].mean()
    return rank_N2


def _as_instrument(fact: str) -> str:
    """A lead is an instrument that sounds."""
    return f"instrument:{fact[5:]}" if fact.startswith("lead:") else fact


def calibrate(
    judge: str, score_N: NDArray[np.float64], rank_N: NDArray[np.float64], track_N: NDArray[np.int64]
) -> Calibration | None:
    """None where there are too few captions to tell."""
    there = np.flatnonzero(~np.isnan(rank_N))
    if len(there) < 4 * _BINS:
        return None
    order = there[np.argsort(score_N[there], kind="stable")]
    bins = tuple(
        (round(float(score_N[part].mean()), 4), interval(rank_N[part], track_N[part]), len(part))
        for part in np.array_split(order, _BINS)
    )
    return Calibration(judge=judge, bins=bins, correlation=round(_spearman(score_N[there], rank_N[there]), 4))


def _spearman(x_N: NDArray[np.float64], y_N: NDArray[np.float64]) -> float:
    """Of ranks with ties at their mean; 0 where one does not vary."""

    def mean_ranks(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
        rising = np.sort(values_N)
        return (np.searchsorted(rising, values_N, "left") + np.searchsorted(rising, values_N, "right")) / 2

    a, b = mean_ranks(x_N), mean_ranks(y_N)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
