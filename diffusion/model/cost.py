"""What a model costs before it exists: parameters, operations and memory, counted on the meta device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion.model.config import StageConfig
from diffusion.model.unet import UNet

__all__ = ["StageCost", "count_parameters", "stage_cost"]

_FIXED_BYTES_PER_PARAMETER = 20
"""fp32: weight 4, gradient 4, Adam's two moments 8, EMA 4."""


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Of training one stage in bf16 autocast."""

    parameters: int
    forward_tflop: float
    """Multiply and add counted as two, of one training sample."""
    train_tflop: float
    """Forward and backward, without recomputation."""
    fixed_gib: float
    """Weights, gradients, optimizer, EMA, and the bf16 copy of the weights that autocast keeps."""
    activations_gib: float
    """Kept for the backward pass, one sample, without gradient checkpointing."""
    checkpointed_gib: float
    """The same with it: the levels' inputs, and the largest level's own activations."""


def count_parameters(config: StageConfig) -> int:
    with torch.device("meta"):
        model = UNet(config.unet)
    return sum(p.numel() for p in model.parameters())


def stage_cost(config: StageConfig) -> StageCost:
    """Counted by running the forward and backward pass of one sample on shapes alone."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = UNet(config.unet).to(torch.bfloat16)
        inputs = _inputs(config)
        with FlopCounterMode(display=False) as forward:
            model(**inputs)
        with FlopCounterMode(display=False) as whole:
            model(**inputs).sum().backward()
        kept = _SavedBytes()
        with kept:
            model(**inputs)
        levels = [_LevelBytes(level) for level in [*model.down, *model.up]]
        model(**inputs)
    parameters = sum(p.numel() for p in model.parameters())
    return StageCost(
        parameters=parameters,
        forward_tflop=forward.get_total_flops() / 1e12,
        train_tflop=whole.get_total_flops() / 1e12,
        fixed_gib=parameters * (_FIXED_BYTES_PER_PARAMETER + 2) / 2**30,
        activations_gib=kept.total / 2**30,
        checkpointed_gib=(sum(level.input_bytes for level in levels) + max(level.saved.total for level in levels))
        / 2**30,
    )


class _SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts the distinct storages that autograd saves while it is entered, parameters left out."""

    def __init__(self) -> None:
        super().__init__(self._pack, lambda tensor: tensor)
        self._storages: dict[int, torch.UntypedStorage] = {}

    def _pack(self, tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            self._storages[storage._cdata] = storage
        return tensor

    @property
    def total(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())


class _LevelBytes:
    """What one level takes in, and what it keeps, at the next forward pass."""

    def __init__(self, level: nn.Module) -> None:
        self.input_bytes = 0
        self.saved = _SavedBytes()
        level.register_forward_pre_hook(self._enter)
        level.register_forward_hook(self._leave)

    def _enter(self, level: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.input_bytes = args[0].numel() * args[0].element_size()
        self.saved.__enter__()

    def _leave(self, level: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self.saved.__exit__()


def _inputs(config: StageConfig) -> dict[str, Tensor]:
    unet, length = config.unet, config.length(config.train_s)
    inputs = {"x_BCT": torch.empty(1, unet.signal_channels, length)}
    if unet.stacked_channels:
        inputs["stacked_BCT"] = torch.empty(1, unet.stacked_channels, length)
    if unet.aligned_channels:
        inputs["aligned_BCT"] = torch.empty(1, unet.aligned_channels, length // unet.compression)
    if unet.text_width:
        inputs["text_BLW"] = torch.empty(1, config.token_limit, unet.text_width)
    return {**{name: value.to(torch.bfloat16) for name, value in inputs.items()}, "t_B": torch.empty(1)}
