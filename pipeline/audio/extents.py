"""Where a container says that its sound ends, so that a file whose end is missing can be told from a short one.

Most containers are chunks with a size each: a chunk that reaches beyond the file has lost its end, unless its size is
one that recorders write while they cannot know it yet. Read here are WAV, RF64, W64, AVI, AIFF, AU, CAF, MP4, Matroska
and ASF, by their first bytes; nothing but headers is read.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["Extent", "SoundChunk", "read_extent", "sound_chunks"]

_LARGEST = 1 << 40
"""A terabyte is 72 days of CD sound: no recorder means that."""
_LARGE = 1 << 29
"""From here on a round number is a stream's placeholder: one in 8,000 true sizes is taken for such."""
_HEADER = 64
"""What writers take off a round number for the header in front."""
_LIMITS = (1 << 31, 1 << 32)
_BELOW_LIMIT = 1 << 16
_MOST_CHUNKS = 100_000
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_ASF_HEAD = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_MATROSKA_HEAD, _MATROSKA_SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_MP4_BOXES = (b"mdat", b"moov", b"moof")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Bytes of sound, in all of the chunks that hold it."""

    promised: int
    there: int
    """Of these, in the file."""
    in_pieces: bool = False
    """Whether the sound lies in fragments, of which only the last one can be incomplete: how many more there were,
    nothing says."""

    @property
    def cut(self) -> bool:
        return self.there < self.promised


@dataclass(frozen=True)
class SoundChunk:
    """One chunk of a container."""

    name: bytes
    start: int
    """Of its body."""
    size: int
    known: bool = True
    """Whether the size can be what its writer meant."""


def read_extent(file: IO[bytes]) -> Extent | None:
    """None where the container states no sizes, or none that mean anything."""
    found = sound_chunks(file)
    if found is None or not found[2] or not all(chunk.known for chunk in found[2]):
        return None
    kind, _, sound = found
    end = file.seek(0, 2)
    there = sum(max(0, min(chunk.size, end - chunk.start)) for chunk in sound)
    pieces = kind == b"ftyp" and any(chunk.name == b"moof" for chunk in sound)
    return Extent(promised=sum(chunk.size for chunk in sound), there=there, in_pieces=pieces)


def sound_chunks(file: IO[bytes]) -> tuple[bytes, list[SoundChunk], list[SoundChunk]] | None:
    """The kind of container, all of its chunks, and those that hold sound; None for one without such chunks."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    kind = b"RIFF" if head[:4] in (b"RF64", b"BW64") else head[:4]
    if head[4:8] == b"ftyp" or head[4:8] in _MP4_BOXES:
        kind = b"ftyp"
    if kind not in _WALKS:
        return None
    walk, names = _WALKS[kind]
    chunks = [
        SoundChunk(c.name, c.start, c.size, c.known and (c.start + c.size <= end or _means_a_size(c.size)))
        for c in itertools.islice(walk(file, end), _MOST_CHUNKS)
    ]
    return kind, chunks, [chunk for chunk in chunks if chunk.name in names]


def _means_a_size(size: int) -> bool:
    """Whether a size beyond the file's end was meant. Streams have zero, all ones, a limit of 31 or 32 bits, or a round
    number, each perhaps less a header."""
    if not 0 < size < _LARGEST:
        return False
    if any(limit - _BELOW_LIMIT <= size <= limit + _HEADER for limit in _LIMITS):
        return False
    return size < _LARGE or not any((size + _HEADER) % unit <= 2 * _HEADER for unit in (1 << 20, 10**6))


def _riff(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    """WAV, and AVI, whose RIFF chunks may be several. RF64 has its size in `ds64`."""
    at, long_size = 0, 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(12)
        name, size = head[:4], int.from_bytes(head[4:8], "little")
        if name in (b"RIFF", b"RF64", b"BW64"):
            at += 12
            continue
        if name == b"ds64":
            (long_size,) = struct.unpack("<Q", file.read(12)[4:].ljust(8, b"\0"))
        if name == b"data" and size == 0xFFFFFFFF:
            size = long_size
        if name == b"data" and size == 0 and not _follows_chunk(file, at + 8, end):
            yield SoundChunk(name, at + 8, 0, known=False)
            return
        yield SoundChunk(b"movi" if head[8:12] == b"movi" else name, at + 8, size)
        if not name.strip().isalnum() or at + 8 + size > end:
            return
        at += 8 + size + size % 2


def _follows_chunk(file: IO[bytes], at: int, end: int) -> bool:
    """Whether an empty chunk was meant: another one, or nothing, stands behind it."""
    file.seek(at)
    head = file.read(8)
    return at >= end or (head[:4].strip().isalnum() and at + 8 + int.from_bytes(head[4:8], "little") <= end)


def _w64(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    at = 40
    while at + 24 <= end:
        file.seek(at)
        name, size = file.read(16), int.from_bytes(file.read(8), "little")
        if size <= 24 and name == _W64_DATA:
            yield SoundChunk(name, at + 24, 0, known=False)
        if size < 24:
            return
        yield SoundChunk(name, at + 24, size - 24)
        at += -(-size // 8) * 8


def _iff(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    at = 12
    while at + 8 <= end:
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(4), "big")
        if name == b"SSND" and size <= 8 and at + 24 < end:
            yield SoundChunk(name, at + 8, 0, known=False)
            return
        yield SoundChunk(name, at + 8, size)
        at += 8 + size + size % 2


def _au(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    file.seek(4)
    start, size = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    yield SoundChunk(b"data", start, size, known=size > 0 or start >= end)


def _caf(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    at = 8
    while at + 12 <= end:
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(8), "big", signed=True)
        if size < 0:  # the last chunk, to the end of the file
            return
        yield SoundChunk(name, at + 12, size)
        at += 12 + size


def _mp4(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    at = 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, body = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), 16
        if size < body:  # 0: to the end of the file
            return
        yield SoundChunk(head[4:8], at + body, size - body)
        at += size


def _matroska(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    """The EBML header and the first segment; one of unknown size, as live streams have it, is none."""
    at = 0
    for _ in range(8):
        file.seek(at)
        head = file.read(12)
        if len(head) < 5:
            return
        length = 9 - head[4].bit_length()
        size = int.from_bytes(head[4 : 4 + length], "big") & ((1 << 7 * length) - 1)
        if length > 8 or size == (1 << 7 * length) - 1:
            return
        yield SoundChunk(head[:4], at + 4 + length, size)
        if head[:4] == _MATROSKA_SEGMENT:
            return
        at += 4 + length + size


def _asf(file: IO[bytes], end: int) -> Iterator[SoundChunk]:
    at = 0
    while at + 24 <= end:
        file.seek(at)
        name, size = file.read(16), int.from_bytes(file.read(8), "little")
        if size < 24:
            return
        yield SoundChunk(name, at + 24, size - 24)
        at += size


_WALKS: dict[bytes, tuple[Callable[[IO[bytes], int], Iterator[SoundChunk]], tuple[bytes, ...]]] = {
    b"RIFF": (_riff, (b"data", b"movi")),
    b"riff": (_w64, (_W64_DATA,)),
    b"FORM": (_iff, (b"SSND",)),
    b".snd": (_au, (b"data",)),
    b"caff": (_caf, (b"data",)),
    b"ftyp": (_mp4, _MP4_BOXES),
    _MATROSKA_HEAD: (_matroska, (_MATROSKA_SEGMENT,)),
    _ASF_HEAD[:4]: (_asf, (_ASF_DATA,)),
}
"""First bytes -> how the chunks are found, and the names of those that hold sound."""
