"""Figures that stand in for a listener: how noise-like a sound is, whether partials and beats are in it.

An embedding's distance can be small for speckle of the right colours; these can't.

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
_FINE_FFT_S, _FINE_HOP_S, _LATER_S, _AROUND_HZ, _FINE_HZ = 0.128, 0.01, 0.15, 120.0, (60.0, 3_000.0)
_FINE_RANGE_DB = 70.0
_BEAT_S = (0.25, 1.5)


@dataclass(frozen=True, kw_only=True)
class SoundFigures:
    """Of one clip."""

    flatness_db: float
    """Geometric over arithmetic mean of the power spectrum, mean over frames that sound: 0 is white noise."""
    onsets_per_s: float
    """Peaks of the mean rise in level over frequencies (spectral flux in dB)."""
    partials: float
    """Correlation of fine structure in the spectrum, 60 Hz to 3 kHz, with that .15 s later: 0 for noise, 1 for tones
    that last, .4 to .7 for music."""
    pulse: float
    """Largest autocorrelation of the rise between .25 and 1.5 s: .1 for noise, 1 for a strict beat."""


def sound_figures(audio_T: NDArray[np.float32], rate_hz: int) -> SoundFigures:
    """Of at least a tenth of a second; silence has 0 in all, and what is too short for a beat has no pulse."""
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
        partials=_partials(audio_T, rate_hz),
        pulse=_pulse(rise_F, rate_hz / hop),
    )


def _partials(audio_T: NDArray[np.float32], rate_hz: int) -> float:
    """The windows that are compared do not overlap."""
    fft, hop = 1 << round(np.log2(_FINE_FFT_S * rate_hz)), round(_FINE_HOP_S * rate_hz)
    later = -(-max(round(_LATER_S * rate_hz), fft) // hop)
    if len(audio_T) < fft + 2 * later * hop:
        return 0.0
    framed_FN = np.lib.stride_tricks.sliding_window_view(audio_T.astype(np.float64), fft)[::hop] * np.hanning(fft)
    hz = np.fft.rfftfreq(fft, 1 / rate_hz)
    power_FK = np.abs(np.fft.rfft(framed_FN)[:, (hz >= _FINE_HZ[0]) & (hz <= _FINE_HZ[1])]) ** 2
    level_FK = 10 * np.log10(power_FK + _FLOOR)
    level_FK = np.maximum(level_FK, level_FK.max() - _FINE_RANGE_DB)
    reach = max(1, round(_AROUND_HZ * fft / rate_hz / 2))
    sums = np.cumsum(np.pad(level_FK, ((0, 0), (reach + 1, reach)), mode="edge"), axis=1)
    fine_FK = level_FK - (sums[:, 2 * reach + 1 :] - sums[:, : -2 * reach - 1]) / (2 * reach + 1)
    now, then = fine_FK[:-later], fine_FK[later:]
    both = float(np.sqrt((now * now).sum() * (then * then).sum()))
    return float((now * then).sum()) / both if both > _FLOOR else 0.0


def _pulse(rise_F: NDArray[np.float64], frames_per_s: float) -> float:
    first, last = (round(seconds * frames_per_s) for seconds in _BEAT_S)
    around_F = rise_F - rise_F.mean() if len(rise_F) else rise_F
    power = float(around_F @ around_F)
    if len(rise_F) < 2 * last or power < _FLOOR:
        return 0.0
    return max(float(around_F[lag:] @ around_F[:-lag]) / power for lag in range(first, last + 1))


def _peaks(rise_F: NDArray[np.float64]) -> int:
    if len(rise_F) < 2 * _NEAR + 1:
        return 0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(rise_F, _NEAR, mode="edge"), 2 * _NEAR + 1)
    return int(((rise_F == around.max(axis=1)) & (rise_F > around.mean(axis=1) + _RISE_DB)).sum())
