"""Two figures that stand in for a listener: how noise-like a sound is, and how often something begins in it.

T samples, F frames, K frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SoundFigures", "sound_figures"]

_FFT_S, _HOP_S = 0.064, 0.016
_FLOOR = 1e-10
_NEAR = 6
"""Frames to each side within which an onset is the largest: .1 s."""
_RISE_DB = 2.0
"""Above its neighbourhood's mean, in the mean rise over frequencies."""


@dataclass(frozen=True, kw_only=True)
class SoundFigures:
    """Of one clip."""

    flatness_db: float
    """Geometric over arithmetic mean of the power spectrum, mean over frames that sound: 0 is white noise."""
    onsets_per_s: float
    """Peaks of the mean rise in level over frequencies (spectral flux in dB)."""


def sound_figures(audio_T: NDArray[np.float32], rate_hz: int) -> SoundFigures:
    """Of at least a tenth of a second; silence has flatness 0 and no onset."""
    fft, hop = 1 << round(np.log2(_FFT_S * rate_hz)), round(_HOP_S * rate_hz)
    padded = np.pad(audio_T.astype(np.float64), (0, max(0, fft - len(audio_T))))
    framed_FN = np.lib.stride_tricks.sliding_window_view(padded, fft)[::hop] * np.hanning(fft)
    power_FK = np.abs(np.fft.rfft(framed_FN))[:, 1:] ** 2
    heard = power_FK.mean(axis=1) > 1e-6 * max(float(power_FK.mean(axis=1).max()), _FLOOR)
    level_FK = 10 * np.log10(power_FK + _FLOOR)
    flatness_F = level_FK.mean(axis=1) - 10 * np.log10(power_FK.mean(axis=1) + _FLOOR)
    top_db = float(level_FK.max())
    rise_F = np.maximum(np.diff(np.maximum(level_FK, top_db - 60), axis=0), 0).mean(axis=1)
    return SoundFigures(
        flatness_db=float(flatness_F[heard].mean()) if heard.any() else 0.0,
        onsets_per_s=_peaks(rise_F) * rate_hz / max(len(audio_T), 1),
    )


def _peaks(rise_F: NDArray[np.float64]) -> int:
    if len(rise_F) < 2 * _NEAR + 1:
        return 0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(rise_F, _NEAR, mode="edge"), 2 * _NEAR + 1)
    return int(((rise_F == around.max(axis=1)) & (rise_F > around.mean(axis=1) + _RISE_DB)).sum())
