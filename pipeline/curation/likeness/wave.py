"""Whether two clips are one waveform: copies keep it, another take or mix of the same notes does not.

T samples at 4 kHz. A fingerprint hears notes and when they change; two mixes of one performance may differ in as few of
its bits as a poor copy does. Their waveforms tell them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["WAVE_HZ", "coherence"]

WAVE_HZ = 4_000
_NEAR, _DRIFT = 400, 20
"""Samples around the fingerprint's offset in which the true one is looked for; by which a second may lie beside it."""


def coherence(a_T: NDArray[np.float32], b_T: NDArray[np.float32], offset_s: float) -> float:
    """In [0, 1]: the mean over seconds of sound, each weighted by its loudness, of the correlation of the two.

    offset_s: the moment of `a` at which `b` begins, to a tenth of a second.
    """
    size = 1 << (len(a_T) + len(b_T)).bit_length()
    cross_T = np.fft.irfft(np.fft.rfft(a_T, size) * np.fft.rfft(b_T, size).conj(), size)
    lags = np.arange(-_NEAR, _NEAR + 1) + round(offset_s * WAVE_HZ)
    lag = int(lags[np.abs(cross_T[lags % size]).argmax()])
    a_T, b_T = (a_T[lag:], b_T) if lag >= 0 else (a_T, b_T[-lag:])
    total = weight = 0.0
    for start in range(_DRIFT, min(len(a_T), len(b_T)) - WAVE_HZ - _DRIFT + 1, WAVE_HZ):
        second_T, around_T = a_T[start : start + WAVE_HZ], b_T[start - _DRIFT : start + WAVE_HZ + _DRIFT]
        dots = np.abs(np.correlate(around_T, second_T, "valid"))
        power = np.convolve(around_T**2, np.ones(WAVE_HZ, np.float32), "valid")
        loud = float(np.linalg.norm(second_T)) * np.sqrt(np.maximum(power, 1e-12))
        best = int((dots / np.maximum(loud, 1e-9)).argmax())
        total, weight = total + float(dots[best]), weight + float(loud[best])
    return min(total / weight, 1.0) if weight > 1e-6 else 0.0
