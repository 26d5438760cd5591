"""Recorded music for measuring: two clips of each track of a folder, one early and one late. T samples, mono."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP_S", "recorded_clips"]

CLIP_S = 30.0
_PLACES = (0.15, 0.6)
"""Where clips begin, as a share of the track."""
_LONGEST_S = 900
_SUFFIXES = (".ogg", ".mp3", ".flac", ".wav", ".opus", ".m4a", ".aiff", ".oga")
_SILENT_RMS = 1e-3


def recorded_clips(folder: Path, sample_rate_hz: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """(track, samples) in the order of the files' paths; tracks too short for one clip, and silence, are left out."""
    count = round(CLIP_S * sample_rate_hz)
    for file in sorted(f for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file()):
        audio_T = _decode(file, sample_rate_hz)
        for place in _PLACES if audio_T.size > count else ():
            start = min(int(place * audio_T.size), audio_T.size - count)
            clip_T = audio_T[start : start + count]
            if float(np.sqrt(np.mean(clip_T**2))) > _SILENT_RMS:
                yield file.relative_to(folder).as_posix(), clip_T


def _decode(file: Path, sample_rate_hz: int) -> NDArray[np.float32]:
    import av

    blocks: list[NDArray[np.float32]] = []
    try:
        with av.open(str(file)) as container:
            resampler = av.AudioResampler("fltp", None, sample_rate_hz)
            for frame in container.decode(audio=0):
                blocks += [out.to_ndarray().mean(axis=0) for out in resampler.resample(frame)]
                if frame.time and frame.time > _LONGEST_S:
                    break
    except (av.FFmpegError, IndexError):
        return np.zeros(0, np.float32)
    return np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)
