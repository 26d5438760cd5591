"""What a model is worth at a step: the loss that it is trained by, and on held-out clips, whole and by noise level.

B batch, C channels, T time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from diffusion.data.batch import Batch
from diffusion.model.config import StageConfig
from diffusion.process.augment import add_noise
from diffusion.process.noise import noise_schedule

__all__ = ["LEAST_SIGMA", "LEVELS", "SaysNothing", "loss_of", "losses_by_level", "losses_of"]

LEVELS = 10
"""Bins of t, from 0 (clean) to 1 (noise)."""
LEAST_SIGMA = 0.3
"""Of a clean sample's error as one of the velocity, which is it over sigma: the last of the noise would be all."""


def loss_of(model: Callable[..., Tensor], batch: Batch, config: StageConfig, *, of_noise: bool = False) -> Tensor:
    """`losses_of`, averaged over samples."""
    return losses_of(model, batch, config, of_noise=of_noise).mean()


def losses_of(model: Callable[..., Tensor], batch: Batch, config: StageConfig, *, of_noise: bool = False) -> Tensor:
    """(B,) w_t |eps(x_t) - eps|^2, averaged over elements (PAPER eq. 1): 1 for a model that says nothing.

    Of a network that predicts the velocity, the error of that, and of one that predicts the clean sample, the same
    error, but that a sigma below .3 counts as .3; `of_noise` makes it that of the noise all the same.
    """
    schedule = noise_schedule(config.noise)
    alpha_B, sigma_B = schedule.alpha_sigma(batch.t_B)
    noisy_BCT = add_noise(batch.clean_BCT, batch.t_B, batch.noise_BCT, schedule)
    predicted_BCT = model(noisy_BCT, batch.t_B, **batch.conditions)
    wanted_BCT = batch.noise_BCT
    if config.predicts == "velocity":
        wanted_BCT = alpha_B[:, None, None] * batch.noise_BCT - sigma_B[:, None, None] * batch.clean_BCT
    if config.predicts == "clean":
        wanted_BCT = batch.clean_BCT
    loss_B = (predicted_BCT.float() - wanted_BCT).square().mean(dim=(1, 2))
    if config.predicts == "clean":
        loss_B = loss_B / sigma_B.clamp(min=LEAST_SIGMA).square()
    if of_noise and config.predicts != "noise":
        loss_B = loss_B * alpha_B.square()  # noise = sigma x_t + alpha v
    if config.loss_weight == "sigma2":
        loss_B = loss_B * sigma_B.square()
    return loss_B


def losses_by_level(model: Callable[..., Tensor], batch: Batch, config: StageConfig) -> list[float]:
    """Mean error of the noise in each tenth of t, unweighted: the same clips, noise and places in every tenth."""
    plain = config.model_copy(update={"loss_weight": "simple"})
    found = []
    for level in range(LEVELS):
        at = replace(batch, t_B=(level + batch.t_B) / LEVELS)
        with torch.no_grad():
            found.append(float(loss_of(model, at, plain, of_noise=True)))
    return found


class SaysNothing(nn.Module):
    """Zero, whatever it is asked; as a prediction of the noise, what every model has to beat."""

    def forward(self, x_BCT: Tensor, t_B: Tensor, **conditions: Tensor) -> Tensor:
        return torch.zeros_like(x_BCT)
