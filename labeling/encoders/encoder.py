"""What a model is to an evaluation: samples in, vectors out, one a clip or one a frame.

T samples, F vectors of a clip, D dimensions.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.embedder import Embedder
from pipeline.records import EmbedderCard

__all__ = ["ClipEncoder", "Encoder"]


class Encoder(Protocol):
    """The same clip gives the same bits, whatever was encoded before it."""

    card: EmbedderCard
    """`text_limit_tokens` is 0 for a model without text."""
    per: Literal["clip", "window", "frame"]
    """What a vector stands for: the paper takes MuLan's a clip, VGGish's and Trill's a frame (4.3.2)."""

    def encode(self, clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F, D) of one clip, mono at the card's rate, of any length."""
        ...


class ClipEncoder(Encoder):
    """A joint embedder: one vector a clip, the mean direction of its windows, as a crate holds it."""

    per = "clip"

    def __init__(self, embedder: Embedder) -> None:
        self.card, self.embedder = embedder.card, embedder

    def encode(self, clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.embedder.embed_clips([clip_T])
