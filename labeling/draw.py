"""The inverse-frequency draw (PAPER 3.6): K' of a clip's K candidates, so that rare captions get their turn.

B clips, K candidates, K' drawn.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.ids import draw_uniform

__all__ = ["Method", "draw", "first_draw_probability"]

Method = Literal["inverse-frequency", "uniform", "top"]


def first_draw_probability(
    counts_BK: NDArray[np.int64], allowed_BK: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """(1/count) / sum of 1/count over a clip's candidates: the chance of each to be drawn first."""
    weights_BK = 1.0 / np.maximum(counts_BK, 1)
    if allowed_BK is not None:
        weights_BK = weights_BK * allowed_BK
    return weights_BK / np.maximum(weights_BK.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def draw(
    *,
    seed: int,
    clip_B: NDArray[np.uint64],
    caption_BK: NDArray[np.uint64],
    counts_BK: NDArray[np.int64],
    drawn: int,
    method: Method = "inverse-frequency",
    allowed_BK: NDArray[np.bool_] | None = None,
    meaning_BK: NDArray[np.int64] | None = None,
) -> NDArray[np.intp]:
    """(B, K') columns of the candidates that were drawn, best candidate first.

    Without replacement, each next one with probability proportional to 1/count among those left: the K' largest of
    log(1/count) + Gumbel noise have just that law (Gumbel top-k). The noise comes from (seed, clip, caption) alone, so
    the draw of a clip depends on no other clip, and on no order. `uniform` and `top` are the controls: all weights
    equal, and the K' best by score. Of candidates of one meaning the first drawn stays in its place, the others come
    after all other meanings; candidates that are not allowed come last of all.
    """
    K = caption_BK.shape[1]
    if drawn > K:
        raise ValueError(f"drawn is {drawn}; expected at most the {K} candidates")
    if method == "top":
        return np.broadcast_to(np.arange(drawn), (len(clip_B), drawn)).copy()
    uniform_BK = draw_uniform(seed, clip_B[:, None], caption_BK)
    keys_BK = -np.log(-np.log(uniform_BK))
    if method == "inverse-frequency":
        keys_BK -= np.log(np.maximum(counts_BK, 1))
    if allowed_BK is not None:
        keys_BK = np.where(allowed_BK, keys_BK, -np.inf)
    order_BK = np.argsort(-keys_BK, axis=1, kind="stable")
    if meaning_BK is not None:
        late_BK = _said_before(np.take_along_axis(meaning_BK, order_BK, axis=1)).astype(np.int8)
        if allowed_BK is not None:
            late_BK += 2 * ~np.take_along_axis(allowed_BK, order_BK, axis=1)
        order_BK = np.take_along_axis(order_BK, np.argsort(late_BK, axis=1, kind="stable"), axis=1)
    return np.sort(order_BK[:, :drawn], axis=1)


def _said_before(value_BK: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a column to the left has the same value."""
    order_BK = np.argsort(value_BK, axis=1, kind="stable")
    sorted_BK = np.take_along_axis(value_BK, order_BK, axis=1)
    said_BK = np.zeros(value_BK.shape, dtype=bool)
    np.put_along_axis(said_BK, order_BK[:, 1:], sorted_BK[:, 1:] == sorted_BK[:, :-1], axis=1)
    return said_BK
