"""How long a file's own header says that it is, so that a truncated file can be told from a short one.

FFmpeg answers that question for every file, but from the bit rate where the header is silent, and from the file's size
where a WAV header claims more than there is. Only what a header says counts here.
"""

from __future__ import annotations

import struct
from typing import IO, Any

import av

__all__ = ["claimed_duration_s", "is_film", "mp3_has_frame_count", "wav_data_bytes"]

_EXACT_IN_FFMPEG = {"flac", "aiff", "mov", "ogg", "caf", "au", "wv", "ape", "tta", "dsf", "mpc8"}
"""Demuxers whose stream duration comes from a header (for ogg: from the last page) or is absent."""
_STREAMED_WAV = {0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF}
"""Sizes that recorders and converters write when they cannot know: no claim."""
_MP3_SEARCH = 1 << 16


def claimed_duration_s(container: av.container.InputContainer, stream: Any, path: str) -> float | None:
    """Seconds that the header promises, or None where it promises nothing that can be relied on."""
    names = set(container.format.name.split(","))
    with open(path, "rb") as file:
        if "wav" in names:
            return _wav_duration_s(file)
        if "mp3" in names and not mp3_has_frame_count(file):
            return None
    if names & (_EXACT_IN_FFMPEG | {"mp3"}) and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if "matroska" in names and not is_film(container) and container.duration:
        return float(container.duration / 1_000_000)
    return None


def is_film(container: av.container.InputContainer) -> bool:
    """Whether there is a moving picture, not just a cover."""
    cover = av.stream.Disposition.attached_pic
    return any(not stream.disposition & cover for stream in container.streams.video)


def wav_data_bytes(file: IO[bytes]) -> tuple[int, int] | None:
    """Size that the `data` chunk of a WAV or RF64 file claims, and the header's bytes per second."""
    file.seek(0)
    if file.read(12)[:4] not in (b"RIFF", b"RF64", b"BW64"):
        return None
    bytes_per_s, long_size = 0, 0
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            claimed = long_size if size == 0xFFFFFFFF and long_size else size
            return (claimed, bytes_per_s) if bytes_per_s and claimed not in _STREAMED_WAV else None
        body = file.read(min(size, 28)) if name in (b"fmt ", b"ds64") else b""
        if name == b"fmt " and len(body) >= 16:
            (bytes_per_s,) = struct.unpack_from("<I", body, 8)
        elif name == b"ds64" and len(body) >= 16:
            (long_size,) = struct.unpack_from("<Q", body, 8)
        file.seek(size + size % 2 - len(body), 1)
    return None


def _wav_duration_s(file: IO[bytes]) -> float | None:
    claim = wav_data_bytes(file)
    return claim[0] / claim[1] if claim else None


def mp3_has_frame_count(file: IO[bytes]) -> bool:
    """Whether the first frame is a Xing, Info or VBRI header that counts the frames."""
    file.seek(0)
    tag = file.read(10)
    start = 0
    if len(tag) == 10 and tag[:3] == b"ID3":
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    data = file.read(_MP3_SEARCH)
    frame = 0
    while frame + 4 <= len(data) and not (data[frame] == 0xFF and data[frame + 1] & 0xE0 == 0xE0):
        frame += 1
    if frame + 64 > len(data):
        return False
    mpeg1, mono = data[frame + 1] & 0x18 == 0x18, data[frame + 3] & 0xC0 == 0xC0
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    xing = frame + 4 + side
    if data[xing : xing + 4] in (b"Xing", b"Info"):
        return bool(data[xing + 7] & 1)
    return data[frame + 36 : frame + 40] == b"VBRI"
