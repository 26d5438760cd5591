"""What a stage adds noise to, made from its target, and back (`StageConfig.diffuses`).

The paper diffuses the target itself. A model that errs in proportion to the noise it removes then leaves noise under
all of it, also under what the condition already tells; the other two ways of putting the same target leave less.
Left and right are diffused as mid and side, of which the condition tells the mid alone.

B batch, C channels, T time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.model.config import StageConfig
from diffusion.process.level import local_level
from diffusion.process.whiten import colour, whiten

__all__ = ["from_diffused", "to_diffused"]


def to_diffused(target_BCT: Tensor, condition_BCT: Tensor | None, config: StageConfig) -> Tensor:
    """`condition_BCT` is clean and without gain: the lower waveform at the target's rate, or the mel."""
    if config.makes_mel:
        return target_BCT
    if config.stereo:
        target_BCT = torch.stack([target_BCT.mean(1), (target_BCT[:, 0] - target_BCT[:, 1]) / 2], 1)
    if condition_BCT is not None and config.diffuses == "residual":
        target_BCT = (target_BCT - _told(condition_BCT, config)) / _level(condition_BCT, config)
    elif condition_BCT is not None and config.mel and config.diffuses == "whitened":
        target_BCT = whiten(target_BCT[:, 0], condition_BCT, config.mel)[:, None]
    return config.signal_gain * target_BCT


def from_diffused(made_BCT: Tensor, condition_BCT: Tensor | None, config: StageConfig) -> Tensor:
    """The target that `to_diffused` would have made this of."""
    if config.makes_mel:
        return made_BCT
    made_BCT = made_BCT / config.signal_gain
    if condition_BCT is not None and config.diffuses == "residual":
        made_BCT = made_BCT * _level(condition_BCT, config) + _told(condition_BCT, config)
    if config.stereo:
        return torch.stack([made_BCT[:, 0] + made_BCT[:, 1], made_BCT[:, 0] - made_BCT[:, 1]], 1)
    if condition_BCT is not None and config.mel and config.diffuses == "whitened":
        return colour(made_BCT[:, 0], condition_BCT, config.mel)[:, None]
    return made_BCT


def _told(condition_BCT: Tensor, config: StageConfig) -> Tensor:
    """What the condition tells of the target: of mid and side, the mid."""
    return F.pad(condition_BCT, (0, 0, 0, 1)) if config.stereo else condition_BCT


def _level(condition_BCT: Tensor, config: StageConfig) -> Tensor | float:
    """A side lies in all bands, and is measured by all of the condition."""
    if config.level_band_hz is None:
        return 1.0
    level_BCT = local_level(condition_BCT, config.target_rate_hz, config.level_band_hz)
    if not config.stereo:
        return level_BCT
    side_BCT = local_level(condition_BCT, config.target_rate_hz, (0, config.target_rate_hz))
    return torch.cat([level_BCT, side_BCT], 1)
