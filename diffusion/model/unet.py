"""The 1-D Efficient U-Net (PAPER, "The block"; paper's figures 1 and 5, appendix B).

B batch, T time, C channels, E time embedding, L text tokens, W text width. Activations are kept as (B, T, C), channels
last: linear layers and attention read them without a copy, and cuDNN takes its tensor-core kernels for a (B, C, T)
view with these strides.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diffusion.model.unet_config import UNetConfig

__all__ = ["Attention", "UNet"]


class UNet(nn.Module):
    """Predicts the noise in `x`. Any length in, the same length out."""

    def __init__(self, config: UNetConfig, *, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = gradient_checkpointing
        widths = (config.base, *config.channels)
        self.entry = _Convolution(config.signal_channels + config.stacked_channels, config.base, 3, padding=1)
        self.time_embedding = nn.Linear(config.base, config.base)
        self.augmentation_embedding = nn.Linear(config.base, config.base) if config.augmentation_embedding else None
        self.text_norm = nn.LayerNorm(config.text_width) if config.text_width else None
        self.text_pooled = nn.Linear(config.text_width, config.base) if config.text_pooled else None
        self.aligned = nn.Linear(config.aligned_channels, widths[-1]) if config.aligned_channels else None
        self.down = nn.ModuleList(_Down(config, i, widths[i], widths[i + 1]) for i in range(config.depth))
        self.up = nn.ModuleList(_Up(config, i, widths[i + 1], widths[i]) for i in reversed(range(config.depth)))
        self.exit = _Convolution(config.base, config.signal_channels, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(cast(Tensor, self.exit.bias))

    def forward(
        self,
        x_BCT: Tensor,
        t_B: Tensor,
        *,
        stacked_BCT: Tensor | None = None,
        aligned_BCT: Tensor | None = None,
        text_BLW: Tensor | None = None,
        text_mask_BL: Tensor | None = None,
        keep_text_B: Tensor | None = None,
        augmentation_t_B: Tensor | None = None,
        guidance_pair: bool = False,
    ) -> Tensor:
        """The noise in `x_BCT` at time `t_B` in [0, 1].

        Where `keep_text_B` is false the output of every cross-attention layer is zero (PAPER 4.1), and so is the pooled
        text; without text it is zero for all. `augmentation_t_B` is the time of the condition's own noise, 0 when there
        is none.

        With `guidance_pair` the result is (2B, C, T): with text, then without. What comes before the first
        cross-attention is the same for both and computed once.
        """
        length = x_BCT.shape[-1]
        x_BCT = x_BCT if stacked_BCT is None else torch.cat([x_BCT, stacked_BCT], dim=1)
        missing = self.config.padded(length) - length
        dtype = self.time_embedding.weight.dtype
        x_BTC = self.entry(F.pad(x_BCT, (0, missing)).transpose(1, 2).to(dtype)).contiguous()

        embedding_BE = self.time_embedding(_positions(t_B * self.config.time_scale, self.config.base).to(dtype))
        if self.augmentation_embedding is not None:
            level_B = torch.zeros_like(t_B) if augmentation_t_B is None else augmentation_t_B
            positions_BE = _positions(level_B * self.config.time_scale, self.config.base)
            embedding_BE = embedding_BE + self.augmentation_embedding(positions_BE.to(dtype))

        text, mask = None, None
        if self.text_norm is not None and text_BLW is not None:
            text = self.text_norm(text_BLW.to(dtype))
            mask = None if text_mask_BL is None else text_mask_BL[:, None, None, :].bool()
        keep_B11 = None if keep_text_B is None else keep_text_B[:, None, None].to(x_BTC.dtype)
        silent_BE = F.silu(embedding_BE)
        if self.text_pooled is not None and text is not None:
            pooled_BE = self.text_pooled(_mean_of_tokens(text, text_mask_BL))
            embedding_BE = embedding_BE + (pooled_BE if keep_B11 is None else pooled_BE * keep_B11[:, :, 0])
        embedding_BE = F.silu(embedding_BE)

        bottom_BTC = None
        if self.aligned is not None and aligned_BCT is not None:
            short = x_BTC.shape[1] // self.config.compression - aligned_BCT.shape[-1]
            bottom_BTC = self.aligned(F.pad(aligned_BCT, (0, max(short, 0))).transpose(1, 2).to(dtype))

        before = self.config.aligned_joins == "before_bottom_blocks"
        pair_at = -1
        if guidance_pair and text is not None:
            pair_at = self.config.cross_attention.index(True) if self.text_pooled is None else 0
        skips = [x_BTC]
        for i, down in enumerate(self.down):
            if i == pair_at:
                keep_B11 = torch.ones(len(x_BTC), 1, 1, dtype=x_BTC.dtype, device=x_BTC.device)
                keep_B11 = torch.cat([keep_B11, torch.zeros_like(keep_B11)])
                embedding_BE = torch.cat([embedding_BE, silent_BE])
                x_BTC, text, mask, bottom_BTC = _twice(x_BTC, text, mask, bottom_BTC)
                skips = [skip.repeat(2, 1, 1) for skip in skips]
            add = bottom_BTC if before and i == self.config.depth - 1 else None
            x_BTC = self._run(down, x_BTC, embedding_BE, add, text, mask, keep_B11)
            skips.append(x_BTC)
        x_BTC = skips.pop()
        if bottom_BTC is not None and not before:
            x_BTC = x_BTC + bottom_BTC
        for up in self.up:
            x_BTC = self._run(up, x_BTC, embedding_BE, skips.pop(), text, mask, keep_B11)
        noise_BTC = self.exit(x_BTC)
        return noise_BTC.transpose(1, 2)[..., :length]

    def compile_blocks(self, **options: Any) -> UNet:
        """torch.compile, a block at a time: blocks of the same shape share their code, which is made once, and what is
        wrapped around the model does not matter."""
        import torch._dynamo  # seconds to import

        for name in ("recompile_limit", "cache_size_limit"):  # every depth is another shape of the same code
            if hasattr(torch._dynamo.config, name):
                setattr(torch._dynamo.config, name, 64)
        for module in self.modules():
            if isinstance(module, _Block):
                module.compile(**{"dynamic": False, **options})
        return self

    def weights_channels_last(self) -> UNet:
        """Kernels of convolutions laid out as the activations are, which cuDNN would else do at each call. Shapes and
        values stay, and so do checkpoints. For a GPU, and before an optimizer takes the parameters."""
        for module in self.modules():
            if isinstance(module, _Convolution | _TransposedConvolution):
                module.weight.data = module.weight.data.transpose(1, 2).contiguous().transpose(1, 2)
        return self

    def _run(self, level: nn.Module, *args: Tensor | None) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return cast(Tensor, checkpoint(level, *args, use_reentrant=False))
        return cast(Tensor, level(*args))


class _Down(nn.Module):
    """A strided convolution, then depth I's blocks at its width C_I."""

    def __init__(self, config: UNetConfig, i: int, width_in: int, width: int) -> None:
        super().__init__()
        self.sample = _Convolution(
            width_in, width, config.kernel, stride=config.strides[i], padding=(config.kernel - 1) // 2
        )
        self.blocks = nn.ModuleList(_Block(config, i, width) for _ in range(config.blocks[i]))

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        aligned: Tensor | None,
        text: Tensor | None,
        mask: Tensor | None,
        keep: Tensor | None,
    ) -> Tensor:
        x = self.sample(x)
        if aligned is not None:
            x = x + aligned
        for block in self.blocks:
            x = block(x, embedding, text, mask, keep)
        return x


