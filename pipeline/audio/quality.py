"""How a clip sounds in numbers, and whether it is worth keeping. C channels, T samples, F frames of 50 ms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.config import QualityConfig
from pipeline.records import Quality

__all__ = [
    "FLOOR_DBFS",
    "FULL_SCALE",
    "FULL_SCALE_OF_CODEC",
    "ChannelMeter",
    "judge",
    "judge_mix",
    "measure",
    "mix_to_mono",
]

FLOOR_DBFS = -200.0
"""Written in place of minus infinity."""
FULL_SCALE = 32767 / 32768
"""Samples from here on count as clipped: the largest positive 16-bit number."""
FULL_SCALE_OF_CODEC = {
    "pcm_u8": 127 / 128,
    "pcm_s8": 127 / 128,
    "pcm_mulaw": 32124 / 32768,
    "pcm_alaw": 32256 / 32768,
}
"""The largest positive number of codecs that cannot reach `FULL_SCALE`."""

_FRAME_S = 0.05
_LOUDEST = 1e6
"""120 dB above full scale: a float file's damaged exponent, not a level."""
_CANCELLED_DB = 30.0
"""How far the mix lies below the channels' mean level where they cancel. Unlike channels lose 3 dB in stereo, at most
18 dB in 64 channels."""


class ChannelMeter:
    """What has to be seen before the channels are mixed, because the mix hides it: peak and clipping."""

    def __init__(self, full_scale: float = FULL_SCALE) -> None:
        self._full_scale = np.float32(full_scale)
        self.peak = 0.0
        """Infinite as soon as one sample is not finite, or so large that it is a damaged number."""
        self.clipped = 0
        """Samples at which any channel is at full scale."""
        self.energy = 0.0
        """Sum of squares, the mean over the channels."""

    def add(self, channels: list[NDArray[np.float32]]) -> None:
        ends = [end for channel_T in channels for end in (float(channel_T.max()), -float(channel_T.min()))]
        peak = max(ends) if all(abs(end) < _LOUDEST for end in ends) else math.inf
        self.peak = max(self.peak, peak)
        if math.isfinite(peak):
            self.energy += sum(float(np.dot(channel_T, channel_T)) for channel_T in channels) / len(channels)
        if peak >= self._full_scale:
            hit_T = np.abs(channels[0]) >= self._full_scale
            for channel_T in channels[1:]:
                hit_T |= np.abs(channel_T) >= self._full_scale
            self.clipped += int(np.count_nonzero(hit_T))


def mix_to_mono(channels: list[NDArray[np.float32]], out_T: NDArray[np.float32]) -> None:
    """The mean of the channels: a joint embedding model hears mono made so, and no channel is lost."""
    if len(channels) == 1:
        out_T[:] = channels[0]
        return
    np.add(channels[0], channels[1], out=out_T)
    for channel_T in channels[2:]:
        out_T += channel_T
    out_T *= np.float32(1 / len(channels))


def measure(mono_T: NDArray[np.float32], meter: ChannelMeter, sample_rate_hz: int, *, silence_dbfs: float) -> Quality:
    """Level and silence of the mono mix, beside what the meter saw of its channels.

    Rounded to what means anything, so that the last bits of a processor's sums stay out of files. A clip with a
    number that is not finite has a peak of infinity, and nothing else is to be read from it.
    """
    if not math.isfinite(meter.peak):
        return Quality(peak=math.inf, rms_dbfs=FLOOR_DBFS, clipped_share=0.0, silent_share=0.0)
    energy_F, frame, tail_energy = _frame_energies(mono_T, sample_rate_hz)
    silent_F = energy_F < 10 ** (silence_dbfs / 10) * frame
    return Quality(
        peak=round(meter.peak, 6),
        rms_dbfs=round(_decibel((float(energy_F.sum()) + tail_energy) / len(mono_T)), 2),
        clipped_share=round(meter.clipped / len(mono_T), 6),
        silent_share=round(float(silent_F.mean()), 6),
    )


def judge_mix(
    mono_T: NDArray[np.float32], quality: Quality, meter: ChannelMeter, config: QualityConfig
) -> tuple[str, str] | None:
    """Whether the channels cancel in the mix: sound that is there and cannot be heard in mono."""
    channels_dbfs = _decibel(meter.energy / len(mono_T)) if math.isfinite(quality.peak) else FLOOR_DBFS
    if channels_dbfs <= config.silence_dbfs or channels_dbfs - quality.rms_dbfs < _CANCELLED_DB:
        return None
    return "out-of-phase", f"channels at {channels_dbfs:.1f} dBFS cancel to {quality.rms_dbfs:.1f} dBFS in the mono mix"


def judge(mono_T: NDArray[np.float32], quality: Quality, config: QualityConfig) -> tuple[str, str] | None:
    """Reason and detail why a clip is left out, or None. Digital silence is `silent`, not `constant`."""
    if not math.isfinite(quality.peak):
        bad = int(np.count_nonzero(~np.isfinite(mono_T)))
        if not bad:
            return "not-finite", f"samples of up to {float(np.abs(mono_T).max()):.0e}, where full scale is 1"
        return "not-finite", f"{bad} of {len(mono_T)} samples are NaN or infinite"
    if quality.silent_share > config.max_silent_share:
        return "silent", (
            f"{quality.silent_share:.0%} of it is below {config.silence_dbfs:g} dBFS, "
            f"at most {config.max_silent_share:.0%} allowed"
        )
    deviation = _deviation_if_small(mono_T)
    if deviation is not None and _decibel(deviation**2) < config.silence_dbfs:
        if quality.rms_dbfs < config.silence_dbfs:
            return "silent", f"it is at {quality.rms_dbfs:.1f} dBFS, below {config.silence_dbfs:g} dBFS on the whole"
        return "constant", f"a level of {float(mono_T.mean(dtype=np.float64)):.3f} and no sound"
    if quality.clipped_share > config.max_clipped_share:
        return "clipped", (
            f"{quality.clipped_share:.1%} of samples at full scale, at most {config.max_clipped_share:.1%} allowed"
        )
    return None


def _frame_energies(mono_T: NDArray[np.float32], sample_rate_hz: int) -> tuple[NDArray[np.float64], int, float]:
    """Energy of each whole frame, a frame's length, and the energy of what follows the last whole frame."""
    frame = min(max(1, round(_FRAME_S * sample_rate_hz)), len(mono_T))
    count = len(mono_T) // frame
    frames_FT = mono_T[: count * frame].reshape(count, frame)
    energy_F = np.einsum("ft,ft->f", frames_FT, frames_FT).astype(np.float64)
    tail_T = mono_T[count * frame :]
    return energy_F, frame, float(np.dot(tail_T, tail_T))


def _deviation_if_small(mono_T: NDArray[np.float32]) -> float | None:
    """Standard deviation, but only where a thousandth of the samples does not already show that it is large."""
    if float(mono_T[:: max(1, len(mono_T) // 1024)].std()) > 0.1:
        return None
    return float(mono_T.std(dtype=np.float64))


def _decibel(power: float) -> float:
    return max(10 * math.log10(power), FLOOR_DBFS) if power > 0 else FLOOR_DBFS
