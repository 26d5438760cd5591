"""What determines an export: a layout, which text, which audio, which clips. Checked when it is read."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.export.tokens.codec import CodecCard
from pipeline.ids import content_hash

__all__ = ["EXPORT_VERSION", "INDEXES", "REDACTABLE", "ExportSpec", "hash_shares"]

EXPORT_VERSION = 2
"""Raised when the same crate and spec would be written otherwise."""
INDEXES = (
    "stable-audio",
    "audiocraft",
    "ace-step",
    "ace-step-1.5",
    "audioldm",
    "tangoflux",
    "musicgen-trainer",
    "lhotse",
)
REDACTABLE = ("title", "artist", "album", "isrc", "tags", "source")
_OPUS_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)


class ExportSpec(BaseModel):
    """Every choice that reaches a byte of an export, but for what `finishing` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["hf", "wds", "folder", "captions"]
    labels: str
    """The label run's name."""
    captions: Literal["one", "all", "joined"] = "all"
    """`one`: the best sentence; `all`: every sentence, the best as `text`; `joined`: sentences and tags in one text."""
    text_slots: tuple[str, ...] = ()
    """Slots of the label run that texts come from; empty: the long slots, else the prompt, the tags, the metadata."""
    audio: str = "audio"
    """An audio column of the crate, or `source`: cut again from the source files."""
    rate_hz: int = Field(default=24_000, ge=4_000, le=192_000)
    channels: Literal[1, 2] = 1
    codec: Literal["flac", "wav", "opus"] = "flac"
    whole_tracks: bool = False
    split: str = "none"
    """`none`, a table of the crate's `splits/`, a Parquet or CSV file, or `hash:test=.05,valid=.05`."""
    licence_allow: tuple[str, ...] = ()
    """SPDX identifiers; clips of other licences, and of none, are left out."""
    require_licence: bool = False
    redact: tuple[str, ...] = ()
    with_embeddings: bool = False
    tokens: CodecCard | None = None
    """A codec whose codes of the audio are one more column."""
    allow_duplicates: bool = False
    allow_contaminated: bool = False
    index: tuple[str, ...] = ()
    timing: Literal["clip", "track"] = "clip"
    """What stable-audio-tools is told of time: seconds in the clip, or in the track it comes from."""
    root: str = ""
    """Where the export will lie when it is read, for lists that need absolute paths; empty: where it was written."""

    @model_validator(mode="after")
    def _fits_together(self) -> ExportSpec:
        if unknown := [name for name in self.index if name not in INDEXES]:
            raise ValueError(f"index {unknown[0]!r} is not known; expected {', '.join(INDEXES)}")
        if unknown := [name for name in self.redact if name not in REDACTABLE]:
            raise ValueError(f"redact {unknown[0]!r} is no field that can be; expected {', '.join(REDACTABLE)}")
        if self.index and self.layout != "folder":
            raise ValueError(f"index {self.index[0]!r} lists files of the folder layout, this one is {self.layout}")
        if self.codec == "opus" and self.rate_hz not in _OPUS_HZ:
            raise ValueError(
                f"Opus carries {', '.join(map(str, _OPUS_HZ))} Hz, not {self.rate_hz}; choose one, or FLAC"
            )
        if self.whole_tracks and self.audio != "source" and self.layout != "captions":
            raise ValueError("whole tracks are not in the crate: they come from --audio source alone")
        if "musicgen-trainer" in self.index and self.codec != "wav":
            raise ValueError(f"musicgen_trainer reads .wav alone, the codec is {self.codec}; give --codec wav")
        if self.tokens is not None:
            self._fits_codec(self.tokens)
        hash_shares(self.split)
        return self

    def _fits_codec(self, codec: CodecCard) -> None:
        if self.layout != "hf" or self.whole_tracks or self.codec == "opus":
            raise ValueError("tokens are a column of hf beside the FLAC or WAV of clips: no whole tracks, no Opus")
        if (self.rate_hz, self.channels) != (codec.rate_hz, codec.channels):
            raise ValueError(
                f"the codec hears {codec.rate_hz} Hz with {codec.channels} channels, the audio is asked for at "
                f"{self.rate_hz} Hz with {self.channels}: tokens are of the audio beside them, leave --rate and "
                "--channels out"
            )

    @property
    def finishing(self) -> set[str]:
        """Fields that reach only what is written after the shards: these may change without the audio done again."""
        return {"index", "timing", "root"}

    @property
    def data_hash(self) -> str:
        """Of all that determines the bytes of a shard."""
        return content_hash([EXPORT_VERSION, self.model_dump(mode="json", exclude=self.finishing), self.beside])

    @property
    def beside(self) -> list[str]:
        """Indexes for whose sake more files are written with each clip."""
        several = ["audiocraft"] if "audiocraft" in self.index and self.captions == "all" else []
        return several + [name for name in ("musicgen-trainer",) if name in self.index]

    def differs(self, other: ExportSpec) -> tuple[str, Any, Any] | None:
        """The first choice that makes other shards of the two, and both values."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        for name in mine:
            if name not in self.finishing and mine[name] != theirs[name]:
                return name, mine[name], theirs[name]
        return None if self.beside == other.beside else ("index", list(self.index), list(other.index))


def hash_shares(split: str) -> dict[str, float]:
    """`hash:test=.05,valid=.05` as shares; empty where the split is no hash. Raises ValueError."""
    if not split.startswith("hash:"):
        return {}
    shares: dict[str, float] = {}
    for part in split.removeprefix("hash:").split(","):
        name, equals, share = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise ValueError(f"split {split!r}: expected such as hash:test=.05,valid=.05")
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise ValueError(f"split {split!r}: {share!r} is no share; expected such as .05") from error
    if not all(share > 0 for share in shares.values()) or sum(shares.values()) >= 1 or "train" in shares:
        raise ValueError(f"split {split!r}: expected shares above 0 that leave something for train, which is the rest")
    return shares
