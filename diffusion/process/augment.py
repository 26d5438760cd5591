"""What is done to a condition in training, so that the next stage forgives what the last one gets wrong (PAPER 4.1).

B batch, C channels, T time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.model.config import BlurConfig
from diffusion.process.noise import NoiseSchedule

__all__ = ["add_noise", "blur"]


def add_noise(clean_BCT: Tensor, t_B: Tensor, noise_BCT: Tensor, schedule: NoiseSchedule) -> Tensor:
    """alpha_t x + sigma_t eps (PAPER eq. 2)."""
    alpha, sigma = (value.view(-1, 1, 1) for value in schedule.alpha_sigma(t_B))
    return alpha * clean_BCT + sigma * noise_BCT


def blur(condition_BCT: Tensor, std_B: Tensor, config: BlurConfig) -> Tensor:
    """Each sample with a Gaussian of its own width; edges are repeated.

    One dimension: along time. Two: along time and along the mel channels. With an even number of taps there is one
    more before than after, and the Gaussian stays centred on the sample, so nothing is shifted (erratum 8).
    """
    kernel_BK = _kernels(std_B, config.taps)
    blurred = _along_time(condition_BCT, kernel_BK)
    if config.dimensions == 2:
        blurred = _along_time(blurred.transpose(1, 2), kernel_BK).transpose(1, 2)
    return blurred


def _kernels(std_B: Tensor, taps: int) -> Tensor:
    offsets = torch.arange(taps, device=std_B.device) - taps // 2
    weights = torch.exp(-0.5 * (offsets[None] / std_B[:, None]).square())
    return weights / weights.sum(dim=1, keepdim=True)


def _along_time(x_BCT: Tensor, kernel_BK: Tensor) -> Tensor:
    batch, channels, _ = x_BCT.shape
    taps = kernel_BK.shape[1]
    padded = F.pad(x_BCT, (taps // 2, taps - 1 - taps // 2), mode="replicate")
    kernels = kernel_BK.repeat_interleave(channels, dim=0)[:, None].to(x_BCT.dtype)
    return F.conv1d(padded.reshape(1, batch * channels, -1), kernels, groups=batch * channels).view(x_BCT.shape)
