"""An independent tagger, for judging only: musicnn (Pons and Serra, 2019), read out of its wheel and run in torch.

    pip download --no-deps musicnn==0.1.0

The wheel holds TensorFlow checkpoints of two networks, trained on MagnaTagATune and on the Million Song Dataset.
Neither their weights nor anything made with them takes part in training: this module belongs to `benchmarks.real_music`
alone.
B patches, T frames of 16 ms, M 96 mel bands.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

__all__ = ["RATE_HZ", "TAGS", "Musicnn"]

RATE_HZ = 16_000
_PATCH_FRAMES, _PLACES_S = 187, (4.0, 13.5, 23.0)
"""Of each 30 s clip, three patches of 3 s."""
_MTT = """
guitar;classical;slow;techno;strings;drums;electronic;rock;fast;piano;ambient;beat;violin;vocal;
synth;female;indian;opera;male;singing;vocals;no vocals;harpsichord;loud;quiet;flute;woman;
male vocal;no vocal;pop;soft;sitar;solo;man;classic;choir;voice;new age;dance;male voice;
female vocal;beats;harp;cello;no voice;weird;country;metal;female voice;choral
"""
_MSD = """
rock;pop;alternative;indie;electronic;female vocalists;dance;00s;alternative rock;jazz;beautiful;
metal;chillout;male vocalists;classic rock;soul;indie rock;Mellow;electronica;80s;folk;90s;chill;
instrumental;punk;oldies;blues;hard rock;ambient;acoustic;experimental;female vocalist;guitar;
Hip-Hop;70s;party;country;easy listening;sexy;catchy;funk;electro;heavy metal;Progressive rock;60s;
rnb;indie pop;sad;House;happy
"""


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.replace("\n", "").split(";"))


TAGS: dict[str, tuple[str, ...]] = {"MTT": _tags(_MTT), "MSD": _tags(_MSD)}
"""Of MagnaTagATune and of the Million Song Dataset, in the order of the networks' outputs."""


class Musicnn:
    """Both networks; `tag` gives the mean activation of each tag over three patches of a clip."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as files:
            self.networks = {name: _Network(_checkpoint(files, f"musicnn/{name}_musicnn/")) for name in TAGS}

    def tag(self, clip_T: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Name of the tag set -> (50,) of 30 s at 16 kHz."""
        mel_TM = log_mel(clip_T)
        starts = [round(s * RATE_HZ / 256) for s in _PLACES_S]
        patches = torch.from_numpy(np.stack([mel_TM[s : s + _PATCH_FRAMES] for s in starts]))
        return {name: network(patches).mean(0).numpy() for name, network in self.networks.items()}


def log_mel(clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 96), as musicnn's own front end: librosa's mel power spectrum, log10(10000 x + 1)."""
    import librosa

    mel = librosa.feature.melspectrogram(
        y=clip_T, sr=RATE_HZ, hop_length=256, n_fft=512, n_mels=96, pad_mode="constant"
    )
    out: NDArray[np.float32] = np.log10(10_000 * mel.T.astype(np.float16).astype(np.float32) + 1)
    return out


class _Network:
    """Timbral filters of two heights and temporal ones of three lengths, three residual layers, pooling, two dense."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.w = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}

    def _norm(self, x: torch.Tensor, number: int) -> torch.Tensor:
        name = "batch_normalization" + (f"_{number}" if number else "")
        gain = self.w[f"{name}/gamma"] * torch.rsqrt(self.w[f"{name}/moving_variance"] + 1e-3)
        shift = self.w[f"{name}/beta"] - self.w[f"{name}/moving_mean"] * gain
        shape = [1, -1] + [1] * (x.ndim - 2)
        return x * gain.view(shape) + shift.view(shape)

    def _conv(self, x: torch.Tensor, number: int, before: int, after: int) -> torch.Tensor:
        name = "conv2d" + (f"_{number}" if number else "")
        kernel = self.w[f"{name}/kernel"].permute(3, 2, 0, 1)
        x = functional.relu(functional.conv2d(functional.pad(x, (0, 0, before, after)), kernel, self.w[f"{name}/bias"]))
        return self._norm(x, number + 1)

    @torch.inference_mode()
    def __call__(self, patches_BTM: torch.Tensor) -> torch.Tensor:
        x = self._norm(patches_BTM[:, None], 0)
        parts = [self._conv(x, number, 3, 3).amax(3) for number in (0, 1)]
        for number in (2, 3, 4):
            length = self.w[f"conv2d_{number}/kernel"].shape[0]
            parts.append(self._conv(x, number, (length - 1) // 2, length // 2).amax(3))
        front = torch.cat(parts, 1)
        layers, before = [front], None
        for number in (5, 6, 7):
            below = front if before is None else before
            out = self._conv(below.transpose(1, 2)[:, None], number, 3, 3)[..., 0]
            before = out if before is None else out + before
            layers.append(before)
        every = torch.cat(layers, 1)
        pooled = self._norm(torch.stack([every.amax(2), every.mean(2)], 2).flatten(1), 9)
        hidden = self._norm(functional.relu(pooled @ self.w["dense/kernel"] + self.w["dense/bias"]), 10)
        return torch.sigmoid(hidden @ self.w["dense_1/kernel"] + self.w["dense_1/bias"])


# --- TensorFlow's checkpoint: a table of protocol buffers that say where in the data each tensor lies


def _checkpoint(files: zipfile.ZipFile, folder: str) -> dict[str, NDArray[np.float32]]:
    (index_name,) = [n for n in files.namelist() if n.startswith(folder) and n.endswith(".index")]
    index, data = files.read(index_name), files.read(index_name.removesuffix(".index") + ".data-00000-of-00001")
    footer = index[-48:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    start, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    tensors = {}
    for _, handle in _entries(index, start, size):
        block_start, at = _varint(handle, 0)
        block_size, _ = _varint(handle, at)
        for key, value in _entries(index, block_start, block_size):
            said = dict(_fields(value))
            if not key or said.get(1) != 1 or b"Adam" in key:  # float32 alone
                continue
            dims = [dict(_fields(dim)).get(1, 0) for number, dim in _fields(said.get(2, b"")) if number == 2]
            raw = data[said.get(4, 0) : said.get(4, 0) + said[5]]
            tensors[key.decode()] = np.frombuffer(raw, "<f4").reshape(dims)
    return tensors


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def _entries(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; each key repeats the beginning of the one before it."""
    block = index[start : start + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        new, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + new]
        yield key, block[at + new : at + new + length]
        at += new + length


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        length, at = _varint(message, at) if tag & 7 == 2 else (4 if tag & 7 == 5 else 8, at)
        yield tag >> 3, message[at : at + length]
        at += length
