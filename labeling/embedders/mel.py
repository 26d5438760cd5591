"""Log-mel front end: what `ClapFeatureExtractor` computes, about five times as fast, with NumPy alone.

T samples of a window, F frames of it, N samples of an FFT frame, K frequency bins, M mel bands, B windows.

The FFT is done in float64 on purpose. Float32 is hardly faster here and wrong beside a loud tone: its rounding noise
lies near -90 dB, above the quiet bands, and moves them by up to 0.4 dB. Everything after the power spectrum has
positive terms only and is safe in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.threads import one_blas_thread

__all__ = ["LogMel"]

_FRAMES_AT_ONCE = 64
"""So many FFT frames stay in a core's cache."""
_BANDS_AT_ONCE = 16
"""Mel filters are narrow: a product by blocks of bands skips most of the zeros."""
_FLOOR = np.float32(1e-10)
_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))


class LogMel:
    """Windows of audio to log-mel spectrograms in dB, floor -100 dB, no range limit."""

    def __init__(self, filters_KM: NDArray[np.float64], *, fft_size: int, hop: int) -> None:
        if filters_KM.shape[0] != fft_size // 2 + 1:
            raise ValueError(f"filters for {len(filters_KM)} frequencies: an FFT of {fft_size} has {fft_size // 2 + 1}")
        self.fft_size, self.hop, self.bands = fft_size, hop, filters_KM.shape[1]
        self._window_N = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
        used = np.flatnonzero(filters_KM.any(axis=1))
        self._low, self._high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        self._blocks = [
            _block(filters_KM[self._low : self._high, m : m + _BANDS_AT_ONCE], m)
            for m in range(0, self.bands, _BANDS_AT_ONCE)
        ]

    @classmethod
    def like(cls, extractor: Any) -> LogMel:
        """With the numbers of a `ClapFeatureExtractor`; its truncation mode decides which of its filters it uses."""
        filters = extractor.mel_filters if extractor.truncation == "fusion" else extractor.mel_filters_slaney
        return cls(np.asarray(filters), fft_size=extractor.fft_window_size, hop=extractor.hop_length)

    def frames(self, samples: int) -> int:
        """Number of frames of a window of `samples` samples."""
        return 1 + samples // self.hop

    @one_blas_thread()
    def __call__(self, window_T: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frames, bands) in dB; frames are centred, the ends mirrored."""
        if window_T.ndim != 1 or len(window_T) <= self.fft_size // 2:
            raise ValueError(
                f"a window of shape {window_T.shape}: expected more than {self.fft_size // 2} samples, mono"
            )
        padded = np.pad(window_T, self.fft_size // 2, mode="reflect").astype(np.float64)
        framed_FN = np.lib.stride_tricks.sliding_window_view(padded, self.fft_size)[:: self.hop]
        mel_FM = np.empty((len(framed_FN), self.bands), np.float32)
        for start in range(0, len(framed_FN), _FRAMES_AT_ONCE):
            rows = slice(start, start + _FRAMES_AT_ONCE)
            spectrum_FK = np.fft.rfft(framed_FN[rows] * self._window_N)[:, self._low : self._high]
            power_FK = (np.square(spectrum_FK.real) + np.square(spectrum_FK.imag)).astype(np.float32)
            for bins, bands, filters in self._blocks:
                np.matmul(power_FK[:, bins], filters, out=mel_FM[rows, bands])
        np.maximum(mel_FM, _FLOOR, out=mel_FM)
        np.log(mel_FM, out=mel_FM)
        mel_FM *= _DB_PER_NEPER
        return mel_FM

    def batch(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, frames, bands) in dB."""
        mels_BFM = np.empty((len(windows_BT), self.frames(windows_BT.shape[1]), self.bands), np.float32)
        for i, window_T in enumerate(windows_BT):
            mels_BFM[i] = self(window_T)
        return mels_BFM


def _block(filters_KM: NDArray[np.float64], first_band: int) -> tuple[slice, slice, NDArray[np.float32]]:
    """Which bins a block of bands needs, which bands it makes, and the filters between."""
    used = np.flatnonzero(filters_KM.any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
    bands = slice(first_band, first_band + filters_KM.shape[1])
    return bins, bands, np.ascontiguousarray(filters_KM[bins], dtype=np.float32)
