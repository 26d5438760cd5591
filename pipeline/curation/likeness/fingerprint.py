"""A fingerprint of sound that survives what copies go through: 32 bits a frame, compared at every offset.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): each bit says whether the
difference of two neighbouring bands grew or fell since a moment ago. Gain, codecs, filters and noise turn few of them.

T samples at 16 kHz, F frames of 48 ms, B 32 bits, S frequencies of a window or of the correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_S", "RATE_HZ", "Fingerprint", "Match", "compare", "fingerprint"]

RATE_HZ = 16_000
_WINDOW, _HOP, _BACK = 6144, 768, 4
"""Samples of a window (0.38 s) and between windows; frames between the moments that a bit compares."""
FRAME_S = _HOP / RATE_HZ
_BITS, _LOWEST_HZ, _HIGHEST_HZ = 32, 300.0, 3000.0
_FIRST, _FIRST_MARGIN = 4, 0.12
"""Each fourth bit is compared first, and how much more of those may differ than of all."""
_QUIET = 1e-5
"""Of a clip's loudest frame, in power: what is quieter has no bits that mean anything."""


@dataclass(frozen=True)
class Fingerprint:
    """The bits of a clip, a word a frame, and which of its frames are loud enough to have any."""

    words_F: NDArray[np.uint32]
    heard_F: NDArray[np.bool_]

    def spectrum(self, size: int, every: int = 1) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """[B, S] of each `every`th bit as +1 and -1 (0 where nothing is heard), and [S] of what is heard."""
        bits_BF = self.words_F >> np.arange(0, _BITS, every, dtype=np.uint32)[:, None] & 1
        heard_F = self.heard_F.astype(np.float32)
        signs_BF = (2 * bits_BF.astype(np.float32) - 1) * heard_F
        return np.fft.rfft(signs_BF, size, axis=1).astype(np.complex64), np.fft.rfft(heard_F, size).astype(np.complex64)


@dataclass(frozen=True, kw_only=True)
class Match:
    """How alike two clips are where they are most alike."""

    error: float
    """Share of bits that differ, in [0, 1]; about 0.5 for clips that have nothing to do with each other."""
    offset_s: float
    """The moment of the first clip at which the second begins."""
    heard_s: float
    """How much sound was compared."""


def fingerprint(samples_T: NDArray[np.float32]) -> Fingerprint:
    """Of mono sound at 16 kHz."""
    frames = max(0, 1 + (len(samples_T) - _WINDOW) // _HOP)
    if frames <= _BACK:
        return Fingerprint(np.zeros(0, np.uint32), np.zeros(0, bool))
    windows_FT = np.lib.stride_tricks.sliding_window_view(samples_T, _WINDOW)[::_HOP]
    edges = np.round(np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BITS + 2) * _WINDOW / RATE_HZ).astype(int)
    spectrum_FS = np.fft.rfft(windows_FT * np.hanning(_WINDOW).astype(np.float32), axis=1)[:, : edges[-1]]
    bands_FB = np.add.reduceat(spectrum_FS.real**2 + spectrum_FS.imag**2, edges[:-1], axis=1)
    slope_FB = np.diff(np.sqrt(bands_FB), axis=1)
    loud_F = bands_FB.sum(axis=1)
    heard_F = loud_F > _QUIET * max(float(loud_F.max()), 1e-9)
    bits_FB = slope_FB[_BACK:] > slope_FB[:-_BACK]
    words_F = (bits_FB * (1 << np.arange(_BITS, dtype=np.uint32))).sum(axis=1, dtype=np.uint32)
    return Fingerprint(words_F, heard_F[_BACK:] & heard_F[:-_BACK])


def compare(a: Fingerprint, b: Fingerprint, *, least_s: float, error: float | None = None) -> Match | None:
    """At the offset with the fewest differing bits among those that compare `least_s` of sound or more; None where
    there is no such offset, or where more than `error` of the bits differ.

    With `error`, a quarter of the bits is looked at first: what is far above it there is other music.
    """
    size = max(_size(len(a.heard_F)), _size(len(b.heard_F)))
    if error is not None and (first := _aligned(a, b, size, least_s, _FIRST)) and first.error > error + _FIRST_MARGIN:
        return None
    found = _aligned(a, b, size, least_s, 1)
    return None if found is None or (error is not None and found.error > error) else found


def _aligned(a: Fingerprint, b: Fingerprint, size: int, least_s: float, every: int) -> Match | None:
    (bits_a, heard_a), (bits_b, heard_b) = a.spectrum(size, every), b.spectrum(size, every)
    agree = np.fft.irfft((bits_a * bits_b.conj()).sum(axis=0), size)
    heard = np.rint(np.fft.irfft(heard_a * heard_b.conj(), size))
    enough = heard >= max(least_s / FRAME_S, 1)
    if not enough.any():
        return None
    error = np.where(enough, 0.5 - agree / (2 * len(bits_a) * np.maximum(heard, 1)), np.inf)
    best = int(error.argmin())
    shift = best if best < len(a.heard_F) else best - size
    return Match(
        error=round(float(max(error[best], 0.0)), 4), offset_s=round(shift * FRAME_S, 3),
        heard_s=round(float(heard[best]) * FRAME_S, 3),
    )  # fmt: skip


def _size(frames: int) -> int:
    """Long enough that a correlation of two such clips does not fold onto itself."""
    return 1 << (2 * max(frames, 1)).bit_length()
