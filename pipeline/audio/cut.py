"""Where the clips of a track lie (PAPER 3.6): pure arithmetic on whole samples."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import ClipsConfig

__all__ = ["IGNORED_TAIL_S", "Placement", "Placements", "clip_samples", "place_clips"]

IGNORED_TAIL_S = 0.1
"""A remainder no longer than this is a codec's padding, not a piece of music that was left out."""
_NEARLY_S = 0.1
"""A piece that lacks no more than this of a clip is that clip, padded."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One piece of a track, in samples at the track's own rate."""

    index: int
    start: int
    samples: int
    """Of the track's audio; fewer than a clip's length where silence fills the rest."""

    @property
    def end(self) -> int:
        return self.start + self.samples


@dataclass(frozen=True, kw_only=True)
class Placements:
    """What a track is cut into."""

    kept: tuple[Placement, ...]
    too_short: Placement | None
    """The remainder that is too short for a clip; None where there is none worth naming."""


def clip_samples(sample_rate_hz: int, config: ClipsConfig) -> int:
    """Length of a clip at `sample_rate_hz`, to the nearest sample where it is not whole."""
    return max(1, round(sample_rate_hz * config.clip_s))


def place_clips(duration_samples: int, sample_rate_hz: int, config: ClipsConfig) -> Placements:
    """Evenly spaced from the first sample to the last where the track has room for all clips, else back to back.

    Evenly spaced clips cannot overlap: the step is at least a clip long, and rounding down keeps it so.
    """
    clip = clip_samples(sample_rate_hz, config)
    room = duration_samples // clip
    if room >= config.clips_per_track:
        count = config.clips_per_track
        starts = [(duration_samples - clip) * i // max(count - 1, 1) for i in range(count)]
        kept = tuple(Placement(index=i, start=start, samples=clip) for i, start in enumerate(starts))
        return Placements(kept=kept, too_short=None)
    kept = tuple(Placement(index=i, start=i * clip, samples=clip) for i in range(room))
    rest = Placement(index=room, start=room * clip, samples=duration_samples - room * clip)
    if kept and rest.samples <= IGNORED_TAIL_S * sample_rate_hz:
        return Placements(kept=kept, too_short=None)
    if rest.samples >= max(clip - _NEARLY_S * sample_rate_hz, clip / 2):
        return Placements(kept=(*kept, rest), too_short=None)
    if config.short_clip == "pad" and rest.samples >= config.min_padded_s * sample_rate_hz:
        return Placements(kept=(*kept, rest), too_short=None)
    return Placements(kept=kept, too_short=rest if rest.samples else None)
