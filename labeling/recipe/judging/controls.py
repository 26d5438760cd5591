"""The control beside the model: logistic regressions on mel statistics, which hear no order in time.

B windows, X statistics, N facts, K classes, C captions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.training.captions import Caption
from labeling.recipe.training.model import multi_hot
from vocab.grammar.lexicon import FACTS

__all__ = ["FactScores", "choose_class", "mel_statistics"]

Array = NDArray[np.float32]
_STEPS = 300


def mel_statistics(mels_BFM: Array) -> Array:
    """[B, 2 M]: mean and deviation of each band over time, less the window's level."""
    x = mels_BFM - mels_BFM.mean((1, 2), keepdims=True)
    return np.concatenate([x.mean(1), x.std(1)], axis=1)


def choose_class(
    train_BX: Array, answers: Sequence[str | None], classes: Sequence[str], test_BX: Array
) -> NDArray[np.int64] | None:
    """Each test window's class, learnt from the training windows that have an answer; None where they are too few."""
    rows = [i for i, a in enumerate(answers) if a is not None]
    if len(rows) < 20:
        return None
    y = torch.tensor([classes.index(a) for a in answers if a is not None])
    logits = _fit(train_BX[rows], test_BX, len(classes), lambda x: torch.nn.functional.cross_entropy(x, y))
    chosen: NDArray[np.int64] = logits.argmax(1).numpy()
    return chosen


class FactScores:
    """How likely each fact is of each test window, one regression a fact; a caption is scored by what it states."""

    def __init__(self, train_BX: Array, train_facts: Sequence[frozenset[str]], test_BX: Array) -> None:
        self._index = {fact: i for i, fact in enumerate(FACTS)}
        has_BN = torch.from_numpy(multi_hot([list(f) for f in train_facts], self._index))
        logits_BN = _fit(
            train_BX,
            test_BX,
            len(FACTS),
            lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, has_BN, reduction="none").sum(1).mean(),
        )
        self._likely_BN = torch.nn.functional.logsigmoid(logits_BN).numpy()
        self._prior_N = np.log((has_BN.numpy().sum(0) + 1) / (len(has_BN) + 2))

    def of(self, captions: Sequence[Caption], *, surprise: bool = True) -> Array:
        """[C, B] The facts' log-likelihoods, summed, less their logarithmic priors; or their mean without (which is
        what a likeness that knows no hubs would say)."""
        stated_CN = multi_hot([list(c.facts) for c in captions], self._index)
        if surprise:
            scores: Array = stated_CN @ (self._likely_BN - self._prior_N).T
        else:
            scores = stated_CN @ self._likely_BN.T / np.maximum(stated_CN.sum(1, keepdims=True), 1)
        return scores


def _fit(
    train_BX: Array, test_BX: Array, outputs: int, loss_of: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Logits of the test windows after a fixed number of steps on standardised statistics."""
    mean, deviation = train_BX.mean(0), train_BX.std(0) + 1e-6
    X = torch.from_numpy((train_BX - mean) / deviation)
    torch.manual_seed(0)
    layer = torch.nn.Linear(X.shape[1], outputs)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.02, weight_decay=0.05)
    for _ in range(_STEPS):
        loss = loss_of(layer(X))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.inference_mode():
        logits: torch.Tensor = layer(torch.from_numpy((test_BX - mean) / deviation))
    return logits
