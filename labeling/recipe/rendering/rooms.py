"""Rooms and equalisers: one frequency response a piece, so that reverberation and tone cost one FFT.

Two families, so that a test can use rooms of a kind never trained on: `noise` is exponentially decaying noise,
`image` the echoes of a box-shaped room with walls that soak up treble.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft  # type: ignore[import-untyped]

__all__ = ["Rooms", "tone_curve_db"]

Samples = NDArray[np.float32]
_LONGEST_S = 1.8


def tone_curve_db(hz: NDArray[np.floating], rng: np.random.Generator, *, depth_db: float) -> NDArray[np.float64]:
    """A smooth random equaliser over the logarithm of frequency."""
    coarse_hz = np.geomspace(30.0, 12_000.0, 256)
    x = np.linspace(0.0, 1.0, 256)
    curve = rng.normal(0, depth_db) * (x - 0.5)
    for k in (1, 2, 3):
        curve = curve + rng.normal(0, depth_db / (2 * k)) * np.cos(np.pi * k * x + rng.uniform(0, 6.28))
    return np.interp(hz, coarse_hz, curve)


class Rooms:
    """A bank of impulse responses, transformed once for pieces of `count` samples."""

    def __init__(self, count: int, sample_rate_hz: int, *, seed: int, family: str = "noise", size: int = 24) -> None:
        self.count, self.sample_rate_hz = count, sample_rate_hz
        self._length = next_fast_len(count + int(_LONGEST_S * sample_rate_hz), real=True)
        rng = np.random.default_rng(seed)
        make = _noise_room if family == "noise" else _image_room
        self._short = [self._transform(make(sample_rate_hz, rng, rng.uniform(0.3, 1.4))) for _ in range(size)]
        self._long = [self._transform(make(sample_rate_hz, rng, rng.uniform(2.5, 5.0))) for _ in range(size // 3)]
        self._hz = np.fft.rfftfreq(self._length, 1 / sample_rate_hz)

    def _transform(self, impulse: Samples) -> NDArray[np.complex64]:
        out: NDArray[np.complex64] = rfft(impulse, self._length)
        return out

    def apply(
        self, dry_T: Samples, rng: np.random.Generator, *, wet: float, large: bool = False, eq_db: float = 0.0
    ) -> Samples:
        """`wet` is the reverberation's level against the direct sound; 0 for none."""
        spectrum = rfft(dry_T, self._length)
        if wet > 0:
            bank = self._long if large else self._short
            spectrum = spectrum * (1 + np.float32(wet) * bank[int(rng.integers(len(bank)))])
        if eq_db > 0:
            spectrum = spectrum * (10 ** (tone_curve_db(self._hz, rng, depth_db=eq_db) / 20)).astype(np.float32)
        out: Samples = irfft(spectrum, self._length)[: dry_T.size].astype(np.float32)
        return out


def _noise_room(rate: int, rng: np.random.Generator, decay_s: float) -> Samples:
    t = np.arange(int(min(decay_s, _LONGEST_S) * rate)) / rate
    noise = rng.standard_normal(t.size)
    if rng.random() < 0.7:
        noise = np.convolve(noise, (0.25, 0.5, 0.25), "same")
    return _unit(noise * np.exp(-6.9 * t / decay_s))


def _image_room(rate: int, rng: np.random.Generator, decay_s: float) -> Samples:
    """Echo times and levels from mirror images of a box, then a tail of sparse echoes that darken."""
    count = int(min(decay_s, _LONGEST_S) * rate)
    impulse = np.zeros(count)
    sides_m, source, ear = rng.uniform(3, 14, 3), rng.uniform(0.2, 0.8, 3), rng.uniform(0.2, 0.8, 3)
    loss = 10 ** (-0.15 / max(decay_s, 0.3))
    for i in range(-4, 5):
        for j in range(-4, 5):
            for k in range(-2, 3):
                order = np.array((i, j, k))
                mirrored = order * sides_m + np.where(order % 2, 1 - source, source) * sides_m - ear * sides_m
                distance_m = float(np.linalg.norm(mirrored)) + 0.5
                at = int(distance_m / 343 * rate)
                if 0 < at < count:
                    impulse[at] += rng.choice((-1, 1)) * loss ** np.abs(order).sum() / distance_m
    t = np.arange(count) / rate
    sparse = rng.standard_normal(count) * (rng.random(count) < 0.08)
    impulse += 0.05 * sparse * np.exp(-6.9 * t / decay_s)
    dark = np.convolve(impulse, np.hanning(9) / 4.5, "same")
    share = np.clip(t / (0.4 * decay_s), 0, 1)
    return _unit(impulse * (1 - share) + dark * share)


def _unit(impulse: NDArray[np.float64]) -> Samples:
    return (impulse / (np.sqrt(np.sum(impulse**2)) + 1e-9)).astype(np.float32)
