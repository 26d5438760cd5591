"""Real audio files in every format the pipeline reads, made on the spot so that the repository holds none.

C channels, T samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["FORMATS", "Format", "chord", "tone", "write_audio", "write_video"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way of storing audio: FFmpeg's names for container and codec, and what its decoder gives back."""

    suffix: str
    container: str
    codec: str
    exact: bool = False
    """Whether as many samples come back as went in."""
    rates_hz: tuple[int, ...] = (44_100,)
    """Rates this format can hold, the usual one first."""
    options: dict[str, str] = field(default_factory=dict)


FORMATS: dict[str, Format] = {
    "wav-s16": Format(suffix="wav", container="wav", codec="pcm_s16le", exact=True, rates_hz=(44_100, 8_000, 96_000)),
    "wav-u8": Format(suffix="wav", container="wav", codec="pcm_u8", exact=True),
    "wav-s24": Format(suffix="wav", container="wav", codec="pcm_s24le", exact=True, rates_hz=(96_000,)),
    "wav-s32": Format(suffix="wav", container="wav", codec="pcm_s32le", exact=True),
    "wav-f32": Format(suffix="wav", container="wav", codec="pcm_f32le", exact=True),
    "wav-f64": Format(suffix="wav", container="wav", codec="pcm_f64le", exact=True),
    "wav-mulaw": Format(suffix="wav", container="wav", codec="pcm_mulaw", exact=True, rates_hz=(8_000,)),
    "w64": Format(suffix="w64", container="w64", codec="pcm_s16le", exact=True),
    "aiff": Format(suffix="aiff", container="aiff", codec="pcm_s16be", exact=True),
    "flac": Format(suffix="flac", container="flac", codec="flac", exact=True, rates_hz=(44_100, 8_000, 192_000)),
    "mp3": Format(suffix="mp3", container="mp3", codec="libmp3lame", rates_hz=(44_100, 22_050, 16_000)),
    "mp3-no-header": Format(suffix="mp3", container="mp3", codec="libmp3lame", options={"write_xing": "0"}),
    "ogg": Format(suffix="ogg", container="ogg", codec="vorbis", rates_hz=(44_100, 11_025)),
    "opus": Format(suffix="opus", container="opus", codec="libopus", rates_hz=(48_000,)),
    "m4a": Format(suffix="m4a", container="ipod", codec="aac", rates_hz=(44_100, 48_000)),
    "m4a-alac": Format(suffix="m4a", container="ipod", codec="alac", exact=True),
    "adts": Format(suffix="aac", container="adts", codec="aac"),
    "mka": Format(suffix="mka", container="matroska", codec="flac", exact=True),
    "webm": Format(suffix="webm", container="webm", codec="libopus", rates_hz=(48_000,)),
}
"""Every format under test, by a short name."""

_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 6: "5.1"}


def tone(duration_s: float, sample_rate_hz: int, *, hz: float = 440.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    """A sine as one channel, (1, T)."""
    time_T = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * time_T)).astype(np.float32)[None]


def chord(duration_s: float, sample_rate_hz: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Stereo, a few tones and a little noise that change each half second: something a coder has to work on."""
    rng = np.random.default_rng(seed)
    samples = round(duration_s * sample_rate_hz)
    piece = sample_rate_hz // 2
    out_CT = np.zeros((2, samples), np.float32)
    for start in range(0, samples, piece):
        time_T = np.arange(min(piece, samples - start)) / sample_rate_hz
        for hz in rng.uniform(80, 3000, 4):
            out_CT[:, start : start + len(time_T)] += (
                rng.uniform(0.03, 0.12, (2, 1)) * np.sin(2 * np.pi * hz * time_T)
            ).astype(np.float32)
    return out_CT + rng.normal(0, 0.01, out_CT.shape).astype(np.float32)


def write_audio(
    path: Path,
    audio_CT: NDArray[np.float32],
    sample_rate_hz: int,
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Encode `audio_CT` as `FORMATS[name]`; the file's suffix is the caller's. `tags`: not for Vorbis."""
    how = FORMATS[name]
    if how.codec == "vorbis":  # PyAV's wheel reads Vorbis but has no good encoder for it
        with soundfile.SoundFile(path, "w", sample_rate_hz, len(audio_CT), format="OGG", subtype="VORBIS") as file:
            for start in range(0, audio_CT.shape[1], 1 << 14):
                file.write(audio_CT[:, start : start + (1 << 14)].T)
        return path
    with av.open(str(path), "w", format=how.container, options=dict(how.options)) as container:
        stream = container.add_stream(how.codec, rate=sample_rate_hz, layout=_LAYOUTS[len(audio_CT)])
        container.metadata.update(tags or {})
        if how.codec == "flac":
            stream.codec_context.options = {"compression_level": "0"}
        _encode(container, stream, audio_CT, sample_rate_hz)
    return path


def write_video(path: Path, audio_CT: NDArray[np.float32], sample_rate_hz: int, *, with_audio: bool = True) -> Path:
    """An mp4 with a small moving picture, and `audio_CT` as its sound unless told otherwise."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        audio = container.add_stream("aac", rate=sample_rate_hz, layout=_LAYOUTS[len(audio_CT)]) if with_audio else None
        for index in range(round(audio_CT.shape[1] / sample_rate_hz * 10)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 5 % 256, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if audio is not None:
            _encode(container, audio, audio_CT, sample_rate_hz)
    return path


def _encode(container: Any, stream: Any, audio_CT: NDArray[np.float32], sample_rate_hz: int) -> None:
    resampler = av.AudioResampler(
        format=stream.codec_context.format, layout=_LAYOUTS[len(audio_CT)], rate=sample_rate_hz,
        frame_size=stream.codec_context.frame_size,
    )  # fmt: skip
    for start in range(0, audio_CT.shape[1], 1 << 16):
        block_CT = np.ascontiguousarray(audio_CT[:, start : start + (1 << 16)], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block_CT, format="fltp", layout=_LAYOUTS[len(audio_CT)])
        frame.sample_rate = sample_rate_hz
        frame.pts = start
        frame.time_base = Fraction(1, sample_rate_hz)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
    for piece in resampler.resample(None):
        container.mux(stream.encode(piece))
    container.mux(stream.encode())
