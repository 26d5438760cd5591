"""Sounds that are music enough for a fingerprint, and a crate of them with what is known of each track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.diffusion.crates import make_crate

RATE = 24_000


def piece(seed: int, seconds: float, rate_hz: int = RATE) -> NDArray[np.float32]:
    """Plucked notes in three parts, their pitches and moments drawn by `seed`."""
    draw = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * rate_hz), np.float32)
    for _ in range(round(8 * seconds)):
        pitch = 110 * 2 ** (draw.integers(0, 40) / 12)
        start = draw.integers(0, len(sound))
        t = np.arange(min(rate_hz, len(sound) - start)) / rate_hz
        note = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in (1, 2, 3)) * np.exp(-4 * t)
        sound[start : start + len(t)] += note * draw.uniform(0.3, 1)
    sound += 0.003 * draw.standard_normal(len(sound))
    return (0.7 * sound / np.abs(sound).max()).astype(np.float32)


def crate_of(folder: Path, sounds: Sequence[NDArray[np.float32]], about: Sequence[Mapping[str, Any]]) -> Path:
    """One track a sound, one clip a track; what `about` does not say is as of any file."""
    plain = {
        "source_key": "", "source_sha256": "", "source_duration_s": 60.0, "source_sample_rate_hz": 44_100,
        "source_codec": "mp3", "clipped_share": 0.0, "embedding": [1.0, 0.0, 0.0, 0.0], "extra": [],
    }  # fmt: skip
    return make_crate(
        folder,
        shards=len(sounds),
        tracks=1,
        clips=1,
        clip_s=len(sounds[0]) / RATE,
        sound=lambda clip, seconds: sounds[clip],
        about=lambda clip: plain | {"source_key": f"{clip}.mp3", "source_sha256": f"{clip:064x}"} | dict(about[clip]),
    )
