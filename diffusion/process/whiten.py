"""A waveform divided in time and frequency by the envelope that its own mel describes, and multiplied by it again.

What is left is about white and of unit variance, in loud and in silent places alike: a model that diffuses it (instead
of the waveform, as the paper's vocoder does) leaves noise in proportion to the music, not one floor under all of it.

B batch, M mel channels, K frequency bins, F frames, T samples.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.model.config import MelConfig
from diffusion.process.mel import log_mel, mel_filters

__all__ = ["colour", "fit_mel", "whiten"]


def whiten(audio_BT: Tensor, mel_BMF: Tensor, config: MelConfig) -> Tensor:
    """(B, T) of about unit variance; `mel_BMF` is the audio's own."""
    return _filtered(audio_BT, -_envelope_db(mel_BMF, config), config)


def colour(white_BT: Tensor, mel_BMF: Tensor, config: MelConfig) -> Tensor:
    """Back to audio. Not to the sample, since a frame's envelope is not its neighbour's: see the test for how near."""
    return _filtered(white_BT, _envelope_db(mel_BMF, config), config)


def fit_mel(audio_BT: Tensor, mel_BMF: Tensor, config: MelConfig, times: int) -> Tensor:
    """Corrects the audio's bands to a mel, `times` over: a filter blurs what it changes, so once is not enough."""
    spread = torch.from_numpy(_bins_of_channels(config)[0]).to(audio_BT.device)
    range_db = (config.ceiling_db - config.floor_db) / 2
    for _ in range(times):
        missing_db_BMF = (mel_BMF.float().clamp(-1, 1) - log_mel(audio_BT, config)) * range_db
        audio_BT = _filtered(audio_BT, spread @ missing_db_BMF, config)
    return audio_BT


def _filtered(x_BT: Tensor, gain_db_BKF: Tensor, config: MelConfig) -> Tensor:
    window = torch.hann_window(config.window, device=x_BT.device)
    shape = {"n_fft": config.fft, "hop_length": config.hop, "win_length": config.window, "window": window}
    spectrum = torch.stft(x_BT.float(), **shape, return_complex=True, pad_mode="constant")  # type: ignore[arg-type]
    frames = spectrum.shape[-1]
    gain = 10 ** (gain_db_BKF / 20)
    gain = torch.cat([gain, gain[..., -1:].expand(-1, -1, max(frames - gain.shape[-1], 0))], dim=-1)[..., :frames]
    return torch.istft(spectrum * gain, **shape, length=x_BT.shape[-1])  # type: ignore[arg-type]


def _envelope_db(mel_BMF: Tensor, config: MelConfig) -> Tensor:
    """(B, K, F): standard deviation, in dB, of white noise that would have the spectrum's power at bin and frame."""
    spread, offset_db = _bins_of_channels(config)
    db_BMF = (mel_BMF.float().clamp(-1, 1) + 1) / 2 * (config.ceiling_db - config.floor_db) + config.floor_db
    return torch.from_numpy(spread).to(db_BMF) @ (db_BMF + torch.from_numpy(offset_db).to(db_BMF)[:, None])


@lru_cache(maxsize=8)
def _bins_of_channels(config: MelConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(K, M) weights that draw straight lines, in dB, between the channels' centres; and what turns a channel's power
    into that of a bin of unit-variance noise."""
    filters = mel_filters(config)
    bins = np.arange(filters.shape[1])
    centres = filters @ bins / filters.sum(axis=1)
    spread = np.stack([np.interp(bins, centres, row) for row in np.eye(len(centres))], axis=1)
    window = np.hanning(config.window + 1)[:-1]
    white = np.square(window).sum() / window.sum() ** 2  # power of unit-variance noise in each bin
    return spread.astype(np.float32), (-10 * np.log10(filters.sum(axis=1) * white)).astype(np.float32)
