"""A track's pieces: decoded, placed, mixed to mono, judged; or excerpts of it with their channels, for those who want
more than a crate's mono. Runs in the decoder's own process.

T samples at the track's own rate, C channels as wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.cut import Placement, clip_samples, place_clips
from pipeline.audio.decode import AudioSource, Block, to_float
from pipeline.audio.quality import ChannelMeter, judge, judge_mix, measure, mix_to_mono
from pipeline.config import ClipsConfig
from pipeline.records import LeftOut, Quality, SourceInfo

__all__ = ["HELD_BYTES", "HELD_S", "WHOLE", "Piece", "cut_excerpts", "cut_track", "stereo_weights"]

HELD_S = 600.0
"""A track longer than this, or larger than `HELD_BYTES`, is decoded twice instead of being held: once to learn its
length and soundness, once for its clips. Memory then depends on the clip length alone."""
HELD_BYTES = 256 << 20

WHOLE = (0.0, 0.0)
"""The place of a track from its first sample to its last."""
_HALF_POWER = float(np.sqrt(0.5))

Allocate = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A clip that is worth keeping, at its track's own rate."""

    index: int
    start_s: float
    duration_s: float
    mono_T: NDArray[np.float32]
    """Of clip length; silence after `duration_s`."""
    stereo_TC: NDArray[np.float32] | None = None
    """The same time with left and right, behind the mono samples in one memory; where the crate is stereo."""
    quality: Quality


def cut_track(
    path: str,
    config: ClipsConfig,
    *,
    alive: Callable[[float], None] = lambda seconds: None,
    allocate: Allocate = lambda samples: np.empty(samples, np.float32),
) -> tuple[SourceInfo, Iterator[Piece | LeftOut]]:
    """Decode all of a track, then cut it. Every DecodeFailure of the track is raised here, before its first piece.

    `alive` is called with each decoded block, with the seconds so far; `allocate` gives the memory in which a piece is
    handed out.
    """
    source, info, blocks = _decoded_track(path, config, alive)
    return info, _pieces(blocks, source, config, allocate)


def _decoded_track(
    path: str, config: ClipsConfig, alive: Callable[[float], None]
) -> tuple[AudioSource, SourceInfo, Iterable[Block]]:
    """The source with its counts, what was found, and its blocks: held in memory, or to be decoded again."""
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
    return source, info, held if held is not None else AudioSource(path, alive).blocks()


def _pieces(
    blocks: Iterable[Block], source: AudioSource, config: ClipsConfig, allocate: Allocate
) -> Iterator[Piece | LeftOut]:
    rate = source.sample_rate_hz
    length = clip_samples(rate, config)
    placements = place_clips(source.samples, rate, config)
    stream = _Stream(blocks)
    for place in placements.kept:
        memory_T = allocate(length * (3 if config.stereo else 1))
        mono_T, stereo_TC = memory_T[:length], memory_T[length:].reshape(-1, 2) if config.stereo else None
        meter = ChannelMeter(source.full_scale)
        for at, channels in stream.parts(place):
            audio = [to_float(channel_T) for channel_T in channels]
            meter.add(audio)
            mix_to_mono(audio, mono_T[at : at + len(audio[0])])
            if stereo_TC is not None:
                _mix(audio, source.places, stereo_TC[at : at + len(audio[0])])
        mono_T[place.samples :] = 0
        if stereo_TC is not None:
            stereo_TC[place.samples :] = 0
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
                stereo_TC=stereo_TC,
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


def cut_excerpts(
    path: str,
    config: ClipsConfig,
    places: Sequence[tuple[float, float]],
    channels: int,
    *,
    alive: Callable[[float], None] = lambda seconds: None,
    allocate: Allocate = lambda samples: np.empty(samples, np.float32),
) -> tuple[SourceInfo, Iterator[NDArray[np.float32]]]:
    """Decode all of a track, then hand out [T, C] of each (start_s, duration_s), which rise and do not overlap.

    One channel is the mean of all, as in a crate; two are the front pair with what else there is mixed in, or a mono
    track twice. Where the track is shorter than a place says, silence fills it.
    """
    source, info, blocks = _decoded_track(path, config, alive)
    return info, _excerpts(blocks, source, places, channels, allocate)


def _excerpts(
    blocks: Iterable[Block],
    source: AudioSource,
    places: Sequence[tuple[float, float]],
    channels: int,
    allocate: Allocate,
) -> Iterator[NDArray[np.float32]]:
    rate = source.sample_rate_hz
    stream = _Stream(blocks)
    for start_s, duration_s in places:
        start = round(start_s * rate)
        samples = round(duration_s * rate) if duration_s else source.samples - start
        out_TC = allocate(samples * channels).reshape(samples, channels)
        here = max(0, min(samples, source.samples - start))
        for at, block in stream.parts(Placement(index=0, start=start, samples=here)):
            _mix([to_float(channel_T) for channel_T in block], source.places, out_TC[at : at + len(block[0])])
        out_TC[here:] = 0
        yield out_TC


def _mix(block: list[NDArray[np.float32]], places: Sequence[str], out_TC: NDArray[np.float32]) -> None:
    if out_TC.shape[1] == 1:
        mono_T = np.empty(len(out_TC), np.float32)
        mix_to_mono(block, mono_T)
        out_TC[:, 0] = mono_T
        return
    for side, weights in enumerate(stereo_weights(places if len(places) == len(block) else [""] * len(block))):
        out_TC[:, side] = 0
        for channel_T, weight in zip(block, weights, strict=True):
            if weight:
                out_TC[:, side] += np.float32(weight) * channel_T


def stereo_weights(places: Sequence[str]) -> tuple[list[float], list[float]]:
    """How loud each channel is on the left and on the right, never more than full scale in all (ITU-R BS.775).

    A track of one or two channels is taken as it is. Of more: front at 1, centre and surround at half power on their
    side or on both, the bass effects channel not at all; channels without a known place are on both sides alike.
    """
    if len(places) == 1:
        return [1.0], [1.0]
    if len(places) == 2:
        return [1.0, 0.0], [0.0, 1.0]
    if not {"FL", "FR"} <= set(places):
        alike = [1.0 / len(places)] * len(places)
        return alike, alike
    sides = []
    for mine in ("L", "R"):
        row = []
        for place in places:
            if place == f"F{mine}":
                row.append(1.0)
            elif place.startswith("LFE") or (place[-1:] in "LR" and place[-1:] != mine):
                row.append(0.0)
            else:
                row.append(_HALF_POWER)
        sides.append([weight / sum(row) for weight in row])
    return sides[0], sides[1]
