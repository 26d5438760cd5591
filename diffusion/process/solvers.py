"""Ways from t = 1 to t = 0 on a grid of times: the paper's ancestral steps, and solvers of the probability-flow ODE.

All know nothing but `predict(x, n)`, the clean estimate of `x` at the grid's n-th time, and the grid. With
l = ln(alpha / sigma), which is lambda / 2, and h = l_s - l_t > 0 for a step from t to s < t, the ODE's exact solution
for a constant estimate is x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) x (DPM-Solver++, arXiv 2211.01095, eq. 9).
The last step ends at the estimate itself in all of them (erratum 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.model.config import SolverName
from diffusion.process.noise import NoiseSchedule

__all__ = ["SOLVERS", "Grid", "Predict", "ancestral", "calls", "solve"]

Predict = Callable[[Tensor, int], Tensor]
"""The clean estimate of x (B, ...) at the n-th time of the grid."""
SOLVERS: tuple[SolverName, ...] = get_args(SolverName)


@dataclass(frozen=True)
class Grid:
    """alpha, sigma and l = ln(alpha / sigma) at each of N + 1 times, from t = 0 upwards, in float64."""

    alpha: Sequence[float]
    sigma: Sequence[float]
    half_log_snr: Sequence[float]

    @classmethod
    def of(cls, times: NDArray[np.float64], schedule: NoiseSchedule) -> Grid:
        """Float64: near t = 0 the front-heavy steps are 5e-5 long."""
        t = torch.as_tensor(times, dtype=torch.float64)
        alpha, sigma = schedule.alpha_sigma(t)
        return cls(alpha.tolist(), sigma.tolist(), (schedule.log_snr(t) / 2).tolist())

    @property
    def steps(self) -> int:
        return len(self.alpha) - 1

    def width(self, n: int) -> float:
        """h of the step from the n-th time to the one below it."""
        return self.half_log_snr[n - 1] - self.half_log_snr[n]

    def toward(self, x_t: Tensor, estimate: Tensor, n: int) -> Tensor:
        """From the n-th time to the one below it, exactly where the estimate stays what it is."""
        gone = -math.expm1(-self.width(n))
        return (self.sigma[n - 1] / self.sigma[n]) * x_t + (self.alpha[n - 1] * gone) * estimate


def calls(solver: SolverName, steps: int, walks: int = 1) -> int:
    """How often the model is asked on a grid of so many steps."""
    return 1 + (steps - 1) * {"heun": 2, "ancestral": walks}.get(solver, 1)


def solve(solver: SolverName, predict: Predict, x_1: Tensor, grid: Grid) -> Tensor:
    """The deterministic solvers by name."""
    return {"ddim": _ddim, "dpm++2m": _dpm_solver_2m, "heun": _heun, "unipc": _unipc}[solver](predict, x_1, grid)


def ancestral(
    predict: Predict, x_1: Tensor, grid: Grid, *, draw_noise: Callable[[], Tensor], gamma: float, walks: int = 1
) -> Tensor:
    """PAPER eq. 4 as the posterior of x_s given x_t and the clean estimate: the same for an unclipped estimate, and
    defined for a clipped one. mean = e^(lambda_t - lambda_s) (alpha_s / alpha_t) x_t + (1 - e^(...)) alpha_s x.

    walks: each step is taken so often, with the noise that it took off put on again in between: what is free then
    follows what an estimate holds fast (RePaint, arXiv 2201.09865, algorithm 1).
    """
    x = x_1
    for n in range(grid.steps, 1, -1):
        ratio = 2 * (grid.half_log_snr[n] - grid.half_log_snr[n - 1])
        kept, gone = math.exp(ratio), -math.expm1(ratio)  # e^(lambda_t - lambda_s), and 1 minus it
        small, large = gone**0.5 * grid.sigma[n - 1], gone**0.5 * grid.sigma[n]
        for walk in range(walks):
            if walk:  # from s back to t
                x = (grid.alpha[n] / grid.alpha[n - 1]) * x + large * draw_noise()
            estimate = predict(x, n)
            mean = (kept * grid.alpha[n - 1] / grid.alpha[n]) * x + (gone * grid.alpha[n - 1]) * estimate
            x = mean + (small ** (1 - gamma) * large**gamma) * draw_noise()
    return predict(x, 1)


def _ddim(predict: Predict, x_1: Tensor, grid: Grid) -> Tensor:
    """First order (arXiv 2010.02502): each estimate is held for its step."""
    x = x_1
    for n in range(grid.steps, 1, -1):
        x = grid.toward(x, predict(x, n), n)
    return predict(x, 1)


def _dpm_solver_2m(predict: Predict, x_1: Tensor, grid: Grid) -> Tensor:
    """DPM-Solver++(2M), second order, multistep (arXiv 2211.01095, algorithm 2): one call a step."""
    x = x_1
    before: Tensor | None = None
    for n in range(grid.steps, 1, -1):
        estimate = predict(x, n)
        ahead = estimate
        if before is not None:
            ratio = (grid.half_log_snr[n] - grid.half_log_snr[n + 1]) / (
                grid.half_log_snr[n - 1] - grid.half_log_snr[n]
            )
            ahead = estimate + (estimate - before) / (2 * ratio)
        x, before = grid.toward(x, ahead, n), estimate
    return predict(x, 1)


def _heun(predict: Predict, x_1: Tensor, grid: Grid) -> Tensor:
    """Second order, two calls a step but the last (arXiv 2206.00364, algorithm 1, without churn).

    Along x / alpha against sigma / alpha, where the ODE is d(x / alpha) = eps d(sigma / alpha).
    """
    x = x_1
    for n in range(grid.steps, 1, -1):
        step = grid.sigma[n - 1] / grid.alpha[n - 1] - grid.sigma[n] / grid.alpha[n]
        slope = (x - grid.alpha[n] * predict(x, n)) / grid.sigma[n]
        guess = grid.alpha[n - 1] * (x / grid.alpha[n] + step * slope)
        other = (guess - grid.alpha[n - 1] * predict(guess, n - 1)) / grid.sigma[n - 1]
        x = grid.alpha[n - 1] * (x / grid.alpha[n] + step * (slope + other) / 2)
    return predict(x, 1)


def _unipc(predict: Predict, x_1: Tensor, grid: Grid) -> Tensor:
    """UniPC-2 with B(h) = e^h - 1 (arXiv 2302.04867, algorithms 1 and 2): each new estimate first corrects the point
    that it was asked at, then predicts the next; one call a step."""
    x, estimate = x_1, predict(x_1, grid.steps)
    before: Tensor | None = None
    for n in range(grid.steps, 1, -1):
        h = grid.width(n)
        gone = math.expm1(-h)  # B(h) for estimates of the data
        held, scale = grid.toward(x, estimate, n), -grid.alpha[n - 1] * gone
        if before is None:
            new = predict(held, n - 1)
            x = held + scale * 0.5 * (new - estimate)
        else:
            r = -grid.width(n + 1) / h
            slope = (before - estimate) / r
            new = predict(held + scale * 0.5 * slope, n - 1)
            # rho solves sum_m r_m^(k-1) rho_m = phi_k k! / B(h), with r_m = r, 1 for the old and the new estimate.
            first = (gone / -h - 1) / gone
            second = 2 * ((gone / -h - 1) / -h - 0.5) / gone
            rho = (first - second) / (1 - r)
            x = held + scale * (rho * slope + (first - rho) * (new - estimate))
        before, estimate = estimate, new
    return estimate
