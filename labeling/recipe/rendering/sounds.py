"""What is no music, made from noise, oscillators and clicks.

T samples. Each maker takes (count, sample_rate_hz, rng) and returns float32 of that length with a peak of 0.5.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["SOUND_PROGRAMS", "SYNTHESISED", "coloured_noise", "make_sound"]

Samples = NDArray[np.float32]

SOUND_PROGRAMS: dict[str, int] = {"birds": 123, "applause": 126, "nature": 122}
"""Sounds that a General MIDI soundfont has; nature is made half and half from it and from filtered noise."""


def coloured_noise(count: int, sample_rate_hz: int, rng: np.random.Generator, slope_db: float) -> Samples:
    """Noise whose level changes by `slope_db` per octave above 100 Hz; peak 0.5."""
    spectrum = np.fft.rfft(rng.standard_normal(count).astype(np.float32))
    hz = np.fft.rfftfreq(count, 1 / sample_rate_hz)
    spectrum *= np.maximum(hz, 100.0) ** (slope_db / 6.02) * (hz > 20)
    return _peak(np.fft.irfft(spectrum, count))


def _peak(x: NDArray[np.floating]) -> Samples:
    return (0.5 * x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def _swell(count: int, sample_rate_hz: int, rng: np.random.Generator, period_s: float) -> NDArray[np.float64]:
    t = np.arange(count) / sample_rate_hz
    phase = rng.uniform(0, 2 * np.pi)
    slow: NDArray[np.float64] = 0.55 + 0.45 * np.sin(2 * np.pi * t / period_s + phase)
    return slow


def _noise(count: int, rate: int, rng: np.random.Generator) -> Samples:
    return coloured_noise(count, rate, rng, rng.uniform(-4.0, 1.0))


def _nature(count: int, rate: int, rng: np.random.Generator) -> Samples:
    """Wind, surf or rain: noise that swells, or noise with drops."""
    if rng.random() < 0.6:
        base = coloured_noise(count, rate, rng, rng.uniform(-7.0, -3.0))
        return _peak(base * _swell(count, rate, rng, rng.uniform(3.0, 9.0)))
    rain = coloured_noise(count, rate, rng, -2.0) * 0.3
    drops = np.zeros(count)
    places = rng.integers(0, count, size=int(rng.uniform(40, 200) * count / rate))
    drops[places] = rng.uniform(0.1, 1.0, size=places.size)
    kernel = np.exp(-np.arange(200) / 25.0) * np.sin(np.arange(200) * rng.uniform(0.4, 1.2))
    return _peak(rain + np.convolve(drops, kernel, "same"))


def _hum(count: int, rate: int, rng: np.random.Generator) -> Samples:
    """A low fundamental with fixed harmonics: mains, or an engine whose speed wavers."""
    hz = rng.choice([50.0, 60.0, rng.uniform(28.0, 110.0)])
    waver = np.cumsum(rng.standard_normal(count)) / rate * rng.choice([0.0, 8.0])
    phase = 2 * np.pi * (np.arange(count) * hz / rate + waver)
    weights = rng.uniform(0.1, 1.0, size=14) / np.arange(1, 15) ** rng.uniform(0.4, 1.4)
    tone = sum(w * np.sin(k * phase) for k, w in enumerate(weights, 1))
    return _peak(np.asarray(tone) + 0.05 * rng.standard_normal(count))


def _clicks(count: int, rate: int, rng: np.random.Generator) -> Samples:
    """Regular ticks or irregular knocks, each a few decaying partials."""
    out = np.zeros(count + rate)
    period_s, regular = rng.uniform(0.12, 1.0), rng.random() < 0.6
    length = int(rate * rng.uniform(0.01, 0.06))
    t = np.arange(length) / rate
    click = sum(np.sin(2 * np.pi * hz * t) for hz in rng.uniform(300, 6000, size=4)) * np.exp(-t / (length / rate / 5))
    at = rng.uniform(0, period_s)
    while at < count / rate:
        start = int(at * rate)
        out[start : start + length] += click * rng.uniform(0.6, 1.0)
        at += period_s if regular else rng.exponential(period_s) + 0.03
    return _peak(out[:count] + 0.003 * rng.standard_normal(count))


def _beeps(count: int, rate: int, rng: np.random.Generator) -> Samples:
    """An alarm, a siren or a telephone: plain tones switched or swept."""
    t = np.arange(count) / rate
    low, high = sorted(rng.uniform(350, 2600, size=2))
    period_s = rng.uniform(0.25, 2.5)
    if rng.random() < 0.4:
        sweep = low + (high - low) * 0.5 * (1 + np.sin(2 * np.pi * t / period_s))
        tone = np.sin(2 * np.pi * np.cumsum(sweep) / rate)
    else:
        gate = ((t / period_s) % 1.0 < rng.uniform(0.25, 0.7)).astype(np.float64)
        second = np.sin(2 * np.pi * high * t) * (rng.random() < 0.5)
        tone = gate * (np.sin(2 * np.pi * low * t) + second)
    if rng.random() < 0.5:
        tone = np.sign(tone) * np.abs(tone) ** 0.4
    return _peak(tone + 0.002 * rng.standard_normal(count))


def _effects(count: int, rate: int, rng: np.random.Generator) -> Samples:
    """Single events with silence between, as games and films have them: blasts, zaps, splashes, blows, whooshes."""
    out, at = np.zeros(count + 4 * rate), rng.uniform(0, 1.5)
    gap_s = rng.uniform(0.1, 2.5)
    while at < count / rate:
        n = int(rate * rng.uniform(0.05, 1.8))
        t = np.arange(n) / rate
        shape = np.exp(-t / (n / rate / rng.uniform(3, 7)))
        kind = rng.integers(4)
        if kind == 0:  # a blast or a blow
            event = np.cumsum(rng.standard_normal(n)) * 0.05 + np.sin(2 * np.pi * rng.uniform(30, 90) * t)
        elif kind == 1:  # a zap: a tone that falls or rises fast
            sweep = rng.uniform(300, 4000) * np.exp(rng.uniform(-8, 4) * np.minimum(t, 0.5))
            event = np.sign(np.sin(2 * np.pi * np.cumsum(np.minimum(sweep, 8000)) / rate)) * 0.5
        elif kind == 2:  # a splash or a hiss
            event = np.diff(rng.standard_normal(n + 1))
        else:  # a whoosh
            event, shape = rng.standard_normal(n), np.hanning(n)
        start = int(at * rate)
        out[start : start + n] += shape * event / (np.abs(event).max() + 1e-9) * rng.uniform(0.3, 1.0)
        at += n / rate * rng.uniform(0.3, 1.0) + rng.exponential(gap_s)
    return _peak(out[:count] + 0.001 * rng.standard_normal(count))


SYNTHESISED: dict[str, Callable[[int, int, np.random.Generator], Samples]] = {
    "noise": _noise,
    "nature": _nature,
    "hum": _hum,
    "clicks": _clicks,
    "beeps": _beeps,
    "effects": _effects,
}


def make_sound(name: str, count: int, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """A value of the lexicon's `sound:` group, except the soundfont's own birds and applause."""
    return SYNTHESISED[name](count, sample_rate_hz, rng)
