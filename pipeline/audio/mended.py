"""Headers that FFmpeg refuses or reads half of, with the sizes that their writers could not know or put in two places.

A recorder that writes to a pipe leaves zero or a placeholder where the size of its sound belongs, and players read to
the end of the file; some editors put the sound into several `data` chunks. Such a file is shown to FFmpeg with another
header, in front of the same samples. Nothing is written.
"""

from __future__ import annotations

import io
import struct
from typing import IO

from pipeline.audio.extents import SoundChunk, sound_chunks

__all__ = ["Spliced", "mended"]

_KEPT = (b"LIST", b"id3 ", b"ID3 ", b"fact")
_AU_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}
"""Encoding of an AU file -> bytes a sample, where it is not one."""
_WAVE_UNPACKED = {1, 3, 6, 7, 0xFFFE}
"""Encodings of a WAV file whose frames are single samples: PCM, float, A-law, mu-law, and what an extension names."""
_Piece = bytes | tuple[int, int]
"""Bytes, or where in the file they lie (from, to)."""


class Spliced(io.RawIOBase):
    """A file made of pieces of another one, and of bytes between them."""

    def __init__(self, file: IO[bytes], pieces: list[_Piece]) -> None:
        self._file, self._pieces, self._at = file, pieces, 0
        self._size = sum(_length(piece) for piece in pieces)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        wanted = self._size - self._at if size < 0 else size
        out, start = bytearray(), 0
        for piece in self._pieces:
            stop = start + _length(piece)
            if len(out) < wanted and self._at < stop:
                skip, take = self._at - start, min(stop - self._at, wanted - len(out))
                if isinstance(piece, bytes):
                    part = piece[skip : skip + take]
                else:
                    self._file.seek(piece[0] + skip)
                    part = self._file.read(take)
                out += part
                self._at += len(part)
            start = stop
        return bytes(out)

    def close(self) -> None:
        self._file.close()
        super().close()


def mended(path: str) -> Spliced | None:
    """The file under a header that FFmpeg reads whole; None, as nearly always, where its own header will do."""
    file = open(path, "rb")  # noqa: SIM115 (closed with what is returned)
    pieces = _pieces(file)
    if pieces:
        return Spliced(file, pieces)
    file.close()
    return None


def _pieces(file: IO[bytes]) -> list[_Piece]:
    found = sound_chunks(file)
    end = file.seek(0, 2)
    if found is None:
        return []
    kind, chunks, sound = found
    lasting = [SoundChunk(c.name, c.start, c.size if c.known else end - c.start, c.known) for c in sound]
    lasting = [c for c in lasting if c.start < end]
    if not lasting or (len(lasting) == 1 and lasting[0].known):
        return []
    if kind == b"RIFF" or kind == b"riff":
        return _wave(file, kind, chunks, lasting, end)
    (chunk,) = lasting[:1]
    if kind == b"FORM":
        return _aiff(file, chunks, chunk, end)
    return _au(file, end) if kind == b".snd" else []


def _wave(file: IO[bytes], kind: bytes, chunks: list[SoundChunk], sound: list[SoundChunk], end: int) -> list[_Piece]:
    """RF64, whatever it was: its sizes have room. Only the format goes along, and whole small chunks such as tags.

    The last part of the sound ends with its last whole frame: half a frame is an error to FFmpeg before 8.1.
    """
    frame = _wave_frame(file, chunks)
    spans = [(c.start, min(end, c.start + c.size)) for c in sound]
    begin, stop = spans[-1]
    spans[-1] = (begin, max(begin, stop - sum(to - start for start, to in spans) % frame))
    total = sum(stop - start for start, stop in spans)
    others: list[_Piece] = []
    for chunk in chunks:
        if chunk.name[:4] == b"fmt " or (kind == b"RIFF" and chunk.name in _KEPT):
            span = (chunk.start, min(end, chunk.start + chunk.size))
            others += [chunk.name[:4] + struct.pack("<I", span[1] - span[0]), span]
            others += [b"\0"] if (span[1] - span[0]) % 2 else []
    if not others:
        return []
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, total, total, 0, 0)
    return [b"RF64\xff\xff\xff\xffWAVE" + ds64, *others, b"data\xff\xff\xff\xff", *spans]


def _wave_frame(file: IO[bytes], chunks: list[SoundChunk]) -> int:
    """Bytes of one sample of all channels, where samples are not packed into blocks; else 1."""
    form = next((chunk.start for chunk in chunks if chunk.name[:4] == b"fmt "), None)
    if form is None:
        return 1
    file.seek(form)
    encoding, _, _, _, block = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
    return max(1, block) if encoding in _WAVE_UNPACKED else 1


def _au(file: IO[bytes], end: int) -> list[_Piece]:
    """Without a size, up to the last whole frame: half a frame is an error to FFmpeg before 8.1."""
    file.seek(4)
    start, _, encoding, _, channels = struct.unpack(">5I", file.read(20).ljust(20, b"\0"))
    frame = max(1, _AU_BYTES.get(encoding, 1) * channels)
    return [(0, 8), b"\xff\xff\xff\xff", (12, max(24, end - (end - start) % frame))]


def _aiff(file: IO[bytes], chunks: list[SoundChunk], sound: SoundChunk, end: int) -> list[_Piece]:
    """The sizes of FORM and SSND, and the count of frames in COMM."""
    common = next((c for c in chunks if c.name == b"COMM" and c.start < sound.start), None)
    if common is None or end < sound.start + 8:
        return []
    file.seek(common.start)
    channels, _, bits = struct.unpack(">hIh", file.read(8).ljust(8, b"\0"))
    frame = max(1, channels * -(-bits // 8))
    size = max(8, min(sound.size, end - sound.start, 0xFFFFFFFF))
    return [
        b"FORM" + struct.pack(">I", min(end - 8, 0xFFFFFFFF)),
        (8, common.start + 2),
        struct.pack(">I", (size - 8) // frame),
        (common.start + 6, sound.start - 4),
        struct.pack(">I", size),
        (sound.start, end),
    ]


def _length(piece: _Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