class _Up(nn.Module):
    """A transposed convolution to C_(I-1), the sum with the down path, and that level's blocks."""

    def __init__(self, config: UNetConfig, i: int, width_in: int, width: int) -> None:
        super().__init__()
        stride = config.strides[i]
        kernel = config.up_kernel_factor * stride
        excess = kernel - stride  # what the transposed convolution makes too much, to be taken off
        self.sample = _TransposedConvolution(
            width_in, width, kernel, stride=stride, padding=(excess + 1) // 2, output_padding=excess % 2
        )
        self.leaving = config.up_blocks == "leaving"
        self.skip_first = config.skip_joins == "block_input"
        level = i if self.leaving else max(i - 1, 0)
        self.blocks = nn.ModuleList(
            _Block(config, level, width_in if self.leaving else width) for _ in range(config.blocks[level])
        )

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        skip: Tensor,
        text: Tensor | None,
        mask: Tensor | None,
        keep: Tensor | None,
    ) -> Tensor:
        if self.leaving:
            for block in self.blocks:
                x = block(x, embedding, text, mask, keep)
            return self.sample(x) + skip
        x = self.sample(x)
        if self.skip_first:
            x = x + skip
        for block in self.blocks:
            x = block(x, embedding, text, mask, keep)
        return x if self.skip_first else x + skip


