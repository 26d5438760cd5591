"""What happens to music between the players and the listener: amplifiers, compression, limiting, pumping, old tapes,
lossy codecs and narrow channels. T samples, mono.

All of it stays milder than the faults that `recording:` facts name: no channel is narrower than 4 kHz.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly, sosfilt  # type: ignore[import-untyped]

__all__ = ["amplified", "mastered", "pumped"]

Samples = NDArray[np.float32]
_CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))


def amplified(x_T: Samples, rate_hz: int, rng: np.random.Generator, *, drive_db: float) -> Samples:
    """A guitar through a preamplifier that clips and a cabinet that takes off the treble; the level stays."""
    rms = float(np.sqrt(np.mean(x_T**2))) + 1e-9
    x = sosfilt(butter(1, rng.uniform(90, 300), "high", fs=rate_hz, output="sos"), x_T / rms)
    x = np.tanh(10 ** (drive_db / 20) * x + rng.uniform(0, 0.3))
    x = np.tanh(rng.uniform(1, 3) * (x - x.mean()))
    cabinet = butter(3, (rng.uniform(70, 130), rng.uniform(3000, 5500)), "band", fs=rate_hz, output="sos")
    x = sosfilt(cabinet, x)
    return (x * rms / (float(np.sqrt(np.mean(x**2))) + 1e-9)).astype(np.float32)


def pumped(x_T: Samples, kicks_s: NDArray[np.float64], rate_hz: int, rng: np.random.Generator) -> Samples:
    """Ducked at each kick drum, as by a side-chained compressor."""
    t = np.arange(x_T.size) / rate_hz
    since = t - kicks_s[np.maximum(np.searchsorted(kicks_s, t, side="right") - 1, 0)]
    depth, back_s = rng.uniform(0.4, 0.95), rng.uniform(0.08, 0.25)
    duck = np.where(since >= 0, 1 - depth * np.exp(-np.maximum(since, 0) / back_s), 1.0)
    return (x_T * duck).astype(np.float32)


def mastered(x_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Some of it, in the order in which it happens; the peak stays."""
    peak = float(np.abs(x_T).max()) + 1e-9
    x = x_T / np.float32(peak)
    if rng.random() < 0.5:
        x = _compressed(x, rate_hz, rng)
    if rng.random() < 0.3:
        drive = np.float32(10 ** (rng.uniform(0, 14) / 20))
        x = np.tanh(drive * x) / np.tanh(drive)
    if rng.random() < 0.06:
        x = _worn_tape(x, rate_hz, rng)
    if rng.random() < 0.08:
        narrow_hz = int(rng.choice([8_000, 12_000, 16_000]))
        x = resample_poly(resample_poly(x, narrow_hz, rate_hz), rate_hz, narrow_hz)[: x_T.size].astype(np.float32)
        x = np.pad(x, (0, x_T.size - x.size))
    if rng.random() < 0.15:
        x = _coded(x, rate_hz, rng)
    return (x * np.float32(peak / (np.abs(x).max() + 1e-9))).astype(np.float32)


def _compressed(x_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Each of one to three bands turned down where it is loud, after its level of the last moments."""
    edges_hz = sorted(rng.choice([180.0, 400.0, 1500.0, 4000.0], size=int(rng.integers(0, 3)), replace=False))
    bands, rest = [], x_T.astype(np.float64)
    for edge_hz in edges_hz:
        low = sosfilt(butter(1, edge_hz, fs=rate_hz, output="sos"), rest)
        bands.append(low)
        rest = rest - low
    out = np.zeros(x_T.size)
    ratio, below_db = rng.uniform(1.5, 6), rng.uniform(6, 24)
    for band in (*bands, rest):
        decay = np.exp(-1 / (rng.uniform(0.01, 0.12) * rate_hz))
        level = np.sqrt(np.maximum(lfilter([1 - decay], [1, -decay], band**2), 1e-10))
        threshold = float(np.quantile(level[::200], 0.98)) * 10 ** (-below_db / 20) + 1e-9
        out += (
            band * np.maximum(level / threshold, 1.0) ** (1 / ratio - 1) * (1 if not bands else rng.uniform(0.7, 1.4))
        )
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def _worn_tape(x_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    t = np.arange(x_T.size) / rate_hz
    wow = rng.uniform(0.0005, 0.004) / 0.7 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6.28))
    flutter = rng.uniform(0, 0.0003) * np.sin(2 * np.pi * rng.uniform(5, 9) * t)
    worn = np.interp(t + wow + flutter, t, x_T)
    return (worn + rng.normal(0, 10 ** (rng.uniform(-60, -45) / 20), t.size)).astype(np.float32)


def _coded(x_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    """There and back through a lossy codec, at the poorer end of its settings."""
    import soundfile

    container, codec = _CODECS[int(rng.integers(len(_CODECS)))]
    buffer = io.BytesIO()
    settings = {"format": container, "subtype": codec, "compression_level": float(rng.uniform(0.5, 0.98))}
    with soundfile.SoundFile(buffer, "w", samplerate=rate_hz, channels=1, **settings) as file:
        for start in range(0, x_T.size, 24_000):  # longer blocks overflow the Vorbis encoder's stack
            file.write(x_T[start : start + 24_000] * np.float32(0.7))
    buffer.seek(0)
    back = soundfile.read(buffer, dtype="float32")[0]
    return np.pad(back[: x_T.size], (0, max(0, x_T.size - back.size))) / np.float32(0.7)
