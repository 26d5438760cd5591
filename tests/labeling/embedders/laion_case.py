"""What LAION's own code and ours are both given: random weights by name, sounds and texts, the same on every machine.

`numpy.random.RandomState` is frozen by its makers; newer generators are not.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FULL_SIZE", "TEXTS", "random_checkpoint", "sounds"]

FULL_SIZE = {"tiny": ("HTSAT-tiny", False), "base": ("HTSAT-base", False), "fusion": ("HTSAT-tiny", True)}
"""Case -> LAION's name of its audio model, and whether it fuses."""
TEXTS = [
    "a slow piano piece",
    "loud electric guitar and drums",
    "calm music",
    "this song features a female singer, strings and a harp " * 9,  # over the limit of 77 tokens
]


def random_checkpoint(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, NDArray[np.generic]]:
    """A value for every key of LAION's state_dict but its constant filters; attention masks, also constant, are 0."""
    return {
        key: _values(key, tuple(shape), seed)
        for key, shape in shapes.items()
        if "spectrogram_extractor" not in key and "logmel_extractor" not in key
    }


def sounds() -> NDArray[np.float32]:
    """Three windows of 10 s at 48 kHz: noise with a hum below 50 Hz, chirps over noise, and a very quiet one."""
    rng = np.random.RandomState(7)
    t = np.arange(480_000) / 48_000
    noise = rng.uniform(-1, 1, (3, t.size))
    hum = 0.5 * np.sin(2 * np.pi * 30 * t) + 0.2 * noise[0]
    chirps = 0.4 * np.sin(2 * np.pi * (200 + 900 * (t % 1)) * (t % 1)) + 0.05 * noise[1]
    quiet = 3e-4 * noise[2] * (1 + np.sin(2 * np.pi * 3 * t))
    return np.stack([hum, chirps, quiet]).astype(np.float32)


def _values(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.generic]:
    rng = np.random.RandomState(zlib.crc32(f"{seed} {key}".encode()))
    name = key.rpartition(".")[2]
    if name == "num_batches_tracked":
        return np.asarray(1, np.int64)
    if name == "relative_position_index":
        return _relative_positions(round(shape[0] ** 0.5))
    if name == "position_ids":
        return np.arange(shape[-1], dtype=np.int64).reshape(shape)
    if name == "attn_mask":
        return np.zeros(shape, np.float32)
    u = rng.random_sample(shape).astype(np.float32) * 2 - 1
    if "logit_scale" in key:
        return np.float32(2.5) + 0 * u
    if key.endswith("bn0.running_mean"):
        return -35 + 5 * u
    if name == "running_mean":
        return u / 10
    if name == "running_var":
        return (400 if "bn0" in key else 1) * (1 + u / 2)
    if len(shape) < 2:  # norms' weights, biases
        return (1 if name == "weight" else 0) + u / 5
    if "embeddings" in key or "bias_table" in key:
        return u
    fan_in = float(np.prod(shape[1:]))
    return u * np.float32((6 / fan_in) ** 0.5)


def _relative_positions(side: int) -> NDArray[np.int64]:
    """Swin's table: which of the (2 side - 1)^2 offsets lies between two places of a side x side window."""
    place = np.arange(side * side)
    row, column = place // side, place % side
    return (row[:, None] - row + side - 1) * (2 * side - 1) + column[:, None] - column + side - 1
