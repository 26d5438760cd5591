"""Progressive distillation (arXiv 2202.00512): a student learns to go in one step of DDIM where its teacher takes two.

In rounds of equal length the student's grid has half the steps of the one before, and the averaged student of a round
is the teacher of the next. Before them, a round takes in what the first teacher, a trained stage, has beside its
weights: its classifier-free guidance (arXiv 2210.03142, with one scale), so that the student is asked once a step, and
where it predicts the noise, the velocity in its place, whose error does not grow on the way to the clean estimate. The
grid is even in t. The learning rate and the average begin anew in each round, which ends at a rate of 0.

B batch, C channels, T time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from diffusion.data.batch import Batch
from diffusion.model.config import DistillConfig, StageConfig
from diffusion.process.augment import add_noise
from diffusion.process.noise import NoiseSchedule, noise_from, noise_schedule
from diffusion.process.sampler import clip_estimate
from diffusion.training.losses import LEAST_SIGMA

__all__ = ["Distillation", "Estimate", "student_stage", "two_steps_in_one"]

Estimate = Callable[[Tensor, Tensor], Tensor]
"""The clean estimate of x (B, C, T) at times (B,)."""


def student_stage(teacher: StageConfig, steps: int) -> StageConfig:
    """The same network, asked so many times and without guidance; a teacher of the noise makes one of the velocity."""
    sampling = {"solver": "ddim", "schedule": "uniform", "steps": steps, "guidance": 1.0, "gamma": 0.0, "walks": 1}
    predicts = "velocity" if teacher.predicts == "noise" else teacher.predicts
    return teacher.model_copy(update={"predicts": predicts, "sampling": teacher.sampling.model_copy(update=sampling)})


def two_steps_in_one(teacher: Estimate, x_t: Tensor, t_B: Tensor, step: float, schedule: NoiseSchedule) -> Tensor:
    """The clean estimate from which one step of DDIM, from t to t - step, ends where the teacher's two do.

    At t = 0 the sampler takes the estimate itself (erratum 3), and so does this.
    """
    middle_B = t_B - step / 2
    end_B = (t_B - step).clamp(min=0)
    estimate = teacher(x_t, t_B)
    x_s = _toward(x_t, estimate, t_B, middle_B, schedule)
    x_u = _toward(x_s, teacher(x_s, middle_B), middle_B, end_B, schedule)
    kept, new = _weights(t_B, end_B, schedule, x_t.ndim)
    return (x_u - kept * x_t) / new


class Distillation:
    """The teacher of the round, and the loss."""

    def __init__(
        self, teacher: nn.Module, teacher_stage: StageConfig, student: StageConfig, config: DistillConfig, steps: int
    ) -> None:
        """`steps`: of training, in all rounds together."""
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self._teacher_stage, self._student, self._config, self._steps = teacher_stage, student, config, steps
        self._schedule = noise_schedule(student.noise)
        self._clip = clip_estimate(student.sampling.clip, student.sampling.clip_percentile, student.clip_limit)
        self._round = 0

    def round_of(self, step: int) -> int:
        return self._config.round_at(step, self._steps)[0]

    def student_steps(self, step: int) -> int:
        return self._config.from_steps >> (self.round_of(step) + (not self._config.converts))

    def follow(self, step: int, averaged: Mapping[str, Tensor]) -> bool:
        """At the beginning of a round the averaged student becomes the teacher; says whether it did."""
        if self.round_of(step) == self._round:
            return False
        self.teacher.load_state_dict(averaged)
        self._round = self.round_of(step)
        return True

    def resume(self, step: int, teacher: Mapping[str, Tensor]) -> None:
        self.teacher.load_state_dict(teacher)
        self._round = self.round_of(step)

    def loss(self, model: Callable[..., Tensor], batch: Batch, step: int) -> Tensor:
        """|v - v~|^2, averaged: the error of the clean estimate with weight 1 + SNR, which a student that predicts the
        clean sample has as in `losses_of`."""
        count = self.student_steps(step)
        t_B = (torch.floor(batch.t_B * count).clamp(max=count - 1) + 1) / count
        x_t = add_noise(batch.clean_BCT, t_B, batch.noise_BCT, self._schedule)
        with torch.no_grad():
            teacher = self._estimate(batch.conditions)
            if self._config.converts and self._round == 0:
                clean = teacher(x_t, t_B)
            else:
                clean = two_steps_in_one(teacher, x_t, t_B, 1 / count, self._schedule)
        alpha, sigma = (z.view(-1, 1, 1) for z in self._schedule.alpha_sigma(t_B))
        wanted = (alpha * x_t - clean) / sigma  # v = alpha eps - sigma x, with x_t = alpha x + sigma eps
        given = model(x_t, t_B, **batch.conditions).float()
        if self._student.predicts == "clean":
            return ((given - clean) / sigma.clamp(min=LEAST_SIGMA)).square().mean()
        return (given - wanted).square().mean()

    def _estimate(self, conditions: Mapping[str, Any]) -> Estimate:
        first = self._round == 0
        predicts = self._teacher_stage.predicts if first else self._student.predicts
        scale = (self._config.guidance or 1.0) if first and "text_BLW" in conditions else 1.0
        between = self._student.sampling.guided_from, self._student.sampling.guided_to
        without = {name: value for name, value in conditions.items() if not name.startswith("text_")}

        def noise(x: Tensor, t_B: Tensor, given: Mapping[str, Any]) -> Tensor:
            predicted = self.teacher(x, t_B, **given).float()
            return noise_from(predicts, x, predicted, t_B, self._schedule)

        def denoise(x: Tensor, t_B: Tensor) -> Tensor:
            told = noise(x, t_B, conditions)
            if scale == 1:
                return told
            led_B = (t_B >= between[0]) & (t_B <= between[1])
            scale_B = torch.where(led_B, scale, 1.0).view(-1, 1, 1)
            return scale_B * told + (1 - scale_B) * noise(x, t_B, without)

        def estimate(x: Tensor, t_B: Tensor) -> Tensor:
            alpha, sigma = (z.view(-1, 1, 1) for z in self._schedule.alpha_sigma(t_B))
            clean = (x - sigma * denoise(x, t_B)) / alpha
            return clean if self._clip is None else self._clip(clean)

        return estimate


def _toward(x_t: Tensor, estimate: Tensor, t_B: Tensor, s_B: Tensor, schedule: NoiseSchedule) -> Tensor:
    kept, new = _weights(t_B, s_B, schedule, x_t.ndim)
    return kept * x_t + new * estimate


def _weights(t_B: Tensor, s_B: Tensor, schedule: NoiseSchedule, dimensions: int) -> tuple[Tensor, Tensor]:
    """Of x_t and of the estimate in a step of DDIM from t to s; at s = 0 the estimate alone."""
    alpha_t, sigma_t = schedule.alpha_sigma(t_B.double())
    alpha_s, sigma_s = schedule.alpha_sigma(s_B.double())
    ratio = torch.where(s_B < 1e-9, torch.zeros_like(sigma_s), sigma_s / sigma_t)
    new = torch.where(s_B < 1e-9, torch.ones_like(alpha_s), alpha_s - ratio * alpha_t)
    shape = (-1, *[1] * (dimensions - 1))
    return ratio.float().view(shape), new.float().view(shape)
