"""The shape of one 1-D U-Net: the paper's Table 9, and what the paper leaves open as named fields."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["UNetConfig"]


class UNetConfig(BaseModel):
    """Everything that makes the network's parameters and its arithmetic; stored in each checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signal_channels: int = Field(ge=1)
    """Channels of the sample and of the predicted noise: 1 for waveforms, 2 in stereo, 80 for the mel spectrogram."""
    stacked_channels: int = Field(default=0, ge=0)
    """Channels of the condition at the sample's own rate, stacked with it (cascaders: 1)."""
    aligned_channels: int = Field(default=0, ge=0)
    """Channels of the condition at the rate of the bottom of the U (vocoder: 80)."""
    text_width: int = Field(default=0, ge=0)
    """Width of a text token; 0 for a model without text."""
    base: int = Field(ge=1)
    """Base model dimension; also the time embedding's."""
    kernel: int = Field(ge=1)
    strides: tuple[int, ...]
    multipliers: tuple[int, ...]
    """Channels at each depth, in units of `base`."""
    blocks: tuple[int, ...]
    self_attention: tuple[bool, ...]
    cross_attention: tuple[bool, ...]
    heads: int = Field(default=8, ge=1)
    augmentation_embedding: bool = False
    """The model is told the noise augmentation's time, by a second embedding added to the first (erratum 9)."""

    # What the paper does not say. The defaults are the reading whose parameter counts agree with Table 2.
    up_blocks: Literal["landing", "leaving"] = "landing"
    """Up-sampling layer I is followed by blocks of the level it lands on: width C_(I-1), depth I-1's count and
    attention (depth 1's where it lands on the full rate). `leaving` runs depth I's blocks at C_I before the
    up-sampling: 14 to 40 % too many parameters."""
    attention_width: int | None = None
    """Sum of all heads' widths; None is the channel width of the depth."""
    feed_forward_factor: int = Field(default=2, ge=1)
    up_kernel_factor: int = Field(default=2, ge=1)
    """The transposed convolution's kernel in units of its stride."""
    groups: int = Field(default=32, ge=1)
    """Of group normalisation; where the channels don't divide, the largest divisor below."""
    skip_joins: Literal["block_input", "block_output"] = "block_input"
    """Where the sum with the down path's output is formed: before an up level's blocks, so that they can work on it,
    or after them."""
    text_pooled: bool = False
    """The mean of the text's tokens joins the time embedding as well, and so reaches every block (Imagen, arXiv
    2205.11487, appendix B.1): a short run then learns to follow words."""
    aligned_joins: Literal["before_bottom_blocks", "after_bottom_blocks"] = "before_bottom_blocks"
    time_scale: float = 1000.0
    """Multiplies t in [0, 1] before its sinusoidal embedding, as if steps were counted to 1000."""

    @model_validator(mode="after")
    def _consistent(self) -> UNetConfig:
        lengths = {
            name: len(getattr(self, name))
            for name in ("strides", "multipliers", "blocks", "self_attention", "cross_attention")
        }
        if len(set(lengths.values())) != 1 or not self.strides:
            raise ValueError(f"one entry a depth is needed in each list, got lengths {lengths}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; an odd one keeps every length")
        if any(self.cross_attention) != bool(self.text_width):
            raise ValueError(
                f"text_width {self.text_width} and cross_attention {self.cross_attention} disagree: "
                "a model with text has both, one without has neither"
            )
        if self.text_pooled and not self.text_width:
            raise ValueError("text_pooled is for a model with text")
        if any(self.self_attention) or any(self.cross_attention):
            for channels in self.channels:
                width = self.attention_width or channels
                if width % self.heads:
                    raise ValueError(f"attention width {width} is not a multiple of {self.heads} heads")
        return self

    @property
    def depth(self) -> int:
        return len(self.strides)

    @property
    def channels(self) -> tuple[int, ...]:
        """C_1 ... C_D; C_0 is `base`."""
        return tuple(self.base * m for m in self.multipliers)

    @property
    def compression(self) -> int:
        """Samples for one position at the bottom of the U; any other length is padded to its multiple and cropped."""
        return prod(self.strides)

    def padded(self, length: int) -> int:
        """`length` rounded up to a multiple of the compression: 96,000 -> 98,304 with six strides of 4."""
        return -(-length // self.compression) * self.compression
