"""Denoising step schedules: the paper's Table 8 by name, and any list of step sizes.

A schedule is the step sizes delta_1 ... delta_N from t = 0 upwards; the times are their running sums. Front-heavy
means many small steps near t = 0, the clean end (erratum 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from diffusion.model.config import SamplingConfig, StageName
from diffusion.process.noise import NoiseSchedule
from pipeline.errors import BadInput

__all__ = ["EVEN", "TABLE_8", "sampling_times", "step_sizes", "step_times", "times_until"]

EVEN = "even_log_snr"
"""Times evenly apart in lambda_t, which is where solvers of the ODE err least (arXiv 2206.00927, appendix)."""
_EVEN_STEPS = 50

_GENERATOR_FRONT = ((0.01, 200), (0.04, 400), (0.15, 200), (0.3, 150), (0.5, 50))
_CASCADER_FRONT = ((0.05, 400), (0.15, 200), (0.3, 150), (0.5, 50))
_VOCODER_FRONT = ((0.05, 50), (0.15, 30), (0.3, 15), (0.5, 5))
_SPECTROGRAM_FRONT = tuple((total, 2 * count) for total, count in _GENERATOR_FRONT)
_SPECTROGRAM_EVAL = ((0.3, 50), (0.3, 150), (0.2, 300), (0.2, 500))

_Pieces = tuple[tuple[float, int], ...]


def _three(front: _Pieces, uniform_steps: int) -> dict[str, _Pieces]:
    return {"front_heavy": front, "back_heavy": front[::-1], "uniform": ((1.0, uniform_steps),)}


TABLE_8: dict[StageName, dict[str, _Pieces]] = {
    "waveform-generator": _three(_GENERATOR_FRONT, 1000),
    "waveform-cascader": _three(_CASCADER_FRONT, 800),
    "spectrogram-generator": {**_three(_SPECTROGRAM_FRONT, 1000), "back_heavy_eval": _SPECTROGRAM_EVAL},
    "spectrogram-vocoder": _three(_VOCODER_FRONT, 100),
    "super-resolution": _three(_CASCADER_FRONT, 800),
}
"""Pieces (sum of the step sizes, number of equal steps), from t = 0 upwards."""


def step_sizes(stage: StageName, schedule: str | Sequence[float]) -> NDArray[np.float64]:
    """delta_1 ... delta_N of a named schedule, or of a list that the user gives."""
    if isinstance(schedule, str):
        if schedule not in TABLE_8[stage]:
            raise BadInput(
                f"no step schedule {schedule!r} for {stage}; there are: {', '.join([*TABLE_8[stage], EVEN])}"
            )
        pieces = TABLE_8[stage][schedule]
        return np.concatenate([np.full(count, total / count) for total, count in pieces])
    sizes = np.asarray(schedule, dtype=np.float64)
    if sizes.ndim != 1 or not len(sizes) or not np.all(np.isfinite(sizes)) or np.any(sizes <= 0):
        raise BadInput("a step schedule is a list of positive step sizes, from t = 0 upwards")
    if abs(sizes.sum() - 1) > 1e-6:
        raise BadInput(f"the step sizes add up to {sizes.sum():.8g}; they must add up to 1")
    return sizes


def sampling_times(stage: StageName, settings: SamplingConfig, noise: NoiseSchedule) -> NDArray[np.float64]:
    """The grid that a stage is sampled on, from t_0 = 0 to t_N = 1, or to where it begins."""
    if settings.schedule == EVEN:
        return times_until(settings.begins_at, _even_times(noise, settings.steps or _EVEN_STEPS))
    return times_until(settings.begins_at, step_times(stage, settings.schedule, settings.steps))


def times_until(last: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times below `last`, and it."""
    return np.append(times[times < last], last)


def step_times(stage: StageName, schedule: str | Sequence[float], steps: int | None = None) -> NDArray[np.float64]:
    """t_0 = 0 < ... < t_N = 1, with the last pinned (erratum 4).

    With `steps` the same curve is walked in so many steps: sizes grow as their number shrinks (PAPER 4.6).
    """
    if steps is not None and steps < 1:
        raise BadInput(f"{steps} sampling steps; at least 1 is needed")
    times = np.concatenate([[0.0], np.cumsum(step_sizes(stage, schedule))])
    times[-1] = 1.0
    if steps is None or steps == len(times) - 1:
        return times
    return np.interp(np.linspace(0, len(times) - 1, steps + 1), np.arange(len(times)), times)


def _even_times(noise: NoiseSchedule, steps: int) -> NDArray[np.float64]:
    """By interpolation between a hundred thousand times, far below a solver's own error."""
    t = np.linspace(0.0, 1.0, 100_001)
    log_snr = noise.log_snr(torch.as_tensor(t, dtype=torch.float64)).numpy()
    times = np.interp(np.linspace(-log_snr[0], -log_snr[-1], steps + 1), -log_snr, t)
    times[0], times[-1] = 0.0, 1.0
    return times
