"""A singer and a speaker by formant synthesis: a pulse train through vowel resonances, with breath and consonants.

T samples, V vowels. It is no convincing human, but it has what tells a voice from an instrument: formants that move
while the pitch stays, glides, vibrato, unvoiced bursts and pauses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter  # type: ignore[import-untyped]

from labeling.recipe.composing.piece import Note

__all__ = ["sing", "speak"]

Samples = NDArray[np.float32]
_VOWELS_HZ: dict[str, tuple[float, float, float, float]] = {
    "a": (750, 1150, 2500, 3400),
    "e": (480, 1900, 2550, 3450),
    "i": (290, 2250, 2950, 3600),
    "o": (470, 850, 2450, 3300),
    "u": (320, 750, 2300, 3250),
}
_GAINS = (1.0, 0.55, 0.28, 0.16)
_WIDTHS_HZ = (80.0, 100.0, 140.0, 220.0)


def _resonate(source: NDArray[np.float64], hz: float, width_hz: float, rate: int) -> NDArray[np.float64]:
    radius = np.exp(-np.pi * width_hz / rate)
    theta = 2 * np.pi * hz / rate
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * theta) + radius**2)
    out: NDArray[np.float64] = lfilter([gain], [1.0, -2 * radius * np.cos(theta), radius**2], source)
    return out


def _through_vowels(
    source_T: NDArray[np.float64], vowel_T: NDArray[np.int64], rate: int, scale: float
) -> NDArray[np.float64]:
    """The source through each vowel's resonances, cross-faded to follow `vowel_T`."""
    out = np.zeros_like(source_T)
    for v, formants in enumerate(_VOWELS_HZ.values()):
        chosen_T = vowel_T == v
        if not chosen_T.any():
            continue
        weight_T = _smooth(chosen_T.astype(np.float64), 0.02, rate)
        voiced = sum(
            g * _resonate(source_T, min(hz * scale, 0.45 * rate), width, rate)
            for g, hz, width in zip(_GAINS, formants, _WIDTHS_HZ, strict=True)
        )
        out += weight_T * np.asarray(voiced)
    return out


def _glottis(f0_T: NDArray[np.float64], rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pulses at the pitch, tilted by about -6 dB an octave, with a little breath."""
    phase = np.cumsum(f0_T / rate * (1 + 0.004 * rng.standard_normal(f0_T.size)))
    pulse = np.diff(np.floor(phase), prepend=0.0)
    tilted: NDArray[np.float64] = lfilter([1.0], [1.0, -0.96], pulse - pulse.mean())
    return tilted + 0.01 * rng.standard_normal(f0_T.size)


def _smooth(x: NDArray[np.float64], seconds: float, rate: int) -> NDArray[np.float64]:
    a = np.exp(-1.0 / (seconds * rate))
    out: NDArray[np.float64] = lfilter([1 - a], [1.0, -a], x, zi=[a * x[0]])[0]
    return out


def _finish(x: NDArray[np.float64]) -> Samples:
    return (0.5 * x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def sing(
    notes: Sequence[Note],
    count: int,
    sample_rate_hz: int,
    rng: np.random.Generator,
    *,
    female: bool,
    level: float = 1.0,
) -> Samples:
    """The melody on changing vowels, an octave down for a man where it lies high. Peak 0.5 x level."""
    rate = sample_rate_hz
    f0, loud = np.full(count, 150.0), np.zeros(count)
    vowel = np.zeros(count, dtype=np.int64)
    bursts = np.zeros(count)
    ceiling = 77 if female else 64
    for note in sorted(notes):
        start, stop = int(note.start_s * rate), min(count, int((note.start_s + note.duration_s) * rate))
        if start >= count:
            break
        pitch = note.pitch
        while pitch > ceiling:
            pitch -= 12
        f0[start:] = 440.0 * 2 ** ((pitch - 69) / 12)
        loud[start:stop] = 0.4 + note.velocity / 212
        vowel[start:] = rng.integers(len(_VOWELS_HZ))
        if rng.random() < 0.6:  # a consonant
            length = min(int(rate * rng.uniform(0.02, 0.07)), count - start)
            bursts[start : start + length] += rng.standard_normal(length) * np.hanning(length) * rng.uniform(0.02, 0.12)
    t = np.arange(count) / rate
    depth, hz = rng.uniform(0.004, 0.016), rng.uniform(4.5, 6.5)
    f0 = _smooth(f0, 0.03, rate) * (1 + depth * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.28)))
    scale = float(rng.uniform(1.1, 1.22) if female else rng.uniform(0.92, 1.05))
    voice = _through_vowels(_glottis(f0, rate, rng), vowel, rate, scale) * _smooth(loud, 0.03, rate)
    return _finish(voice / (np.abs(voice).max() + 1e-9) + bursts) * np.float32(level)


def speak(count: int, sample_rate_hz: int, rng: np.random.Generator, *, female: bool) -> Samples:
    """Phrases of syllables with falling pitch, hisses and stops between, and breaths; no words."""
    rate = sample_rate_hz
    f0, loud = np.full(count, 120.0), np.zeros(count)
    vowel = np.zeros(count, dtype=np.int64)
    hiss = np.zeros(count)
    middle_hz = rng.uniform(175, 250) if female else rng.uniform(90, 140)
    pace_s = rng.uniform(0.13, 0.24)
    at = rng.uniform(0, 0.4)
    while at < count / rate:
        syllables = int(rng.integers(4, 14))
        for k in range(syllables):
            start, length_s = int(at * rate), pace_s * rng.uniform(0.6, 1.5)
            stop = min(count, int((at + length_s) * rate))
            if start >= count:
                break
            f0[start:] = middle_hz * (1.15 - 0.3 * k / syllables) * rng.uniform(0.88, 1.14)
            loud[start:stop] = rng.uniform(0.5, 1.0)
            vowel[start:] = rng.integers(len(_VOWELS_HZ))
            if rng.random() < 0.55:
                length = min(int(rate * rng.uniform(0.03, 0.1)), count - start)
                burst = np.diff(rng.standard_normal(length + 1)) * np.hanning(length)
                hiss[start : start + length] += burst * rng.uniform(0.03, 0.2)
                loud[start : start + length // 2] *= 0.2
            at += length_s
        at += rng.uniform(0.15, 0.8)
    scale = float(rng.uniform(1.08, 1.2) if female else rng.uniform(0.92, 1.05))
    voice = _through_vowels(_glottis(_smooth(f0, 0.05, rate), rate, rng), vowel, rate, scale)
    voice *= _smooth(loud, 0.015, rate)
    return _finish(voice / (np.abs(voice).max() + 1e-9) + hiss)
