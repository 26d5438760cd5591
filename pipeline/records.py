"""The records that travel: a track and its shard in the plan, a clip cut from it, what was left out and why, the
proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CutClip",
    "EmbedderCard",
    "LeftOut",
    "Proof",
    "Quality",
    "Reject",
    "ShardPlan",
    "ShardReport",
    "SourceInfo",
    "Track",
]


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
    stereo_TC: NDArray[np.float32] | None = None
    """Left and right at the first rate of the crate, where it is stereo."""
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


@dataclass(kw_only=True)
class Proof:
    """What was counted, and every place where the counts do not hold."""

    planned: int = 0
    written: int = 0
    """Tracks with at least one clip."""
    rejected: int = 0
    """Tracks with a reject and no clip."""
    removed: int = 0
    """Tracks that were taken down."""
    clips: int = 0
    clip_rejects: int = 0
    row_rejects: int = 0
    """Rows of the input's list that name no track."""
    files: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """`level:reason` -> count."""
    label_rows: dict[str, int] = field(default_factory=dict)
    candidate_rows: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """File of clips, rejects or labels -> sha256, as found; what the content hash is made of."""
    content_hash: str = ""
    """Of what was read and hashed, whatever the manifest says."""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no fault, and good to know."""

    @property
    def accounted(self) -> int:
        """Tracks whose end is known."""
        return self.written + self.rejected + self.removed

    @property
    def holds(self) -> bool:
        return not self.faults and self.planned == self.accounted

    def lines(self) -> list[str]:
        """For people."""
        sign = "=" if self.planned == self.accounted else "!="
        removed = f" + {self.removed} removed" if self.removed else ""
        lines = [
            f"tracks: {self.planned} planned {sign} {self.written} written + {self.rejected} rejected{removed}",
            f"clips: {self.clips} written, {self.clip_rejects} left out",
            f"files: {self.files} with the sha256 of their markers, {self.bytes / 1e6:.1f} MB",
        ]
        if self.row_rejects:
            lines.insert(1, f"rows of the list that name no usable track: {self.row_rejects}, in rejects/rows.parquet")
        lines += [f"labels {run}: {rows} rows match the clips" for run, rows in sorted(self.label_rows.items())]
        lines += [f"candidates {n}: {rows} rows match the clips" for n, rows in sorted(self.candidate_rows.items())]
        lines.append(f"content hash: {self.content_hash}")
        return lines + self.notes + [f"FAULT: {fault}" for fault in self.faults]

    def add(self, more: Proof) -> None:
        """What was found of other shards."""
        for name in ("planned", "written", "rejected", "removed", "clips", "clip_rejects", "files", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.reasons.update(more.reasons)
        self.hashes.update(more.hashes)
        self.faults += more.faults
        for mine, theirs in ((self.label_rows, more.label_rows), (self.candidate_rows, more.candidate_rows)):
            for name, rows in theirs.items():
                mine[name] = mine.get(name, 0) + rows

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "reasons": dict(self.reasons)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Proof:
        """From `as_dict`."""
        return cls(**{**values, "reasons": Counter(values["reasons"])})
