"""Stages and runs that train in a second."""

from __future__ import annotations

from typing import Any

from diffusion.model.config import StageConfig, StageName, TrainConfig
from diffusion.training.runs import tiny

__all__ = ["small_run", "small_stage"]

_WIDTH = 16
"""Of the text tower of `tests.tiny_clap`."""


def small_stage(stage: StageName, *, crop_s: float = 0.4, **changes: Any) -> StageConfig:
    config = tiny(stage).stage
    unet = {
        **config.unet.model_dump(),
        "base": 8,
        "groups": 4,
        "heads": 2,
        "text_width": _WIDTH if config.uses_text else 0,
    }
    unet["blocks"] = [1] * len(unet["strides"])
    sampling = {**config.sampling.model_dump(), "steps": 4}
    return StageConfig.model_validate(
        {**config.model_dump(), "unet": unet, "sampling": sampling, "crop_s": crop_s, "clip_s": 0.8, **changes}
    )


def small_run(stage: StageName, encoder: str, **changes: Any) -> TrainConfig:
    settings = {
        "stage": small_stage(stage),
        "text_encoder": encoder,
        "total_steps": 8,
        "global_batch": 4,
        "device_batch": 4,
        "checkpoint_every": 3,
        "keep_checkpoints": 2,
        "warmup_steps": 2,
        "loader_threads": 2,
        "log_every": 100,
    }
    return tiny(stage).with_changes(**{**settings, **changes})
