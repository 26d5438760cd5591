"""FFT resampling: Fourier coefficients of the low rate, read at the high one (PAPER 3.3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import BadInput

__all__ = ["fft_upsample"]


def fft_upsample(low_BT: Tensor, low_rate_hz: int, high_rate_hz: int) -> Tensor:
    """The same band-limited signal at the higher rate. Periodic: a jump from end to start rings there."""
    length = low_BT.shape[-1]
    if length * high_rate_hz % low_rate_hz:
        raise BadInput(f"{length} samples at {low_rate_hz} Hz are not a whole number of samples at {high_rate_hz} Hz")
    target = length * high_rate_hz // low_rate_hz
    if target <= length:
        raise BadInput(f"{low_rate_hz} Hz to {high_rate_hz} Hz is not upsampling")
    coefficients = torch.fft.rfft(low_BT.float())
    if length % 2 == 0:  # the Nyquist coefficient stands for a pair, of which the high rate holds each
        coefficients = torch.cat([coefficients[..., :-1], coefficients[..., -1:] / 2], dim=-1)
    padded = F.pad(torch.view_as_real(coefficients), (0, 0, 0, target // 2 + 1 - coefficients.shape[-1]))
    return torch.fft.irfft(torch.view_as_complex(padded.contiguous()), n=target) * (target / length)
