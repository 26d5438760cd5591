"""How loud a waveform is in one band, at each sample: what is missing above the band is about as loud as what is there.

B batch, C channels, T samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["local_level"]

_WINDOW_S = 0.04
_FLOOR = 1e-5
"""About the dither of 16-bit audio: silence has no level of its own."""


def local_level(audio_BCT: Tensor, rate_hz: int, band_hz: tuple[float, float]) -> Tensor:
    """Root mean square of the band in a Hann window about each sample, never 0."""
    length = audio_BCT.shape[-1]
    spectrum = torch.fft.rfft(audio_BCT.float())
    hz = torch.fft.rfftfreq(length, 1 / rate_hz, device=audio_BCT.device)
    band = torch.fft.irfft(spectrum * ((hz >= band_hz[0]) & (hz < band_hz[1])), n=length)
    reach = round(_WINDOW_S * rate_hz / 2)
    window = torch.hann_window(2 * reach + 1, periodic=False, device=audio_BCT.device)
    power = F.pad(band.square().flatten(0, 1)[:, None], (reach, reach), mode="replicate")
    mean = F.conv1d(power, (window / window.sum())[None, None]).view(audio_BCT.shape)
    return (mean.clamp(min=0) + _FLOOR**2).sqrt()
