"""From clips to one embedding each: windows of the embedder's length, averaged (PAPER 3.6).

C clips, W windows of a clip, T samples of a window, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.records import EmbedderCard

__all__ = ["AudioEmbedder", "embed_clips", "mean_direction", "windows_per_clip"]


class AudioEmbedder(Protocol):
    """What the clips job needs of a joint model; `labeling.embedders.embedder` has the whole interface."""

    @property
    def card(self) -> EmbedderCard: ...

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        """B windows of exactly window_s -> (B, D), each of length 1."""
        ...


def windows_per_clip(clip_s: float, window_s: float) -> int:
    """Whole windows in a clip; what is left counts as one more (zero padded) when it is at least half a window."""
    whole = int(clip_s / window_s + 1e-9)
    return max(1, whole + (clip_s - whole * window_s >= window_s / 2))


def embed_clips(
    clips: Sequence[NDArray[np.float32]],
    durations_s: Sequence[float],
    *,
    clip_s: float,
    batch: int,
    embedder: AudioEmbedder,
) -> NDArray[np.float32]:
    """(C, D) embeddings of at most `batch` clips at the embedder's rate, each `clip_s` long.

    The model always sees `batch` clips, the missing ones silent: a matrix product's last bits depend on its size.
    Windows that lie in a clip's padding (`durations_s` is what is real) do not enter its mean.
    """
    card = embedder.card
    window_T = round(card.window_s * card.sample_rate_hz)
    windows = windows_per_clip(clip_s, card.window_s)
    stacked_CS = np.zeros((batch, windows * window_T), dtype=np.float32)
    for row, clip in zip(stacked_CS, clips, strict=False):
        kept = min(len(clip), len(row))
        row[:kept] = clip[:kept]
    embedded_CWD = embedder.embed_audio(stacked_CS.reshape(batch * windows, window_T)).reshape(batch, windows, -1)
    means = []
    for embedded_WD, duration_s in zip(embedded_CWD, durations_s, strict=False):
        real = min(windows, windows_per_clip(duration_s, card.window_s))
        means.append(mean_direction(embedded_WD[:real]))
    return np.stack(means)


def mean_direction(embeddings_BD: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D,): the mean of normalised vectors, normalised again; zero where they cancel out."""
    mean_D = embeddings_BD.astype(np.float64).mean(0)
    return (mean_D / max(float(np.sqrt((mean_D * mean_D).sum())), 1e-12)).astype(np.float32)
