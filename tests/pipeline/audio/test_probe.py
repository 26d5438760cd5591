"""What is sound by its first bytes, whatever its name."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest

from pipeline.audio.probe import HEAD_BYTES, begins_like_audio, looks_like_audio
from tests.audio_files import FORMATS, chord, tone, write_audio, write_video
from tests.pipeline.audio.test_lengths import TABLE


def head(path: Path) -> bytes:
    return path.read_bytes()[:HEAD_BYTES]


@pytest.mark.parametrize("name", [*FORMATS, *(name for name in TABLE if name not in FORMATS)])
def test_every_format_is_known_without_its_suffix(tmp_path: Path, name: str) -> None:
    if name in FORMATS:
        rate = FORMATS[name].rates_hz[0]
        path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(1, rate), rate, name)
    else:
        path = TABLE[name][0](tmp_path / "a.bin")
    assert looks_like_audio(head(path))
    assert begins_like_audio(head(path))


def test_films_count_and_bare_streams_may_begin_anywhere(tmp_path: Path) -> None:
    assert looks_like_audio(head(write_video(tmp_path / "film.mp4", tone(1, 44_100), 44_100)))
    for name, channels in (("mp3-no-header", 2), ("adts", 1)):
        path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(3, 44_100)[:channels], 44_100, name)
        data = path.read_bytes()
        assert looks_like_audio(bytes(300) + data[:3000])
        assert looks_like_audio(data[len(data) // 2 :][:HEAD_BYTES]), "cut from a broadcast"


def _png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + bytes(17) + zlib.compress(random.randbytes(3_000))


NO_SOUND = {
    "empty": b"",
    "text": b"These are no samples.\n" * 200,
    "utf-16": "Keine Töne, nur Wörter.".encode("utf-16") * 100,
    "zeros": bytes(5_000),
    "png": _png(),
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + random.Random(1).randbytes(4_000),
    "webp": b"RIFF\x10\x10\0\0WEBPVP8 " + random.Random(2).randbytes(4_000),
    "heic": b"\0\0\0\x18ftypheic" + bytes(4_000),
    "midi": b"MThd\0\0\0\x06\0\x01\0\x02\x01\xe0MTrk" + bytes(400),
    "riff midi": b"RIFF\x10\x10\0\0RMIDdata" + bytes(400),
    "module": b"Extended Module: " + bytes(400),
    "zip": b"PK\x03\x04" + random.Random(3).randbytes(4_000),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(4_000),
    "playlist": b"#EXTM3U\na.mp3\n",
}


@pytest.mark.parametrize("name", NO_SOUND)
def test_what_is_no_sound(name: str) -> None:
    assert not looks_like_audio(NO_SOUND[name][:HEAD_BYTES])


def test_random_bytes_are_no_sound() -> None:
    dice = random.Random(0)
    assert sum(looks_like_audio(dice.randbytes(HEAD_BYTES)) for _ in range(500)) == 0
