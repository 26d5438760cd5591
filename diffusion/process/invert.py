"""A waveform with a given mel, without a model: the sharpest spectrum with that mel, and phases that fit each other.

B batch, M mel channels, K frequency bins, F frames, T samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion.model.config import MelConfig
from diffusion.process.mel import mel_filters

__all__ = ["invert_mel", "sharp_power"]

_LEAST = 1e-14
_MOMENTUM = 0.99


def invert_mel(mel_BMF: Tensor, config: MelConfig, *, iterations: int = 32) -> Tensor:
    """(B, T) with T = F x hop: fast Griffin-Lim (Perraudin et al. 2013, momentum .99) from phases that are the same
    each time. A clip does not depend on its batch."""
    power_BKF = sharp_power(mel_BMF, config)
    power_BKF = torch.cat([power_BKF, power_BKF[..., -1:]], dim=-1)  # the centred frame beyond the end
    window = torch.hann_window(config.window, device=mel_BMF.device)
    magnitude = (power_BKF.sqrt() * window.sum()).to(torch.complex64)
    shape = {"n_fft": config.fft, "hop_length": config.hop, "win_length": config.window, "window": window}
    length = mel_BMF.shape[-1] * config.hop
    angle = 2 * math.pi * torch.rand(magnitude.shape[1:], generator=torch.Generator().manual_seed(0))
    phase = torch.polar(torch.ones_like(angle), angle).to(mel_BMF.device)
    before = torch.zeros_like(magnitude)
    for _ in range(iterations):
        audio_BT = torch.istft(magnitude * phase, **shape, length=length)  # type: ignore[arg-type]
        now = torch.stft(audio_BT, **shape, return_complex=True, pad_mode="constant")  # type: ignore[arg-type]
        ahead = now - _MOMENTUM / (1 + _MOMENTUM) * before
        phase, before = ahead / ahead.abs().clamp(min=_LEAST), now
    return torch.istft(magnitude * phase, **shape, length=length)  # type: ignore[arg-type]


def sharp_power(mel_BMF: Tensor, config: MelConfig, *, iterations: int = 30) -> Tensor:
    """(B, K, F), never negative, whose mel this is: Richardson and Lucy's iteration, which puts what neighbouring bands
    share into few bins. A least-squares inverse would spread each partial over all bins of its bands."""
    filters_MK = torch.from_numpy(mel_filters(config)).to(mel_BMF.device)
    seen_K1 = filters_MK.sum(0)[:, None]
    decibels = (mel_BMF.float().clamp(-1, 1) + 1) / 2 * (config.ceiling_db - config.floor_db) + config.floor_db
    wanted_BMF = 10 ** (decibels / 10) - 10 ** (config.floor_db / 10)  # the floor stands for nothing
    back_KM = filters_MK.T / seen_K1.clamp(min=1e-3)
    power_BKF = back_KM @ (wanted_BMF / filters_MK.sum(1, keepdim=True))
    for _ in range(iterations):
        power_BKF = power_BKF * (back_KM @ (wanted_BMF / (filters_MK @ power_BKF).clamp(min=_LEAST)))
    return power_BKF
