"""From noise to a clean sample: a solver, classifier-free guidance and dynamic clipping.

The sampler knows nothing but `model(x, t) -> noise`. B batch; any shape behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.model.config import SolverName
from diffusion.process.noise import NoiseSchedule
from diffusion.process.solvers import Grid, ancestral, solve

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
    walks: int = 1,
    solver: SolverName = "ancestral",
    clip: Callable[[Tensor], Tensor] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Denoise `x_1` (standard normal) from t = 1 to t = 0 and return the clean estimate.

    `times` ascend from 0 to 1. `gamma`, `walks` and `draw_noise` are for the ancestral steps; the other solvers draw
    nothing. `on_step` is told how often the model was asked: `solvers.calls` says how often it will be.
    """
    grid = Grid.of(times, schedule)
    asked = 0

    def predict(x: Tensor, n: int) -> Tensor:
        nonlocal asked
        t_B = torch.full((len(x),), float(times[n]), device=x.device)
        estimate = (x - grid.sigma[n] * model(x, t_B)) / grid.alpha[n]
        asked += 1
        if on_step is not None:
            on_step(asked)
        return estimate if clip is None else clip(estimate)

    if solver == "ancestral":
        return ancestral(predict, x_1, grid, draw_noise=draw_noise, gamma=gamma, walks=walks)
    return solve(solver, predict, x_1, grid)


def guided(
    pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    scale: float,
    *,
    plain: Denoiser | None = None,
    between: tuple[float, float] = (0.0, 1.0),
) -> Denoiser:
    """w eps(x, c) + (1 - w) eps(x): classifier-free guidance (PAPER 3.1). `pair` gives (with text, without).

    Outside of the times `between`, the prediction with text alone: `plain`.
    """

    def denoise(x: Tensor, t_B: Tensor) -> Tensor:
        if plain is not None and not between[0] <= float(t_B[0]) <= between[1]:
            return plain(x, t_B)
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
