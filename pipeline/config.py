"""Every setting that determines the content of a crate's clips, checked when it is read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipeline.ids import content_hash

__all__ = ["FORMAT_VERSION", "ClipsConfig", "QualityConfig"]

FORMAT_VERSION = 2
"""Of the files in a crate. Raised when the same input would be written otherwise."""


class QualityConfig(BaseModel):
    """A clip outside these bounds is left out, with its reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    silence_dbfs: float = -60.0
    """A 50 ms frame below this level (RMS of the mono mix, dB re full scale) is silent."""
    max_silent_share: float = Field(default=0.9, ge=0, le=1)
    max_clipped_share: float = Field(default=0.05, ge=0, le=1)
    """Share of samples at full scale in any channel."""
    max_decode_error_share: float = Field(default=0.01, ge=0, le=1)
    """Of a track's packets; above it the whole track is a reject, `corrupt`."""


class ClipsConfig(BaseModel):
    """How tracks become clips (PAPER 3.6): six 30 s clips a track, at 24 kHz and 16 kHz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_s: float = Field(default=30.0, gt=0, le=600)
    clips_per_track: int = Field(default=6, ge=1)
    """At most; 0 is not allowed, use a large number for all of a track."""
    short_clip: Literal["reject", "pad"] = "reject"
    """What becomes of a last piece shorter than `clip_s`: left out as `too-short`, or padded with silence."""
    min_padded_s: float = Field(default=5.0, gt=0)
    """A last piece shorter than this is left out even when padding is asked for."""
    sample_rates_hz: tuple[int, ...] = (24_000, 16_000)
    """One audio column each; the first is `audio`, the others `audio_<kHz>k`."""
    stereo: bool = False
    """`audio` has two channels; all else, embeddings and levels included, is of the mono mix and as without it."""
    track_time_limit_s: float = Field(default=120.0, gt=0)
    """Wall time without a decoded block after which a decoder counts as hung."""
    min_music: float | None = None
    """Clips whose `music_score` is lower are left out as `not-music`; none by default."""
    quality: QualityConfig = QualityConfig()

    @model_validator(mode="after")
    def _rates_and_lengths(self) -> ClipsConfig:
        if not self.sample_rates_hz or len(set(self.sample_rates_hz)) != len(self.sample_rates_hz):
            raise ValueError("sample_rates_hz needs at least one rate, each once")
        for rate in self.sample_rates_hz:
            if not 8_000 <= rate <= 192_000 or abs(rate * self.clip_s - round(rate * self.clip_s)) > 1e-6:
                raise ValueError(f"{rate} Hz x {self.clip_s} s is not a whole number of samples in 8 to 192 kHz")
        return self

    @model_serializer(mode="wrap")
    def _mono_unsaid(self, said: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Mono crates are those that were made before there was a choice, and stay readable by what made them."""
        values: dict[str, Any] = said(self)
        if not self.stereo:
            values.pop("stereo", None)
        return values

    def hash(self) -> str:
        """Of everything that moves a byte in a shard; the time limit does not."""
        return content_hash(self.model_dump(mode="json", exclude={"track_time_limit_s"}, exclude_none=True))
