"""VGGish and PANNs CNN14 from folders that `cratedig evaluate convert` makes of their public weights.

T samples, W windows of a clip, F frames, M mel bands, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from labeling.embedders.embedder import cut_windows
from labeling.embedders.mel import LogMel
from labeling.embedders.torch_device import choose_device
from labeling.encoders.encoder import Encoder
from labeling.encoders.folder import folder_hash, read_config, read_weights
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard
from pipeline.threads import one_blas_thread, torch_threads

__all__ = ["PANNS_SHAPES", "Cnn14", "Vggish", "converted_card", "load_converted", "vggish_examples"]

_VGGISH_RATE_HZ, _VGGISH_FRAMES, _VGGISH_BANDS = 16_000, 96, 64
_LICENCES = {"vggish": "Apache-2.0", "panns-cnn14": "CC-BY-4.0"}
PANNS_SHAPES: dict[int, tuple[int, int, float]] = {
    32_000: (1024, 320, 14_000.0),
    16_000: (512, 160, 8_000.0),
    8_000: (256, 80, 4_000.0),
}
"""Sample rate in Hz -> FFT size, hop, highest frequency: the three front ends that CNN14 was published with."""
_PANNS_WINDOW_S = 10.0


def converted_card(folder: Path) -> EmbedderCard:
    """From config.json: model_type, and for PANNs sample_rate_hz."""
    config = read_config(folder)
    kind = config.get("model_type")
    rate = config.get("sample_rate_hz", _VGGISH_RATE_HZ)
    if kind == "panns-cnn14" and rate not in PANNS_SHAPES:
        raise EmbedderProblem(f"{folder}/config.json: sample_rate_hz is {rate!r}; expected one of {list(PANNS_SHAPES)}")
    vggish = kind == "vggish"
    return EmbedderCard(
        name=str(config.get("name", kind)),
        sample_rate_hz=int(rate),
        window_s=_VGGISH_FRAMES / 100 if vggish else _PANNS_WINDOW_S,
        dimension=128 if vggish else 2048,
        text_limit_tokens=0,
        licence=str(config.get("license", _LICENCES[str(kind)])),
        revision=str(config.get("revision", "")),
        weights_hash=folder_hash(folder),
    )


def load_converted(folder: Path, *, device: str = "auto", threads: int = 1) -> Encoder:
    """The network that the folder's config names, with its weights checked to fit."""
    card, config = converted_card(folder), read_config(folder)
    if config["model_type"] == "vggish":
        return VggishEncoder(card, _filled(Vggish(), folder), device, threads)
    return PannsEncoder(card, _filled(Cnn14(), folder), device, threads)


def _filled(model: nn.Module, folder: Path) -> nn.Module:
    tensors: Mapping[str, Any] = read_weights(folder)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise EmbedderProblem(
            f"{folder}: the weights are not this network's ({_last(error)}); convert them again"
        ) from error
    return model


def _last(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()


class _Network(Encoder):
    def __init__(self, card: EmbedderCard, model: nn.Module, device: str, threads: int) -> None:
        self.card, self._threads = card, threads
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()

    def _run(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch_threads(self._threads), torch.inference_mode():
            found: NDArray[np.float32] = self.model(torch.from_numpy(features).to(self.device)).float().cpu().numpy()
        return found


class VggishEncoder(_Network):
    """Hershey et al. 2017: 128 numbers for each .96 s, before the last activation and without PCA (as FAD has it)."""

    per: Literal["clip", "window", "frame"] = "frame"

    def encode(self, clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._run(vggish_examples(clip_T))


class PannsEncoder(_Network):
    """Kong et al. 2020: 2048 numbers for each 10 s, before the classes."""

    per: Literal["clip", "window", "frame"] = "window"

    @cached_property
    def log_mel(self) -> LogMel:
        from librosa.filters import mel

        rate = self.card.sample_rate_hz
        fft, hop, top_hz = PANNS_SHAPES[rate]
        filters_MK = mel(sr=rate, n_fft=fft, n_mels=64, fmin=50, fmax=top_hz)
        return LogMel(np.asarray(filters_MK.T, np.float64), fft_size=fft, hop=hop)

    def encode(self, clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
        windows_WT = cut_windows(clip_T, round(_PANNS_WINDOW_S * self.card.sample_rate_hz))
        return self._run(self.log_mel.batch(windows_WT)[:, None])


@one_blas_thread()
def vggish_examples(clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W, 1, 96, 64): log(mel + .01) of magnitudes, windows of 25 ms every 10 ms, as AudioSet's own front end.

    A clip shorter than one example is padded with silence to one.
    """
    window_T, hop_T, fft = 400, 160, 512
    least = (_VGGISH_FRAMES - 1) * hop_T + window_T
    wave_T = np.pad(clip_T, (0, max(0, least - len(clip_T)))).astype(np.float64)
    framed_FN = np.lib.stride_tricks.sliding_window_view(wave_T, window_T)[::hop_T]
    hann_N = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_T) / window_T)
    examples = len(framed_FN) // _VGGISH_FRAMES
    magnitude_FK = np.abs(np.fft.rfft(framed_FN[: examples * _VGGISH_FRAMES] * hann_N, fft))
    mel_FM = np.log(magnitude_FK @ _vggish_filters(fft) + 0.01)
    return mel_FM.reshape(examples, 1, _VGGISH_FRAMES, _VGGISH_BANDS).astype(np.float32)


def _vggish_filters(fft: int) -> NDArray[np.float64]:
    """(K, M): triangles in mel (1127 ln(1 + f / 700)) from 125 to 7500 Hz, of height 1, none at 0 Hz."""

    def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(hz / 700.0)

    bins_K = mel(np.linspace(0, _VGGISH_RATE_HZ / 2, fft // 2 + 1))
    low, high = mel(np.array([125.0, 7500.0])).tolist()
    edges = np.linspace(low, high, _VGGISH_BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_K[:, None] - lower) / (centre - lower)
    falling = (upper - bins_K[:, None]) / (upper - centre)
    filters_KM = np.maximum(0.0, np.minimum(rising, falling))
    filters_KM[0] = 0
    return filters_KM


class Vggish(nn.Module):
    """Names and shapes of `torchvggish`, the port of the TensorFlow release that every FAD package uses."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):
            if not width:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )

    def forward(self, examples_W1FM: Tensor) -> Tensor:
        found = self.features(examples_W1FM).permute(0, 2, 3, 1)  # TensorFlow's order before it is made flat
        out: Tensor = self.embeddings(found.flatten(1))
        return out


class _ConvBlock(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.avg_pool2d(functional.relu(self.bn2(self.conv2(x))), pool)


class Cnn14(nn.Module):
    """CNN14 up to its 2048 numbers; the layer of classes is not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(64)
        widths = (1, 64, 128, 256, 512, 1024, 2048)
        for n in range(6):
            setattr(self, f"conv_block{n + 1}", _ConvBlock(widths[n], widths[n + 1]))
        self.fc1 = nn.Linear(2048, 2048)

    def forward(self, mels_W1FM: Tensor) -> Tensor:
        x = self.bn0(mels_W1FM.transpose(1, 3)).transpose(1, 3)
        for n in range(1, 7):
            x = getattr(self, f"conv_block{n}")(x, 1 if n == 6 else 2)
        x = x.mean(dim=3)
        return functional.relu(self.fc1(x.amax(dim=2) + x.mean(dim=2)))
