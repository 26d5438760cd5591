"""What a file promises of its length, so that a truncated file can be told from a short one.

FFmpeg names a length for every file, but guesses it from the bit rate where the header is silent. Only what the file's
own bytes say counts here: where its container says that the sound ends, how many samples or frames its header counts,
or a mark that its end should bear. docs/rejects.md has the table, format by format.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import av

from pipeline.audio.extents import Extent, read_extent
from pipeline.audio.trailing import sound_start

__all__ = ["Promise", "is_film", "ogg_promise", "read_promise"]

_COUNTED_IN_HEADER = {"ape", "tta", "dsf", "mpc", "mpc8", "tak"}
"""Demuxers that take a stream's duration from a header which always has one."""
_MP3_FIRST_FRAME = 1 << 16
"""Bytes behind the tags in which an MP3 file's first frame is looked for."""
_MP3_RATES_HZ = (44_100, 48_000, 32_000)
_OGG_HEAD = 27
_OGG_LAST = 0x04


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What can be held against what was decoded; all of it may be absent."""

    counted_s: float | None = None
    """The header counts samples or frames that come to so many seconds."""
    extent: Extent | None = None
    """Where the container says that the sound ends."""
    stated_s: float | None = None
    """A length that stands in the header for people: the figure where `extent` shows that something is missing."""
    breaks_off: str = ""
    """A sign that the end is missing, where nothing says how much that is."""

    def seconds(self, decoded_s: float) -> float | None:
        """The length that was promised; from a container's sizes it is judged by what was decoded of them."""
        if self.counted_s is not None:
            return self.counted_s
        if self.extent is None or not self.extent.there:
            return None
        if self.extent.cut and self.stated_s is not None:
            return self.stated_s
        return decoded_s * self.extent.promised / self.extent.there


def read_promise(container: av.container.InputContainer, stream: Any, path: str) -> Promise:
    """Of an open file. One format, one kind of promise."""
    names = set(container.format.name.split(","))
    with open(path, "rb") as file:
        if "mp3" in names:
            return Promise(counted_s=_mp3_counted_s(file))
        if "flac" in names:
            return Promise(counted_s=_flac_counted_s(file))
        if "wv" in names:
            return Promise(counted_s=_wavpack_counted_s(file, stream))
        if "ogg" in names:
            return ogg_promise(file)
        extent = read_extent(file)
    if extent is not None and extent.in_pieces:
        return Promise(breaks_off="its last fragment is incomplete" if extent.cut else "")
    if names & _COUNTED_IN_HEADER and stream.duration and stream.time_base:
        return Promise(counted_s=float(stream.duration * stream.time_base))
    return Promise(extent=extent, stated_s=_segment_s(container) if "matroska" in names else None)


def is_film(container: av.container.InputContainer) -> bool:
    """Whether there is a moving picture, not just a cover."""
    cover = av.stream.Disposition.attached_pic
    return any(not stream.disposition & cover for stream in container.streams.video)


def _segment_s(container: av.container.InputContainer) -> float | None:
    """A Matroska segment's duration counts from zero and to the end of the longest track, subtitles included."""
    if len(container.streams) > 1 or not container.duration:
        return None
    return (container.duration - max(0, container.start_time or 0)) / av.time_base


def _flac_counted_s(file: IO[bytes]) -> float | None:
    """The sum over all stream headers of a file that begins with one: joined files have several."""
    seconds, start = 0.0, sound_start(file)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = start if data[start : start + 4] == b"fLaC" else -1
        while at >= 0:
            head = data[at : at + 26]
            packed = int.from_bytes(head[18:26], "big")
            rate_hz, samples = packed >> 44, packed & ((1 << 36) - 1)
            if at == start and not samples:
                return None
            if len(head) == 26 and head[5:8] == b"\0\0\x22" and rate_hz:
                seconds += samples / rate_hz
            at = data.find(b"fLaC", at + 4)
    return seconds or None


def _wavpack_counted_s(file: IO[bytes], stream: Any) -> float | None:
    file.seek(0)
    head = file.read(16)
    samples = int.from_bytes(head[12:16], "little")
    known = head[:4] == b"wvpk" and samples != 0xFFFFFFFF
    return (samples + (head[11] << 32)) / stream.rate if known and stream.rate else None


def _mp3_counted_s(file: IO[bytes]) -> float | None:
    """The sum over the Xing, Info and VBRI headers of a file that begins with one: joined files have several."""
    start = sound_start(file)
    file.seek(start)
    first = next(_mp3_counts(file.read(_MP3_FIRST_FRAME), first_frame=True), None)
    if first is None:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return sum(_mp3_counts(data, start=start)) or None


def _mp3_counts(data: bytes | mmap.mmap, *, start: int = 0, first_frame: bool = False) -> Iterator[float]:
    """Seconds that each counting header in `data` comes to; with `first_frame`, of the first valid frame alone."""
    if first_frame:
        for at in range(len(data) - 4):
            if data[at] == 0xFF and _mp3_frame(data, at):
                yield from _mp3_count(data, at)
                return
        return
    for word, offsets in ((b"Xing", (13, 21, 36)), (b"Info", (13, 21, 36)), (b"VBRI", (36,))):
        at = data.find(word, start)
        while at >= 0:
            for offset in offsets:
                if at >= offset and data[at - offset] == 0xFF and _mp3_frame(data, at - offset):
                    yield from _mp3_count(data, at - offset)
            at = data.find(word, at + 4)


def _mp3_frame(data: bytes | mmap.mmap, at: int) -> tuple[int, int, int] | None:
    """Samples in a frame, its rate in Hz, and the bytes between its header and a Xing header; None for no frame."""
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer, bit_rate, rate = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer == 0 or bit_rate == 15 or rate == 3:
        return None
    mpeg1, mono = version == 3, head >> 6 & 3 == 3
    samples = 384 if layer == 3 else 1152 if layer == 2 or mpeg1 else 576
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return samples, _MP3_RATES_HZ[rate] >> (0 if mpeg1 else 1 if version == 2 else 2), side


def _mp3_count(data: bytes | mmap.mmap, at: int) -> Iterator[float]:
    frame = _mp3_frame(data, at)
    if frame is None:
        return
    samples, rate_hz, side = frame
    xing, vbri = at + 4 + side, at + 36
    frames = 0
    if data[xing : xing + 4] in (b"Xing", b"Info") and data[xing + 7 : xing + 8] and data[xing + 7] & 1:
        frames = int.from_bytes(data[xing + 8 : xing + 12], "big")
    elif data[vbri : vbri + 4] == b"VBRI":
        frames = int.from_bytes(data[vbri + 14 : vbri + 18], "big")
    if frames:
        yield frames * samples / rate_hz


def ogg_promise(file: IO[bytes]) -> Promise:
    """The last page of an Ogg file is marked as the last of its stream."""
    return Promise(breaks_off=_ogg_breaks_off(file))


def _ogg_breaks_off(file: IO[bytes]) -> str:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(b"OggS")
        while at >= 0:
            head = data[at : at + _OGG_HEAD + 255]
            segments = head[_OGG_HEAD - 1] if len(head) >= _OGG_HEAD else 255
            sizes = head[_OGG_HEAD : _OGG_HEAD + segments]
            if len(sizes) < segments or at + _OGG_HEAD + segments + sum(sizes) > len(data):
                return "its last page is incomplete"
            if head[4] == 0 and head[5] < 8:
                return "" if head[5] & _OGG_LAST else "its last page is not marked as the end of a stream"
            at = data.rfind(b"OggS", 0, at)
    return ""
