"""Ancestral sampling (PAPER eq. 4) with stochasticity gamma, classifier-free guidance and dynamic clipping.

The sampler knows nothing but `model(x, t) -> noise`. B batch; any shape behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.process.noise import NoiseSchedule

__all__ = ["Denoiser", "batch_noise", "clip_estimate", "guided", "sample"]

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""The predicted noise in `x` (B, ...) at time `t` (B,)."""


@torch.no_grad()
def sample(
    model: Denoiser,
    x_1: Tensor,
    times: NDArray[np.float64],
    schedule: NoiseSchedule,
    *,
    draw_noise: Callable[[], Tensor],
    gamma: float = 0.0,
    clip: Callable[[Tensor], Tensor] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Denoise `x_1` (standard normal) from t = 1 to t = 0 and return the clean estimate.

    `times` ascend from 0 to 1. Eq. 4 is used in the form of the posterior of x_s given x_t and the clean estimate
    x = (x_t - sigma_t eps) / alpha_t, which is the same for an unclipped x and defined for a clipped one:
    mean = e^(lambda_t - lambda_s) (alpha_s / alpha_t) x_t + (1 - e^(lambda_t - lambda_s)) alpha_s x.
    No noise is added at s = 0, where the estimate itself is the result (erratum 3).
    """
    # Step constants in float64: near t = 0 the front-heavy steps are 5e-5 long.
    grid = torch.as_tensor(times, dtype=torch.float64)
    log_snr = schedule.log_snr(grid)
    alpha, sigma = schedule.alpha_sigma(grid)
    x_t = x_1
    for n in range(len(times) - 1, 0, -1):
        t_B = torch.full((len(x_t),), float(times[n]), device=x_t.device)
        estimate = (x_t - float(sigma[n]) * model(x_t, t_B)) / float(alpha[n])
        if clip is not None:
            estimate = clip(estimate)
        if on_step is not None:
            on_step(len(times) - n)
        if n == 1:
            return estimate
        ratio = log_snr[n] - log_snr[n - 1]
        kept, gone = float(ratio.exp()), float(-torch.expm1(ratio))  # e^(lambda_t - lambda_s), and 1 minus it
        mean = (kept * float(alpha[n - 1] / alpha[n])) * x_t + (gone * float(alpha[n - 1])) * estimate
        small, large = gone**0.5 * float(sigma[n - 1]), gone**0.5 * float(sigma[n])
        x_t = mean + (small ** (1 - gamma) * large**gamma) * draw_noise()
    return x_t


def guided(pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], scale: float) -> Denoiser:
    """w eps(x, c) + (1 - w) eps(x): classifier-free guidance (PAPER 3.1). `pair` gives (with text, without)."""

    def denoise(x: Tensor, t_B: Tensor) -> Tensor:
        with_text, without_text = pair(x, t_B)
        return scale * with_text + (1 - scale) * without_text

    return denoise


def clip_estimate(
    kind: Literal["dynamic", "static", "none"], percentile: float, limit: float = 1.0
) -> Callable[[Tensor], Tensor] | None:
    """Keeps the clean estimate in [-limit, limit].

    `dynamic`: where the given percentile of a sample's |x| is above the limit, clip to that percentile and scale it
    back to the limit, so that guidance does not saturate (Imagen).
    """
    if kind == "none":
        return None
    if kind == "static":
        return lambda x: x.clamp(-limit, limit)

    def dynamic(x: Tensor) -> Tensor:
        magnitude = x.flatten(1).abs().float()
        rank = max(1, round(percentile * magnitude.shape[1]))
        bound_B = magnitude.kthvalue(rank, dim=1).values.clamp(min=limit)
        bound = bound_B.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return x.clamp(-bound, bound) * (limit / bound)

    return dynamic


def batch_noise(seeds: Sequence[int], shape: tuple[int, ...], device: torch.device | str) -> Callable[[], Tensor]:
    """Draws standard normal (B, *shape), each sample from a generator of its own: a clip does not depend on which
    others share its batch."""
    generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    def draw() -> Tensor:
        return torch.stack([torch.randn(shape, generator=g, device=device) for g in generators])

    return draw
