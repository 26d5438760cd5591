"""Noise schedules in continuous time: x_t = alpha_t x + sigma_t eps, t from 0 (clean) to 1 (noise) (PAPER eq. 2 to 6).

Everything derives from lambda_t = ln(alpha_t^2 / sigma_t^2), which each schedule gives without cancellation, so that
float32 is enough at both ends.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.model.config import Predicts
from pipeline.errors import BadInput

__all__ = [
    "NOISE_SCHEDULES",
    "Cosine",
    "Linear",
    "LinearAsPrinted",
    "NoiseSchedule",
    "noise_from",
    "noise_schedule",
]


class NoiseSchedule(Protocol):
    """All a sampler or a loss needs to know."""

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda_t, falling in t."""
        ...

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]: ...


class _FromLogSnr:
    def log_snr(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha^2 = sigmoid(lambda), sigma^2 = sigmoid(-lambda)."""
        log_snr = self.log_snr(t)
        return torch.exp(0.5 * F.logsigmoid(log_snr)), torch.exp(0.5 * F.logsigmoid(-log_snr))


class Cosine(_FromLogSnr):
    """alpha_t = cos(a t + b) with lambda from 20 to -20 (eq. 6)."""

    _B = math.atan(math.exp(-10.0))
    _A = math.pi / 2 - 2 * _B  # arctan e^10 = pi/2 - arctan e^-10

    def log_snr(self, t: Tensor) -> Tensor:
        """-2 ln tan(a t + b); beyond the middle by lambda_t = -lambda_(1-t), where tan would lose its digits."""
        early = t <= 0.5
        angle = self._A * torch.where(early, t, 1 - t) + self._B
        value = -2 * torch.log(torch.tan(angle))
        return torch.where(early, value, -value)


class Linear(_FromLogSnr):
    """DDPM's betas, 1e-4 to 0.02 in 1000 steps, as sigma_t^2 = 1 - exp(-(1e-4 + 0.1 t + 9.95 t^2)) (erratum 1)."""

    def log_snr(self, t: Tensor) -> Tensor:
        return -torch.log(torch.expm1(1e-4 + 0.1 * t + 9.95 * t * t))


class LinearAsPrinted(_FromLogSnr):
    """sigma_t^2 linear from 0.0001 to 0.02, eq. 5 to the letter: x_1 is almost clean, so it cannot generate."""

    def log_snr(self, t: Tensor) -> Tensor:
        variance = (0.02 - 1e-4) * t + 1e-4
        return torch.log1p(-variance) - torch.log(variance)


NOISE_SCHEDULES: dict[str, NoiseSchedule] = {
    "cosine": Cosine(),
    "linear": Linear(),
    "linear_as_printed": LinearAsPrinted(),
}


def noise_from(predicts: Predicts, x_t: Tensor, given: Tensor, t_B: Tensor, schedule: NoiseSchedule) -> Tensor:
    """The noise in `x_t`, from what a network gives: sigma_t x_t + alpha_t v, for v = alpha_t eps - sigma_t x; or
    (x_t - alpha_t x) / sigma_t, for the clean sample x."""
    if predicts == "noise":
        return given
    alpha, sigma = (value.view(-1, *[1] * (x_t.ndim - 1)) for value in schedule.alpha_sigma(t_B))
    return sigma * x_t + alpha * given if predicts == "velocity" else (x_t - alpha * given) / sigma


def noise_schedule(name: str) -> NoiseSchedule:
    if name not in NOISE_SCHEDULES:
        raise BadInput(f"no noise schedule {name!r}; there are: {', '.join(NOISE_SCHEDULES)}")
    return NOISE_SCHEDULES[name]
