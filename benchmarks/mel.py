"""The log-mel front end against `ClapFeatureExtractor`: milliseconds a window and largest difference, in one run.

python -m benchmarks.mel
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for both: before NumPy is loaded

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.mel import LogMel

__all__ = ["hard_sounds", "main", "reference"]


def hard_sounds(sample_rate_hz: int, samples: int) -> dict[str, NDArray[np.float32]]:
    """What tells a careless front end: loud tones beside silence, very quiet noise, steps, full scale."""
    rng = np.random.default_rng(0)
    t = np.arange(samples) / sample_rate_hz
    tone = np.sin(2 * np.pi * 440 * t)
    pluck = sum(np.sin(2 * np.pi * 220 * k * t) * np.exp(-5 * k * (t % 0.5)) / k for k in range(1, 20))
    sounds = {
        "noise": 0.1 * rng.normal(size=samples),
        "noise at -100 dBFS": 1e-5 * rng.normal(size=samples),
        "tone": tone,
        "tone, then silence": tone * (t < t[-1] / 2),
        "tone over noise at -120 dBFS": tone + 1e-6 * rng.normal(size=samples),
        "16-bit tone": np.round(16384 * tone) / 32768,
        "plucked notes": 0.2 * pluck,
        "square wave": np.sign(tone),
        "constant": np.full(samples, 0.5),
        "silence": np.zeros(samples),
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


def reference(extractor: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The extractor's own spectrogram of a window of exactly the right length."""

    def call(window_T: NDArray[np.float32]) -> NDArray[np.float32]:
        out = extractor(window_T, sampling_rate=extractor.sampling_rate, return_tensors="np")
        return np.asarray(out["input_features"][0, 0], dtype=np.float32)

    return call


def _milliseconds(calls: Sequence[Callable[[NDArray[np.float32]], Any]], window_T: NDArray[np.float32]) -> list[float]:
    """The best of many, taken in turn so that a busy machine is unfair to none."""
    best = [float("inf")] * len(calls)
    for _ in range(40):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call(window_T)
            best[i] = min(best[i], 1000 * (time.perf_counter() - start))
    return best


def main() -> None:
    from transformers import ClapFeatureExtractor

    settings: dict[str, dict[str, Any]] = {
        "bundled (24 kHz, 128 bands)": {
            "sampling_rate": 24_000,
            "feature_size": 128,
            "hop_length": 469,
            "frequency_min": 30,
            "frequency_max": 11_500,
        },
        "LAION (48 kHz, 64 bands)": {"frequency_min": 50},
        "LAION fusion (48 kHz, 64 bands)": {"frequency_min": 50, "truncation": "fusion"},
    }
    print(f"{'front end':34}{'extractor ms':>14}{'ours ms':>10}{'ratio':>8}{'max |dB|':>12}  worst on")
    for name, options in settings.items():
        extractor = ClapFeatureExtractor(**{"truncation": "rand_trunc", **options})
        ours, theirs = LogMel.like(extractor), reference(extractor)
        sounds = hard_sounds(extractor.sampling_rate, extractor.nb_max_samples)
        differences = {k: float(np.abs(ours(x) - theirs(x)).max()) for k, x in sounds.items()}
        worst = max(differences, key=differences.__getitem__)
        slow, fast = _milliseconds([theirs, ours], sounds["noise"])
        print(f"{name:34}{slow:14.2f}{fast:10.2f}{slow / fast:8.2f}{differences[worst]:12.1e}  {worst}")


if __name__ == "__main__":
    main()
