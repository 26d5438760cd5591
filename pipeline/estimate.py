"""What mining an input would come to, judged from a few of its tracks: hours, clips, bytes and time."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from pipeline.audio.decode_guard import DecodeFailure, GuardedDecoder
from pipeline.audio.flac import encode_flac
from pipeline.config import ClipsConfig
from pipeline.records import LeftOut, Track
from pipeline.source.fetch import fetched
from pipeline.source.listing import Listing

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Extrapolated from `sampled` tracks to all of them."""

    sampled: int
    hours: float
    """Of decoded input."""
    clips: int
    bytes: int
    worker_seconds: float
    """Of one worker decoding, resampling and encoding; embedding comes on top."""
    rejects: Counter[str]
    """Reasons met in the sample."""


def estimate(listing: Listing, config: ClipsConfig, *, sample: int = 6) -> Estimate:
    """Decode, cut and encode `sample` tracks taken evenly from the listing, and scale up; writes nothing."""
    chosen = [listing.tracks[i * len(listing.tracks) // sample] for i in range(sample)]
    chosen = list({track.track_id: track for track in chosen}.values())
    source_s, clips, size, rejects = 0.0, 0, 0, Counter[str]()
    started = time.monotonic()
    with GuardedDecoder(config, config.sample_rates_hz) as decoder:
        for track in chosen:
            seconds, cut, encoded = _one(track, config, decoder, rejects)
            source_s, clips, size = source_s + seconds, clips + cut, size + encoded
    scale = len(listing.tracks) / len(chosen)
    return Estimate(
        sampled=len(chosen),
        hours=source_s * scale / 3600,
        clips=round(clips * scale),
        bytes=round(size * scale),
        worker_seconds=(time.monotonic() - started) * scale,
        rejects=rejects,
    )


def _one(track: Track, config: ClipsConfig, decoder: GuardedDecoder, rejects: Counter[str]) -> tuple[float, int, int]:
    """(decoded seconds, clips, bytes) of one track."""
    seconds, clips, size = 0.0, 0, 0
    try:
        with fetched(track.path) as (local_path, _, _):
            info, pieces = decoder.cut(local_path)
            seconds = info.duration_s
            for piece in pieces:
                if isinstance(piece, LeftOut):
                    rejects[piece.reason] += 1
                else:
                    clips += 1
                    first_hz = config.sample_rates_hz[0]
                    audio = piece.audio if piece.stereo_TC is None else {**piece.audio, first_hz: piece.stereo_TC}
                    size += sum(len(encode_flac(audio[rate], rate)) for rate in config.sample_rates_hz)
    except DecodeFailure as failure:
        rejects[failure.reason] += 1
    return seconds, clips, size
