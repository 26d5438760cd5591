"""Changes to log-mel spectrograms that leave the facts true: level, tone, noise floor, lost treble, masked stripes.

They stay milder than the faults that `recording:` facts name: no cut below 2.5 kHz, no noise near the music's level.
"""

from __future__ import annotations

import math

import torch

__all__ = ["augment"]

_FLOOR_DB, _CEILING_DB = -100.0, 40.0


def augment(mels_BFM: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """[B, F, M] dB in, changed copy out; the generator lives on the CPU."""
    count, frames, bands = mels_BFM.shape
    device = mels_BFM.device

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=random).to(device)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random).to(device)

    x = mels_BFM
    if torch.rand((), generator=random) < 0.5:  # begin elsewhere
        x = torch.roll(x, int(torch.randint(frames, (1,), generator=random)), 1)
    x = _stretch_bands(x, random)
    contrast = torch.where(uniform(count, 1, 1) < 0.5, 0.8 + 0.45 * uniform(count, 1, 1), torch.ones_like(x[:, :1, :1]))
    middle = x.mean((1, 2), keepdim=True)
    x = middle + (x - middle) * contrast  # another synthesiser's dynamics
    band = torch.linspace(0, 1, bands, device=device)
    tone_BM = uniform(count, 1) * 28 - 6 + normal(count, 1) * 6 * (band - 0.5)
    for k in (1, 2, 3):
        tone_BM = tone_BM + normal(count, 1) * (3.0 / k) * torch.cos(math.pi * k * band + uniform(count, 1) * 6.28)
    x = x + tone_BM[:, None, :]
    cut = torch.where(uniform(count, 1) < 0.25, 78 + (bands - 78) * uniform(count, 1), torch.full_like(tone_BM, 1e9))
    x = x - torch.relu(torch.arange(bands, device=device)[None] - cut)[:, None, :] * 3.0
    floor_BM = torch.where(uniform(count, 1) < 0.7, -85 + uniform(count, 1) * 42, torch.full_like(tone_BM, _FLOOR_DB))
    floor_BM = floor_BM - uniform(count, 1) * 25 * band
    x = torch.maximum(x, floor_BM[:, None, :] + normal(1, frames, bands) * 2.5)
    for _ in range(2):
        x = _mask_stripe(x, 1, 40, random)
        x = _mask_stripe(x, 2, 12, random)
    return x.clamp(_FLOOR_DB, _CEILING_DB)


def _stretch_bands(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """In half of the batches, all bands a little up or down and apart: other formants, another brightness."""
    if torch.rand((), generator=random) < 0.5:
        return x
    bands = x.shape[2]
    shift, widen = (torch.rand(2, generator=random) * 2 - 1).tolist()
    place = (torch.arange(bands) * (1 + 0.03 * widen) + 2.5 * shift).clamp(0, bands - 1)
    below = place.floor().long().clamp(max=bands - 2)
    share = place - below
    warp_MM = torch.zeros(bands, bands)  # a product with it is several times as fast as gathering
    warp_MM[below, torch.arange(bands)] = 1 - share
    warp_MM[below + 1, torch.arange(bands)] += share
    return x @ warp_MM.to(x.device)


def _mask_stripe(x: torch.Tensor, axis: int, widest: int, random: torch.Generator) -> torch.Tensor:
    """In two of five windows, the same few frames or bands go to -70 dB."""
    start = int(torch.randint(x.shape[axis] - widest, (1,), generator=random))
    width = int(torch.randint(2, widest, (1,), generator=random))
    hit = (torch.rand(x.shape[0], generator=random) < 0.4).to(x.device)
    place = torch.zeros(x.shape[axis], dtype=torch.bool, device=x.device)
    place[start : start + width] = True
    mask = hit[:, None, None] & (place[None, :, None] if axis == 1 else place[None, None, :])
    return torch.where(mask, torch.full_like(x[:1, :1, :1], -70.0), x)
