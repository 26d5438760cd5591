"""A track's pieces: decoded, placed, mixed to mono, judged. Runs in the decoder's own process.

T samples at the track's own rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.cut import Placement, clip_samples, place_clips
from pipeline.audio.decode import AudioSource, Block, to_float
from pipeline.audio.quality import ChannelMeter, judge, judge_mix, measure, mix_to_mono
from pipeline.config import ClipsConfig
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
    allocate: Allocate = lambda samples: np.empty(samples, np.float32),
) -> tuple[SourceInfo, Iterator[Piece | LeftOut]]:
    """Decode all of a track, then cut it. Every DecodeFailure of the track is raised here, before its first piece.

    `alive` is called with each decoded block; `allocate` gives the memory in which a piece is handed out.
    """
    source = AudioSource(path, alive)
    held: list[Block] | None = []
    held_bytes = 0
    for block in source.blocks():
        held_bytes += sum(channel_T.nbytes for channel_T in block)
        if held is not None and (held_bytes > HELD_BYTES or source.samples > HELD_S * source.sample_rate_hz):
            held = None
        if held is not None:
            held.append(block)
    info = source.check(config.quality)
    blocks = iter(held) if held is not None else AudioSource(path, alive).blocks()
    return info, _pieces(blocks, source, config, allocate)


def _pieces(
    blocks: Iterable[Block], source: AudioSource, config: ClipsConfig, allocate: Allocate
) -> Iterator[Piece | LeftOut]:
    rate = source.sample_rate_hz
    length = clip_samples(rate, config)
    placements = place_clips(source.samples, rate, config)
    stream = _Stream(blocks)
    for place in placements.kept:
        mono_T, meter = allocate(length), ChannelMeter(source.full_scale)
        for at, channels in stream.parts(place):
            audio = [to_float(channel_T) for channel_T in channels]
            meter.add(audio)
            mix_to_mono(audio, mono_T[at : at + len(audio[0])])
        mono_T[place.samples :] = 0
        heard_T = mono_T[: place.samples]
        quality = measure(heard_T, meter, rate, silence_dbfs=config.quality.silence_dbfs)
        fault = judge_mix(heard_T, quality, meter, config.quality) or judge(heard_T, quality, config.quality)
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
        yield _left_out(rest, rate, "too-short", f"{round(rest.samples / rate, 3):g} s of {config.clip_s:g} s")


def _left_out(place: Placement, rate: int, reason: str, detail: str) -> LeftOut:
    return LeftOut(
        index=place.index, start_s=place.start / rate, duration_s=place.samples / rate, reason=reason, detail=detail
    )


class _Stream:
    """Blocks in order, out of which places are read in order; never holds more than one block."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._block: Block = next(self._blocks)
        self._start = 0
        """The track's sample at which `_block` begins."""

    def parts(self, place: Placement) -> Iterator[tuple[int, Block]]:
        """(samples after the start of `place`, channels) until `place` is complete."""
        done = 0
        while done < place.samples:
            here = place.start + done - self._start
            size = len(self._block[0])
            if here >= size:
                self._start += size
                self._block = next(self._blocks)
                continue
            part = [channel_T[here : here + place.samples - done] for channel_T in self._block]
            yield done, part
            done += len(part[0])
