"""The 80 x 100 fps log-mel spectrogram in [-1, 1] (PAPER 3.3.2), on whatever device the audio is.

B batch, T samples, M mel channels, F frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from diffusion.model.config import MelConfig

__all__ = ["log_mel", "mel_filters", "mel_power"]


def log_mel(audio_BT: Tensor, config: MelConfig) -> Tensor:
    """(B, M, F) with F = T // hop: frames are centred, and the one beyond the end is dropped (erratum 7)."""
    power = mel_power(audio_BT, config)
    decibels = 10 * torch.log10(power.clamp(min=10 ** (config.floor_db / 10)))
    unit = (decibels - config.floor_db) / (config.ceiling_db - config.floor_db)
    return (2 * unit - 1).clamp(max=1)


def mel_power(audio_BT: Tensor, config: MelConfig) -> Tensor:
    """Power of the window-normalised spectrum in each mel band, (B, M, F)."""
    window = torch.hann_window(config.window, device=audio_BT.device)
    reach = config.fft // 2
    mode = "reflect" if audio_BT.shape[-1] > reach else "constant"
    padded = F.pad(audio_BT.float()[:, None], (reach, reach), mode=mode)[:, 0]
    spectrum = torch.stft(
        padded, config.fft, hop_length=config.hop, win_length=config.window, window=window, center=False,
        return_complex=True,
    )  # fmt: skip
    power = (spectrum / window.sum()).abs().square()[..., : audio_BT.shape[-1] // config.hop]
    return torch.from_numpy(mel_filters(config)).to(power) @ power


@lru_cache(maxsize=8)
def mel_filters(config: MelConfig) -> NDArray[np.float32]:
    """(M, fft / 2 + 1) triangles of peak 1 on Slaney's scale: linear to 1 kHz, logarithmic above."""
    edges = _slaney_hz(np.linspace(_slaney_mel(config.low_hz), _slaney_mel(config.high_hz), config.channels + 2))
    bins = np.arange(config.fft // 2 + 1) * config.sample_rate_hz / config.fft
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


_LINEAR_HZ = 200 / 3
_LOG_STEP = np.log(6.4) / 27


def _slaney_mel(hz: float) -> float:
    return float(hz / _LINEAR_HZ if hz < 1000 else 15 + np.log(hz / 1000) / _LOG_STEP)


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * _LINEAR_HZ, 1000 * np.exp(_LOG_STEP * (mel - 15)))
