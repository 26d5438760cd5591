"""What a joint music-text model is to this project, and what all of them check and count.

B windows, T samples of one, C clips, N texts, D dimensions. It knows no implementation; `by_name` picks one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.embedding import mean_direction
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = [
    "DEVICES",
    "DTYPES",
    "Embedder",
    "TextReport",
    "check_texts",
    "check_windows",
    "cut_windows",
    "mean_direction",
]

DEVICES = ("auto", "cpu", "cuda", "mps")
_WORDS_NAMED = 20
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class TextReport:
    """What a model's tokenizer made of a list of texts."""

    texts: int
    tokens: int
    """Without those that mark the beginning and the end."""
    unknown: int
    """Tokens that the model has no word for; of these it understands nothing."""
    with_unknown: int
    """Texts that hold at least one such token."""
    cut: int
    """Texts longer than the model's limit, whose end it never sees."""
    unknown_words: tuple[tuple[str, int], ...] = ()
    """The commonest of the unknown and how often each came, where the tokenizer says which they were."""

    @classmethod
    def of(
        cls,
        tokens: Sequence[Sequence[int]],
        *,
        marks: Container[int],
        unknown: int | None,
        limit: int,
        unknown_words: Iterable[str] = (),
    ) -> TextReport:
        """From each text's uncut tokens; `marks` are those that mark a beginning or an end."""
        words = [[t for t in row if t == unknown or t not in marks] for row in tokens]
        return cls(
            texts=len(tokens),
            tokens=sum(map(len, words)),
            unknown=sum(row.count(unknown) for row in words if unknown is not None),
            with_unknown=sum(unknown in row for row in words if unknown is not None),
            cut=sum(len(row) > limit for row in tokens),
            unknown_words=tuple(Counter(unknown_words).most_common(_WORDS_NAMED)),
        )

    @property
    def unknown_share(self) -> float:
        """Of all tokens, in [0, 1]."""
        return self.unknown / self.tokens if self.tokens else 0.0


class Embedder(Protocol):
    """A joint model of music and text; both sides give L2-normalised float32 vectors in one space.

    The same windows in a batch of the same shape, and the same list of texts, give the same bits.
    """

    card: EmbedderCard
    notes: tuple[str, ...] = ()
    """What a user of this model should know; `labeling.embedders.checks` passes it on as warnings."""

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) from B windows of exactly the card's rate and length, mono, in [-1, 1]."""
        ...

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D); a text over the card's limit is cut (`text_report` counts them), an empty one refused."""
        ...

    def text_report(self, texts: Sequence[str]) -> TextReport:
        """How much of these texts the model can read; embeds nothing."""
        ...

    def embed_clips(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(C, D): each clip cut by `cut_windows`, its windows' embeddings averaged.

        A clip is a batch of its own, so its bits don't depend on its neighbours; where that leaves an accelerator
        idle, cut and batch yourself.
        """
        window_T = round(self.card.window_s * self.card.sample_rate_hz)
        found = [mean_direction(self.embed_audio(cut_windows(clip, window_T))) for clip in clips]
        return np.stack(found) if found else np.zeros((0, self.card.dimension), np.float32)


def cut_windows(clip: NDArray[np.float32], window_T: int) -> NDArray[np.float32]:
    """(B, T) windows side by side; what is left at the end is padded with silence from half a window on, else dropped.

    A clip shorter than one window is padded to one, however short.
    """
    whole, rest = divmod(len(clip), window_T)
    count = max(1, whole + (2 * rest >= window_T))
    windows_BT = np.zeros((count, window_T), np.float32)
    used = min(len(clip), count * window_T)
    windows_BT.reshape(-1)[:used] = clip[:used]
    return windows_BT


def check_windows(windows_BT: NDArray[np.float32], card: EmbedderCard) -> NDArray[np.float32]:
    """The windows as contiguous float32, or what is wrong with them."""
    window_T = round(card.window_s * card.sample_rate_hz)
    windows_BT = np.asarray(windows_BT)
    if windows_BT.ndim != 2 or windows_BT.shape[1] != window_T:
        raise ValueError(
            f"windows of shape {windows_BT.shape}: {card.name} takes (B, {window_T}), which is {card.window_s:g} s at "
            f"{card.sample_rate_hz} Hz, mono; cut with labeling.embedders.embedder.cut_windows"
        )
    if not np.issubdtype(windows_BT.dtype, np.floating):
        raise ValueError(f"windows of type {windows_BT.dtype}: expected floating point samples in [-1, 1]")
    if not np.isfinite(windows_BT).all():
        bad = np.flatnonzero(~np.isfinite(windows_BT).all(axis=1))
        raise ValueError(f"windows {bad[:5].tolist()} hold NaN or infinity: leave such audio out before embedding it")
    return np.ascontiguousarray(windows_BT, dtype=np.float32)


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, none of them empty."""
    if isinstance(texts, str):
        raise ValueError(f"one text, {texts!r}: expected a list of texts")
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise EmbedderProblem(f"text {i} is {text!r}: expected words; leave empty captions out of the vocabulary")
    return list(texts)
