"""Where the sound of a bare MP3 or AAC stream begins and ends, between tags and pictures.

FFmpeg hands tags at the end of such a file on as packets; none of them is damaged sound.
"""

from __future__ import annotations

import mmap
from typing import IO

__all__ = ["sound_end", "sound_start"]

_ZEROS = 4096
_PICTURES = ((b"\xff\xd9", b"\xff\xd8\xff"), (b"IEND\xaeB`\x82", b"\x89PNG\r\n\x1a\n"))
"""The last and the first bytes of JPEG and PNG."""


def sound_end(file: IO[bytes]) -> int:
    """The byte behind the last one of sound: in front of tags (ID3v1, Lyrics3, APEv2, ID3v2), bare pictures and zeros,
    in any order."""
    start = sound_start(file)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = len(data)
        while end > start and (shorter := max(start, _without_last(data, start, end))) < end:
            end = shorter
        return end


def sound_start(file: IO[bytes]) -> int:
    """Where the sound begins behind ID3v2 tags."""
    at = 0
    while True:
        file.seek(at)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            return at
        size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
        at += 10 + size + (10 if tag[5] & 0x10 else 0)


def _without_last(data: mmap.mmap, start: int, end: int) -> int:
    if data[end - 128 : end - 125] == b"TAG" and end >= 128:
        return end - 128
    if data[end - 32 : end - 24] == b"APETAGEX" and end >= 32:
        size, flags = _u32(data, end - 20), _u32(data, end - 12)
        return max(0, end - size - (32 if flags >> 31 else 0))
    if data[end - 9 : end] == b"LYRICS200" and data[end - 15 : end - 9].isdigit():
        return max(0, end - 15 - int(data[end - 15 : end - 9]))
    if data[end - 10 : end - 7] == b"3DI":  # ID3v2.4 with a footer
        return max(0, end - 20 - _syncsafe(data, end - 4))
    at = data.rfind(b"ID3", start + 1, end)
    while at > 0:
        if data[at + 3] in (2, 3, 4) and at + 10 + _syncsafe(data, at + 6) == end:
            return at
        at = data.rfind(b"ID3", start + 1, at)
    for last, first in _PICTURES:
        if data[end - len(last) : end] == last and (at := data.rfind(first, start + 1, end)) > 0:
            return at
    if data[end - 1] == 0:
        return _before_zeros(data, end)
    return end


def _before_zeros(data: mmap.mmap, end: int) -> int:
    """A frame may end in a few zeros of its own; more are none."""
    start = end
    while start > 0 and not any(data[max(0, start - _ZEROS) : start]):
        start = max(0, start - _ZEROS)
    if start == end:
        return end
    return max(0, start - _ZEROS) + len(data[max(0, start - _ZEROS) : start].rstrip(b"\0"))


def _u32(data: mmap.mmap, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _syncsafe(data: mmap.mmap, at: int) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(data[at : at + 4], (21, 14, 7, 0), strict=False))
