"""A track's pieces: decoded, placed, mixed to mono, judged. Runs in the decoder's own process.

C channels, T samples at the track's own rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ClipsConfig
from pipeline.cut import Placement, clip_samples, place_clips
from pipeline.decode import AudioSource, to_float
from pipeline.quality import judge, measure, mix_to_mono
from pipeline.records import LeftOut, Quality, SourceInfo

__all__ = ["HELD_BYTES", "HELD_S", "Piece", "cut_track"]

HELD_S = 600.0
"""A track longer than this, or larger than `HELD_BYTES`, is decoded twice instead of being held: once to learn its
length and soundness, once for its clips. Memory then depends on the clip length alone."""
HELD_BYTES = 256 << 20

Allocate = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A clip that is worth keeping, at its track's own rate."""

    index: int
    start_s: float
    duration_s: float
    mono_T: NDArray[np.float32]
    """Of clip length; silence after `duration_s`."""
    quality: Quality


def cut_track(
    path: str,
    config: ClipsConfig,
    *,
    alive: Callable[[], None] = lambda: None,
    allocate: Allocate = lambda samples: np.zeros(samples, np.float32),
) -> tuple[SourceInfo, Iterator[Piece | LeftOut]]:
    """Decode all of a track, then cut it. Every DecodeFailure of the track is raised here, before its first piece.

    `alive` is called with each decoded block; `allocate` gives the zeroed memory in which a piece is handed out.
    """
    source = AudioSource(path, alive)
    held: list[NDArray[Any]] | None = []
    held_bytes = 0
    for block_CT in source.blocks():
        held_bytes += block_CT.nbytes
        if held is not None and (held_bytes > HELD_BYTES or source.samples > HELD_S * source.sample_rate_hz):
            held = None
        if held is not None:
            held.append(block_CT)
    info = source.check(config.quality)
    blocks = iter(held) if held is not None else AudioSource(path, alive).blocks()
    return info, _pieces(blocks, source, config, allocate)


def _pieces(
    blocks: Iterable[NDArray[Any]], source: AudioSource, config: ClipsConfig, allocate: Allocate
) -> Iterator[Piece | LeftOut]:
    rate = source.sample_rate_hz
    length = clip_samples(rate, config)
    placements = place_clips(source.samples, rate, config)
    for place, audio_CT in _extracted(blocks, placements.kept):
        audio_CT = to_float(audio_CT)
        mono_T = allocate(length)
        mix_to_mono(audio_CT, mono_T[: place.samples])
        quality = measure(
            audio_CT,
            mono_T[: place.samples],
            rate,
            silence_dbfs=config.quality.silence_dbfs,
            full_scale=source.full_scale,
        )
        fault = judge(mono_T[: place.samples], quality, config.quality)
        if fault:
            yield _left_out(place, rate, *fault)
        else:
            yield Piece(
                index=place.index,
                start_s=place.start / rate,
                duration_s=place.samples / rate,
                mono_T=mono_T,
                quality=quality,
            )
    if placements.too_short is not None:
        rest = placements.too_short
        yield _left_out(rest, rate, "too-short", f"{rest.samples / rate:.1f} s of {config.clip_s:g} s")


def _left_out(place: Placement, rate: int, reason: str, detail: str) -> LeftOut:
    return LeftOut(
        index=place.index, start_s=place.start / rate, duration_s=place.samples / rate, reason=reason, detail=detail
    )


def _extracted(blocks: Iterable[NDArray[Any]], places: Iterable[Placement]) -> Iterator[tuple[Placement, NDArray[Any]]]:
    """Each place's (C, T) samples out of a stream of blocks; never holds more than one piece and one block."""
    stream = iter(blocks)
    block_CT = next(stream)
    at = 0  # the track's sample at which `block_CT` begins
    for place in places:
        piece_CT = np.empty((len(block_CT), place.samples), block_CT.dtype)
        filled = 0
        while filled < place.samples:
            here = place.start + filled - at
            if here >= block_CT.shape[1]:
                at += block_CT.shape[1]
                block_CT = next(stream)
                continue
            part_CT = block_CT[:, here : here + place.samples - filled]
            piece_CT[:, filled : filled + part_CT.shape[1]] = part_CT
            filled += part_CT.shape[1]
        yield place, piece_CT
