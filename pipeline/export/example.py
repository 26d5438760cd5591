"""One example of an export: a clip (or a whole track) with its text and its audio, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Audio", "Example", "Tokens"]


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Encoded audio of one example."""

    data: bytes
    rate_hz: int
    channels: int
    samples: int
    """A channel."""

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Audio as a neural codec's codes."""

    codes_KF: NDArray[np.int16]
    """[codebooks, frames]"""
    scales: tuple[float, ...] = ()
    """Loudness of each chunk, where the codec takes it off."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """What every layout writes, each in its own way. No field is ever None; what is not known is empty."""

    id: str
    """clip_id, or track_id of a whole track: letters, digits, `-` and `_`."""
    track_id: str
    split: str
    text: str
    """One string, never empty."""
    captions: tuple[str, ...]
    """At least one; `text` is the first of them, or all of them joined."""
    keywords: tuple[str, ...]
    """Drawn tags."""
    tags: tuple[str, ...]
    """The track's own."""
    title: str
    artist: str
    album: str
    isrc: str
    bpm: float
    """Beats a minute as the list or the file's tags say; 0 where they don't."""
    key: str
    licence: str
    """SPDX identifier where the given text names one, else the given text."""
    source: str
    """Key of the source file."""
    source_sha256: str
    start_s: float
    duration_s: float
    """Of real audio."""
    track_duration_s: float
    source_rate_hz: int
    source_channels: int
    scores: tuple[float, ...]
    """Cosine of each of `captions` as it was drawn; empty where texts are joined or not retrieved."""
    embedding: Any = None
    audio: Audio | None = None
    tokens: Tokens | None = None

    def with_audio(self, audio: Audio) -> Example:
        return replace(self, audio=audio)

    @property
    def sound(self) -> Audio:
        """The audio of an example whose layout carries audio."""
        assert self.audio is not None, "only the captions layout is written without audio"
        return self.audio