class _Block(nn.Module):
    """Combine, twice (norm, swish, convolution) beside a linear residual branch, then attention where depth has it."""

    def __init__(self, config: UNetConfig, i: int, width: int) -> None:
        super().__init__()
        self.combine = nn.Linear(config.base, 2 * width)
        pad = (config.kernel - 1) // 2
        self.norm_1, self.norm_2 = _GroupNorm(width, config.groups), _GroupNorm(width, config.groups)
        self.conv_1 = _Convolution(width, width, config.kernel, padding=pad)
        self.conv_2 = _Convolution(width, width, config.kernel, padding=pad)
        self.residual = nn.Linear(width, width)
        attends = {"width": width, "heads": config.heads, "inner": config.attention_width or width}
        factor = config.feed_forward_factor
        self.self_attention = Attention(source=width, **attends) if config.self_attention[i] else None
        self.self_feed_forward = _FeedForward(width, factor) if config.self_attention[i] else None
        self.cross_attention = Attention(source=config.text_width, **attends) if config.cross_attention[i] else None
        self.cross_feed_forward = _FeedForward(width, factor) if config.cross_attention[i] else None
        with torch.no_grad():  # each residual branch starts small, so that depth does not blow up the first steps
            self.residual.weight.copy_(torch.eye(width))
            self.residual.bias.zero_()
            self.conv_2.weight.mul_(0.1)

    def forward(
        self, x: Tensor, embedding: Tensor, text: Tensor | None, mask: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        scale, bias = self.combine(embedding)[:, None, :].chunk(2, dim=-1)
        x = x * (1 + scale) + bias
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.conv_2(F.silu(self.norm_2(h)))
        x = self.residual(x) + h
        if self.self_attention is not None and self.self_feed_forward is not None:
            x = x + self.self_attention(x, None, None)
            x = x + self.self_feed_forward(x)
        if self.cross_attention is not None and self.cross_feed_forward is not None:
            if text is not None:
                attended = self.cross_attention(x, text, mask)
                x = x + (attended if keep is None else attended * keep)
            x = x + self.cross_feed_forward(x)
        return x


class Attention(nn.Module):
    """Multi-head attention of `x` to `source`, or to itself."""

    def __init__(self, *, width: int, source: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(source, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width)

    def forward(self, x_BTC: Tensor, source_BLW: Tensor | None, mask: Tensor | None) -> Tensor:
        x_BTC = self.norm(x_BTC)
        key, value = self.key_value(x_BTC if source_BLW is None else source_BLW).chunk(2, dim=-1)
        query, key, value = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in (self.query(x_BTC), key, value))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return cast(Tensor, self.out(attended.transpose(1, 2).flatten(2)))


class _FeedForward(nn.Sequential):
    """The post-attention layer: hidden width 2C."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, factor * width), nn.SiLU(), nn.Linear(factor * width, width)
        )


class _GroupNorm(nn.GroupNorm):
    """Group normalisation over (B, T, C) without leaving that layout: PyTorch's CUDA kernel would copy to (B, C, T)."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__(max(g for g in range(1, min(groups, width) + 1) if width % g == 0), width)

    def forward(self, x_BTC: Tensor) -> Tensor:
        if x_BTC.device.type != "cpu":
            return self.channels_last(x_BTC)
        x_BCHT = x_BTC.transpose(1, 2).unsqueeze(2)
        out = F.group_norm(x_BCHT, self.num_groups, self.weight, self.bias, self.eps)
        return out.squeeze(2).transpose(1, 2)

    def channels_last(self, x_BTC: Tensor) -> Tensor:
        """Sums and squares of each channel in float32, then one multiply-add in the activations' own type: three
        passes over memory, where the formula written out takes ten and a float32 copy."""
        count = x_BTC.shape[1] * x_BTC.shape[2] // self.num_groups
        sums_BC = x_BTC.sum(1, dtype=torch.float32)
        squares_BC = torch.linalg.vector_norm(x_BTC, dim=1, dtype=torch.float32).square()
        mean_BG1, square_BG1 = (
            z.unflatten(1, (self.num_groups, -1)).sum(-1, keepdim=True) / count for z in (sums_BC, squares_BC)
        )
        inverse_BG1 = torch.rsqrt((square_BG1 - mean_BG1.square()).clamp(min=0) + self.eps)
        weight_GC, bias_GC = (z.view(self.num_groups, -1) for z in (self.weight, self.bias))
        scale_BC = (weight_GC * inverse_BG1).flatten(1)
        shift_BC = (bias_GC - weight_GC * (inverse_BG1 * mean_BG1)).flatten(1)
        return torch.addcmul(shift_BC[:, None].to(x_BTC.dtype), x_BTC, scale_BC[:, None].to(x_BTC.dtype))


def _mean_of_tokens(text_BLW: Tensor, mask_BL: Tensor | None) -> Tensor:
    if mask_BL is None:
        return text_BLW.mean(1)
    weight_BL1 = mask_BL[:, :, None].to(text_BLW.dtype)
    return (text_BLW * weight_BL1).sum(1) / weight_BL1.sum(1).clamp(min=1)


def _twice(*values: Tensor | None) -> list[Any]:
    return [None if value is None else torch.cat([value, value]) for value in values]


class _Convolution(nn.Conv1d):
    """Of (B, T, C), as a 2-D convolution of height 1: these strides are its channels-last format, for which there are
    fast kernels on CPU (up to four times Conv1d's speed) and tensor-core kernels on CUDA, and nothing is copied."""

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BCHT, kernel = x_BTC.transpose(1, 2).unsqueeze(2), self.weight.unsqueeze(2)
        out = F.conv2d(x_BCHT, kernel, self.bias, stride=(1, self.stride[0]), padding=(0, int(self.padding[0])))
        return out.squeeze(2).transpose(1, 2)


class _TransposedConvolution(nn.ConvTranspose1d):
    """Of (B, T, C); likewise."""

    def forward(self, x_BTC: Tensor, output_size: list[int] | None = None) -> Tensor:
        x_BCHT, kernel = x_BTC.transpose(1, 2).unsqueeze(2), self.weight.unsqueeze(2)
        padding, extra = (0, int(self.padding[0])), (0, self.output_padding[0])
        out = F.conv_transpose2d(x_BCHT, kernel, self.bias, (1, self.stride[0]), padding, extra)
        return out.squeeze(2).transpose(1, 2)


def _positions(position_B: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding (B, width) with periods from 2 pi to 2 pi x 10,000; float32 whatever autocast says."""
    half = width // 2
    exponent = torch.arange(half, device=position_B.device, dtype=torch.float32) / max(half - 1, 1)
    angle = position_B.float()[:, None] * torch.exp(-math.log(10_000) * exponent)[None]
    return F.pad(torch.cat([angle.sin(), angle.cos()], dim=-1), (0, width - 2 * half))
