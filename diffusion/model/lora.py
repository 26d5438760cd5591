"""Low-rank adaptation (arXiv 2106.09685) of the attention of a text-conditioned stage: W + up @ down, of which only up
and down are trained. Merged, it is a plain network again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from diffusion.model.unet import Attention, UNet

__all__ = ["add_lora", "merge_lora"]


class _LowRank(nn.Module):
    """At first the weight itself: `up` is zero."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.randn_like(weight[:1].expand(rank, columns)) / columns**0.5)
        self.up = nn.Parameter(torch.zeros_like(weight[:, :1].expand(rows, rank)))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def add_lora(model: UNet, rank: int) -> UNet:
    """Nothing but the new matrices of all attention layers asks for a gradient afterwards."""
    model.requires_grad_(False)
    for linear in _projections(model):
        parametrize.register_parametrization(linear, "weight", _LowRank(linear.weight, rank))
    return model


def merge_lora(model: UNet) -> UNet:
    """The same function without the extra matrices."""
    for linear in _projections(model):
        parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
    return model


def _projections(model: UNet) -> Iterator[nn.Linear]:
    for module in list(model.modules()):
        if isinstance(module, Attention):
            yield from (module.query, module.key_value, module.out)
