"""16-bit FLAC, as it lies in a crate's audio columns: mono, or with two channels. T samples, C channels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadInput

__all__ = ["decode_flac", "encode_flac", "to_int16"]


def to_int16(samples_T: NDArray[np.float32]) -> NDArray[np.int16]:
    """Nearest step of 1/32768, ties to even, no dither; +1 becomes 32767.

    The inverse of reading 16-bit audio as n / 32768, so audio that was 16-bit and not resampled comes back bit by bit.
    """
    scaled_T = np.multiply(samples_T, np.float32(32768), dtype=np.float32)
    np.rint(scaled_T, out=scaled_T)
    np.clip(scaled_T, -32768, 32767, out=scaled_T)
    return scaled_T.astype(np.int16)


def encode_flac(samples: NDArray[np.float32], sample_rate_hz: int) -> bytes:
    """16-bit FLAC of samples (T,) or (T, C) in [-1, 1]; the same give the same bytes for one version of libFLAC."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, to_int16(samples), sample_rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(data: bytes, *, mono: bool = True) -> tuple[NDArray[np.float32], int]:
    """Samples and rate of what `encode_flac` made: (T,), the mean of two channels; or (T, C), not `mono`."""
    import soundfile

    try:
        samples_TC, sample_rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise BadInput(
            f"{len(data)} bytes of an audio column are not FLAC ({error.error_string}); "
            "the shard was damaged after it was written: cratedig verify"
        ) from error
    if not mono:
        return samples_TC, int(sample_rate_hz)
    return samples_TC[:, 0] if samples_TC.shape[1] == 1 else samples_TC.mean(axis=1), int(sample_rate_hz)
