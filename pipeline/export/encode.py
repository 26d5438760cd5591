"""From the audio that a crate holds, or that was cut from its sources, to a file of the codec that was asked for.

C channels, T samples.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode_guard import resample_channels
from pipeline.audio.flac import decode_flac, to_int16
from pipeline.export.example import Audio

__all__ = ["audio_seconds", "encode", "from_column", "suffix"]


def audio_seconds(data: bytes) -> float:
    """Of an encoded file, from its header."""
    import soundfile

    info = soundfile.info(io.BytesIO(data))
    return float(info.frames / info.samplerate)


def suffix(codec: str) -> str:
    """Of file names."""
    return {"flac": "flac", "wav": "wav", "opus": "opus"}[codec]


def from_column(
    flac: bytes, column: tuple[int, int], rate_hz: int, channels: int, codec: str, clip_samples: int
) -> Audio:
    """A crate's FLAC: as it is where all that is wanted is the crate's own, else decoded, mixed, resampled, encoded.

    column: the rate and channels that the crate has. clip_samples: of a clip in the crate's column.
    """
    column_hz, _ = column
    if codec == "flac" and (rate_hz, channels) == column:
        return Audio(data=flac, rate_hz=rate_hz, channels=channels, samples=clip_samples)
    samples_T, _ = decode_flac(flac, mono=channels == 1)
    return encode(resample_channels(samples_T.reshape(-1, channels), column_hz, rate_hz), rate_hz, codec)


def encode(samples_TC: NDArray[np.float32], rate_hz: int, codec: str) -> Audio:
    """16 bits a sample for FLAC and WAV; the same samples give the same bytes for one version of the encoders."""
    import soundfile

    pcm_TC = to_int16(samples_TC)
    samples, channels = pcm_TC.shape
    buffer = io.BytesIO()
    if codec == "opus":
        _write_opus(buffer, pcm_TC, rate_hz)
    else:
        soundfile.write(buffer, pcm_TC, rate_hz, format=codec.upper(), subtype="PCM_16")
    return Audio(data=buffer.getvalue(), rate_hz=rate_hz, channels=channels, samples=samples)


def _write_opus(file: Any, pcm_TC: NDArray[np.int16], rate_hz: int) -> None:
    """Ogg Opus at 96 kbit/s a channel. Through FFmpeg: libsndfile gives each stream a random serial number."""
    import av

    channels = pcm_TC.shape[1]
    layout = "mono" if channels == 1 else "stereo"
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=rate_hz, layout=layout, options={"flags": "+bitexact"})
        stream.bit_rate = 96_000 * channels
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm_TC).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
