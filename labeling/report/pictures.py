"""A clip as a mel picture (PNG) and as something a browser plays (MP3).

T samples, F frames, M mel bands.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.mel import LogMel

__all__ = ["MelPicture", "colormap", "encode_mp3", "mel_picture", "mel_position"]

_BANDS = 96
_FFT_S = 0.064
_WIDTH = 720
"""Frames of a picture, about."""
_RANGE_DB = 80.0
"""Below the loudest point of the clip; quieter is black."""
_LOWEST_HZ = 40.0
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MP3_BITS_PER_S = 64_000


@dataclass(frozen=True, kw_only=True)
class MelPicture:
    """A log-mel spectrogram as a PNG with a palette; time runs right, frequency up."""

    png: bytes
    width: int
    height: int
    top_hz: float


def mel_picture(samples_T: NDArray[np.float32], sample_rate_hz: int) -> MelPicture:
    """Scaled to the clip's own loudest point, 80 dB of range."""
    from PIL import Image

    fft_size = 1 << round(np.log2(sample_rate_hz * _FFT_S))
    hop = max(1, -(-len(samples_T) // _WIDTH))
    top_hz = min(sample_rate_hz / 2, 12_000.0)
    log_mel = LogMel(_mel_filters(sample_rate_hz, fft_size, top_hz), fft_size=fft_size, hop=hop)
    short = fft_size + 1 - len(samples_T)
    mel_FM = log_mel(np.pad(samples_T, (0, short)) if short > 0 else samples_T)
    shade_FM = np.clip((mel_FM - mel_FM.max()) / _RANGE_DB + 1, 0, 1)
    picture = Image.fromarray(np.rint(shade_FM.T[::-1] * 255).astype(np.uint8))
    picture.putpalette(colormap().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return MelPicture(png=buffer.getvalue(), width=picture.width, height=picture.height, top_hz=top_hz)


def mel_position(hz: float, top_hz: float) -> float:
    """Where a frequency lies on the picture's axis: 0 at the bottom, 1 at the top."""
    low, high = _mel(_LOWEST_HZ), _mel(top_hz)
    return float((_mel(hz) - low) / (high - low))


def _mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """O'Shaughnessy's scale."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)


@cache
def _mel_filters(sample_rate_hz: int, fft_size: int, top_hz: float) -> NDArray[np.float64]:
    """Triangles, even on the mel scale, each of unit area; a narrow one has at least the nearest FFT bin."""
    centres_hz = 700.0 * (10 ** (np.linspace(_mel(_LOWEST_HZ), _mel(top_hz), _BANDS + 2) / 2595.0) - 1.0)
    bins_hz = np.arange(fft_size // 2 + 1) * sample_rate_hz / fft_size
    lower, centre, upper = centres_hz[:-2], centres_hz[1:-1], centres_hz[2:]
    rising = (bins_hz[:, None] - lower) / (centre - lower)
    falling = (upper - bins_hz[:, None]) / (upper - centre)
    filters_KM = np.maximum(0.0, np.minimum(rising, falling))
    for band in np.flatnonzero(filters_KM.sum(axis=0) == 0):
        filters_KM[np.argmin(np.abs(bins_hz - centre[band])), band] = 1.0
    return filters_KM / filters_KM.sum(axis=0)


@cache
def colormap() -> NDArray[np.uint8]:
    """(256, 3): black over violet and orange to pale yellow, lightness rising all the way.

    A polynomial in each channel, fitted to the colour map `magma` (van der Walt and Smith; the fit is Zucker's, CC0).
    """
    coefficients = np.array(
        [
            [-0.002136485053939582, -0.000749655052795221, -0.005386127855323933],
            [0.2516605407371642, 0.6775232436837668, 2.494026599312351],
            [8.353717279216625, -3.577719514958484, 0.3144679030132573],
            [-27.66873308576866, 14.26473078096533, -13.64921318813922],
            [52.17613981234068, -27.94360607168351, 12.94416944238394],
            [-50.76852536473588, 29.04658282127291, 4.23415299384598],
            [18.65570506591883, -11.48977351997711, -5.601961508734096],
        ]
    )
    powers = np.linspace(0, 1, 256)[:, None] ** np.arange(len(coefficients))
    return np.rint(np.clip(powers @ coefficients, 0, 1) * 255).astype(np.uint8)


def encode_mp3(samples_T: NDArray[np.float32], sample_rate_hz: int) -> bytes:
    """64 kb/s mono, with the header that tells a player the exact duration. The same samples give the same bytes for
    one version of LAME and FFmpeg."""
    import av

    from pipeline.audio.flac import to_int16

    rate = sample_rate_hz if sample_rate_hz in _MP3_RATES_HZ else 48_000
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", bit_rate=_MP3_BITS_PER_S)
        context = stream.codec_context
        context.format = "s16p"
        context.options = {"compression_level": "7"}  # LAME's quality: three times as fast as its default
        context.open()
        fit = av.AudioResampler(format="s16p", layout="mono", rate=rate, frame_size=context.frame_size)
        frame = av.AudioFrame.from_ndarray(to_int16(samples_T)[None], format="s16p", layout="mono")
        frame.sample_rate = sample_rate_hz
        for piece in (*fit.resample(frame), *fit.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()
