"""The records that travel: a track and its shard in the plan, a clip cut from it, what was left out and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CutClip", "EmbedderCard", "LeftOut", "Quality", "Reject", "ShardPlan", "ShardReport", "SourceInfo", "Track"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One recording of the input, as listed."""

    track_id: str
    key: str
    """The path below the input's root, or as the manifest has it; unique, and what the id is made from."""
    path: str
    """Where the bytes are: a local path or an fsspec URL."""
    title: str = ""
    artist: str = ""
    album: str = ""
    isrc: str = ""
    """International Standard Recording Code."""
    tags: tuple[str, ...] = ()
    licence: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    """Further columns of the manifest, as (name, value)."""


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """The tracks that make one shard, in the order in which they are written."""

    index: int
    count: int
    """Number of shards in the pour."""
    tracks: tuple[Track, ...]
    digests: tuple[str, ...] = ()
    """Of all rows, also of those that were taken down, in their order."""
    removed: tuple[str, ...] = ()
    """Digests of the rows that were taken down."""


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """What the decoder found in a file."""

    duration_s: float
    """As decoded, not as the header claims."""
    sample_rate_hz: int
    channels: int
    codec: str
    container: str
    decode_errors: int
    """Packets that could not be decoded and were left out."""
    tags: tuple[tuple[str, str], ...] = ()
    """What the file says of itself, as (name, value); see `pipeline.audio.tags`."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measured on the clip at its source's own rate."""

    peak: float
    """Largest absolute sample over all channels; 1 is full scale."""
    rms_dbfs: float
    """Of the mono mix; -inf is written as -200."""
    clipped_share: float
    """Share of samples at or above full scale in any channel, in [0, 1]."""
    silent_share: float
    """Share of 50 ms frames below the silence threshold, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class CutClip:
    """One clip's audio, resampled to every rate that was asked for."""

    index: int
    """Which clip of its track, from 0."""
    start_s: float
    duration_s: float
    """Of real audio; shorter than the clip length only where a last clip was padded."""
    audio: dict[int, NDArray[np.float32]]
    """Sample rate in Hz -> mono float32 samples of exactly rate x clip length, in [-1, 1]."""
    quality: Quality


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A clip that was cut but not kept."""

    index: int
    start_s: float
    duration_s: float
    reason: str
    """`too-short`, `silent`, `out-of-phase`, `clipped`, `constant`, `not-finite`."""
    detail: str


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A track or a clip that is not in the dataset, with its reason."""

    track_id: str
    key: str
    level: str
    """`track`: nothing of it was written for this reason; `clip`: one clip of it was left out."""
    stage: str
    """`read`, `decode`, `cut`, `quality`, `embed`."""
    reason: str
    detail: str
    index: int | None = None
    """Of the clip in its track; None for a whole track."""
    start_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class EmbedderCard:
    """What an embedder is; its hash is part of every crate made with it."""

    name: str
    sample_rate_hz: int
    window_s: float
    dimension: int
    text_limit_tokens: int
    licence: str
    revision: str
    """As its makers name it, or empty."""
    weights_hash: str
    """blake2b of the weights and of everything else that moves an embedding (tokenizer, mel settings)."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What one shard's work came to; the content of its done marker."""

    shard: int
    rows: int
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    """Tracks, tracks without a clip (and why, `rejected-track:reason`), clips, rejects by `level:reason`."""
