"""From examples to what the U-Net sees: sample, noise and conditions, built on the training device.

B batch, T time of the sample, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.data.example import GRID_HZ, MARGIN_FRAMES, Example
from diffusion.data.text_source import TextSource
from diffusion.model.config import StageConfig
from diffusion.process.augment import add_noise, blur
from diffusion.process.diffused import to_diffused
from diffusion.process.mel import log_mel
from diffusion.process.noise import noise_schedule
from diffusion.process.upsample import fft_upsample

__all__ = ["Batch", "make_batch", "mel_condition", "more_draws", "network_condition", "waveform_condition"]


@dataclass(frozen=True)
class Batch:
    """One step's tensors on the device."""

    clip_ids: list[str]
    texts: list[str]
    clean_BCT: Tensor
    noise_BCT: Tensor
    t_B: Tensor
    conditions: dict[str, Tensor]
    """Keyword arguments of `UNet.forward`."""


def make_batch(
    examples: Sequence[Example], config: StageConfig, text: TextSource | None, device: torch.device | str
) -> Batch:
    target_BCT = _stack([example.target.reshape(-1, example.target.shape[-1]) for example in examples], device)
    conditions: dict[str, Tensor] = {}
    condition: Tensor | None = None
    if config.uses_mel:
        condition = mel_condition(target_BCT[:, 0], config)
    elif config.condition_rate_hz:
        low_BT = _stack([example.condition for example in examples if example.condition is not None], device)
        condition = waveform_condition(low_BT, config)
    if config.makes_mel:
        clean = _without_margin(mel_condition(target_BCT[:, 0], config), GRID_HZ)
    else:
        clean = _without_margin(to_diffused(target_BCT, condition, config), config.target_rate_hz)
    if condition is not None:
        condition = network_condition(condition, config)
        condition = _without_margin(condition, GRID_HZ if config.uses_mel else config.target_rate_hz)
        condition, level_B = _augment(condition, examples, config)
        conditions["aligned_BCT" if config.uses_mel else "stacked_BCT"] = condition
        if config.unet.augmentation_embedding:
            conditions["augmentation_t_B"] = level_B
    texts = [""] * len(examples)
    if text is not None:
        texts = [text.draw(example.texts, example.text_uniform) for example in examples]
        conditions["text_BLW"], conditions["text_mask_BL"] = text.batch(texts, device)
        kept = [example.keep_text and bool(chosen) for example, chosen in zip(examples, texts, strict=True)]
        conditions["keep_text_B"] = torch.tensor(kept, device=device)
    return Batch(
        clip_ids=[example.clip_id for example in examples],
        texts=texts,
        clean_BCT=clean,
        noise_BCT=_stack([example.noise for example in examples], device),
        t_B=torch.tensor([example.t for example in examples], dtype=torch.float32, device=device),
        conditions=conditions,
    )


def more_draws(batch: Batch, draws: int, seed: int) -> Batch:
    """Each sample `draws` times: first as it is, then with other noise, its time moved on by 1 / draws each (from 1 on
    to 0), so that every sample is seen over the whole range."""
    if draws == 1:
        return batch
    device = batch.noise_BCT.device
    generator = torch.Generator(device=device).manual_seed(seed)
    shape = ((draws - 1) * len(batch.t_B), *batch.noise_BCT.shape[1:])
    noise_BCT = torch.randn(shape, generator=generator, device=device)
    moved = [(batch.t_B + draw / draws) % 1 for draw in range(draws)]
    return Batch(
        clip_ids=batch.clip_ids,
        texts=batch.texts,
        clean_BCT=torch.cat([batch.clean_BCT] * draws),
        noise_BCT=torch.cat([batch.noise_BCT, noise_BCT]),
        t_B=torch.cat(moved),
        conditions={name: torch.cat([value] * draws) for name, value in batch.conditions.items()},
    )


def waveform_condition(low_BT: Tensor, config: StageConfig) -> Tensor:
    """The lower stage's waveform at this stage's rate: (B, 1, T)."""
    assert config.condition_rate_hz is not None
    return fft_upsample(low_BT, config.condition_rate_hz, config.target_rate_hz)[:, None]


def mel_condition(audio_BT: Tensor, config: StageConfig) -> Tensor:
    """(B, 80, F): the true audio's mel, where training or a demo starts from it."""
    assert config.mel is not None
    return log_mel(audio_BT, config.mel)


def network_condition(condition: Tensor, config: StageConfig) -> Tensor:
    """As the network sees it: waveforms with their gain, a mel as it is."""
    return condition if config.uses_mel else config.condition_gain * condition


def _augment(condition: Tensor, examples: Sequence[Example], config: StageConfig) -> tuple[Tensor, Tensor]:
    """Blur, then noise of a random level; both are training's alone."""
    device = condition.device
    level_B = torch.tensor([example.augmentation_t for example in examples], dtype=torch.float32, device=device)
    if config.blur is not None:
        std_B = torch.tensor([example.blur_std for example in examples], dtype=torch.float32, device=device)
        condition = blur(condition, std_B, config.blur)
    noise = [example.augmentation_noise for example in examples if example.augmentation_noise is not None]
    if noise:
        condition = add_noise(condition, level_B, _stack(noise, device), noise_schedule(config.noise))
    return condition, level_B


def _without_margin(value: Tensor, rate_hz: int) -> Tensor:
    margin = MARGIN_FRAMES * rate_hz // GRID_HZ
    return value[..., margin:-margin]


def _stack(arrays: Sequence[NDArray[np.float32]], device: torch.device | str) -> Tensor:
    """From pinned memory to a GPU: only then does the copy run beside the step."""
    tensor = torch.from_numpy(np.stack(arrays))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
