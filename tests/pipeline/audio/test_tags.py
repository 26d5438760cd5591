"""Tags of every container under one set of names, and what becomes of them beside a list's columns."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pipeline.audio.pieces import cut_track
from pipeline.config import ClipsConfig
from pipeline.known import known_columns
from pipeline.records import Track
from tests.audio_files import FORMATS, tone, write_audio

_GIVEN = {
    "title": "Tïtle €",
    "artist": "Ärtist",
    "album": "Albüm",
    "album_artist": "All of them",
    "track": "3/12",
    "date": "1999-05-04",
    "genre": "Rock",
    "copyright": "(c) 1999 Nobody",
    "comment": "hello",
    "ISRC": "USRC17607839",
    "LICENSE": "CC-BY-4.0",
    "MUSICBRAINZ_ALBUMID": "aaaa-1111",
}
_READ = {
    "title": "Tïtle €",
    "artist": "Ärtist",
    "album": "Albüm",
    "album_artist": "All of them",
    "track_number": "3/12",
    "date": "1999-05-04",
    "genre": "Rock",
    "copyright": "(c) 1999 Nobody",
    "comment": "hello",
    "isrc": "USRC17607839",
    "licence": "CC-BY-4.0",
    "musicbrainz_albumid": "aaaa-1111",
}


def tags_of(path: Path) -> dict[str, str]:
    info, _ = cut_track(str(path), ClipsConfig(clip_s=0.5, sample_rates_hz=(16_000,)))
    return dict(info.tags)


@pytest.mark.parametrize("name", ["mp3", "flac", "opus", "mka", "webm"])
def test_every_tag_has_one_name_in_every_container(tmp_path: Path, name: str) -> None:
    rate = FORMATS[name].rates_hz[0]
    path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", tone(1, rate), rate, name, tags=_GIVEN)
    assert tags_of(path) == _READ


def test_what_mp4_wav_and_aiff_can_hold(tmp_path: Path) -> None:
    rate = 44_100
    m4a = write_audio(tmp_path / "a.m4a", tone(1, rate), rate, "m4a", tags=_GIVEN)
    plain = {name: _READ[name] for name in ("title", "artist", "album", "date", "genre", "copyright", "comment")}
    assert tags_of(m4a) == plain | {"album_artist": "All of them", "track_number": "3/12"}
    wav = write_audio(tmp_path / "a.wav", tone(1, rate), rate, "wav-s16", tags=_GIVEN)
    assert tags_of(wav) == plain | {"track_number": "3/12", "isrc": "USRC17607839"}
    aiff = write_audio(tmp_path / "a.aiff", tone(1, rate), rate, "aiff", tags={"title": "Tïtle €"})
    assert tags_of(aiff) == {"title": "Tïtle €"}


def _bare_mp3(tmp_path: Path) -> bytes:
    data = write_audio(tmp_path / "bare.mp3", tone(1, 44_100), 44_100, "mp3").read_bytes()
    return data[data.index(b"\xff\xfb") :]


def _syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


@pytest.mark.parametrize("version", [3, 4])
def test_the_id3_frames_that_ffmpeg_passes_over(tmp_path: Path, version: int) -> None:
    def frame(name: bytes, data: bytes) -> bytes:
        return name + (_syncsafe(len(data)) if version == 4 else struct.pack(">I", len(data))) + b"\0\0" + data

    picture = b"\0image/png\0\3\0" + bytes(40_000)
    frames = frame(b"APIC", picture) + frame(b"TIT2", b"\1" + "Tïtle €".encode("utf-16"))
    frames += frame(b"TSRC", b"\0USRC17607839") + frame(b"WCOP", b"http://creativecommons.org/licenses/by/4.0/")
    frames += frame(b"UFID", b"http://www.id3.org/dummy\0xx") + frame(b"UFID", b"http://musicbrainz.org\0f1b2-0001")
    tag = b"ID3" + bytes([version, 0, 0]) + _syncsafe(len(frames) + 500) + frames + bytes(500)
    (tmp_path / "a.mp3").write_bytes(tag + _bare_mp3(tmp_path))
    assert tags_of(tmp_path / "a.mp3") == {
        "title": "Tïtle €",
        "isrc": "USRC17607839",
        "licence": "http://creativecommons.org/licenses/by/4.0/",
        "musicbrainz_trackid": "f1b2-0001",
    }


def _id3v2_2(tmp_path: Path) -> bytes:
    frames = b"TT2" + (9).to_bytes(3, "big") + b"\0Old song" + b"TP1" + (5).to_bytes(3, "big") + b"\0Some"
    return b"ID3\x02\0\0" + _syncsafe(len(frames)) + frames + _bare_mp3(tmp_path)


def _id3v1(tmp_path: Path) -> bytes:
    tag = b"TAG" + "Café".encode("latin-1").ljust(30, b"\0") + b"Some".ljust(30) + bytes(30) + b"1987" + bytes(28)
    return _bare_mp3(tmp_path) + tag + b"\0\x07\x11"


def _ape(tmp_path: Path, behind: bytes = b"") -> bytes:
    def item(name: str, value: bytes, flags: int = 0) -> bytes:
        return struct.pack("<II", len(value), flags) + name.encode() + b"\0" + value

    items = item("Cover Art (Front)", b"c.jpg\0" + bytes(5_000), 2) + item("Title", "Café".encode())
    items += item("Artist", b"A\0B") + item("ISRC", b"USRC17607839") + item("Year", b"1987")

    def mark(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2_000, len(items) + 32, 5, flags) + bytes(8)

    return _bare_mp3(tmp_path) + mark(0xA0000000) + items + mark(0x80000000) + behind


def test_old_tags_of_mp3_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(_id3v2_2(tmp_path))
    assert tags_of(path) == {"title": "Old song", "artist": "Some"}
    path.write_bytes(_id3v1(tmp_path))
    assert tags_of(path) == {
        "title": "Café",
        "artist": "Some",
        "date": "1987",
        "genre": "Rock",
        "track_number": "7",
    }
    ape = {"title": "Café", "artist": "A;B", "isrc": "USRC17607839", "date": "1987"}
    path.write_bytes(_ape(tmp_path))
    assert tags_of(path) == ape
    path.write_bytes(_ape(tmp_path, b"TAG" + b"Cut short".ljust(30, b"\0") + bytes(94) + b"\xff"))
    assert tags_of(path) == ape


def test_damaged_tags_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    whole = _ape(tmp_path)
    for at in range(len(whole) - 5_200, len(whole), 97):
        data = bytearray(whole)
        data[at] ^= 0xFF
        (tmp_path / "a.mp3").write_bytes(data)
        assert tags_of(tmp_path / "a.mp3").keys() <= {"title", "artist", "isrc", "date"}


def test_a_comment_is_one_line_and_a_copyright_may_be_a_licence(tmp_path: Path) -> None:
    given = {"comment": "one\n\ttwo" + " x" * 2_000, "copyright": "CC BY-SA 3.0"}
    found = tags_of(write_audio(tmp_path / "a.flac", tone(1, 8_000), 8_000, "flac", tags=given))
    assert found["comment"].startswith("one two x x")
    assert len(found["comment"]) <= 1_000
    assert found["licence"] == found["copyright"] == "CC BY-SA 3.0"


def test_the_list_wins_and_both_are_named() -> None:
    track = Track(
        track_id="t", key="k", path="p", title="As listed", licence="CC0-1.0", extra=(("date", "2001"), ("bpm", "90"))
    )
    file = {
        "title": "As tagged",
        "artist": "Ada",
        "album": "One",
        "genre": "Folk/rock; folk, Other",
        "date": "1999",
        "comment": "hello",
    }
    assert known_columns(track, file) == {
        "title": "As listed",
        "artist": "Ada",
        "album": "One",
        "isrc": "",
        "licence": "CC0-1.0",
        "tags": ["Folk", "rock"],
        "extra": [
            {"name": "bpm", "value": "90"},
            {"name": "comment", "value": "hello"},
            {"name": "date", "value": "2001"},
        ],
        "from_list": ["bpm", "date", "licence", "title"],
        "from_file": ["album", "artist", "comment", "date", "tags", "title"],
    }
    assert known_columns(Track(track_id="t", key="k", path="p", tags=("calm",)), file)["tags"] == ["calm"]
    assert known_columns(track, {})["from_file"] == []
