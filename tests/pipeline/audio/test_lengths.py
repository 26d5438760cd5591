"""Whole files whose headers mislead, and true truncations of the same files: which are found, format by format."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.audio.claims import Promise
from pipeline.audio.decode import Holes
from pipeline.audio.extents import Extent
from pipeline.audio.pieces import Piece, cut_track
from pipeline.config import ClipsConfig
from pipeline.errors import DecodeFailure
from tests.audio_files import FORMATS, chord, tone, write_audio

RATE, SECONDS = 44_100, 12
CONFIG = ClipsConfig(clip_s=5.0, sample_rates_hz=(16_000,))
_PCM = (tone(SECONDS, RATE)[0] * 32767).astype("<i2").repeat(2).tobytes()
_BLOCK = 4
_FMT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, RATE, RATE * _BLOCK, _BLOCK, 16)


def end_of(path: Path) -> str:
    """`2 clips`, or the reason why there is none."""
    try:
        _, pieces = cut_track(str(path), CONFIG)
    except DecodeFailure as failure:
        return failure.reason
    return f"{sum(isinstance(piece, Piece) for piece in pieces)} clips"


def whole_and_cut(path: Path, data: bytes) -> tuple[str, str]:
    """What becomes of the file, and of its first 60 %."""
    path.write_bytes(data)
    whole = end_of(path)
    path.write_bytes(data[: len(data) * 6 // 10])
    return whole, end_of(path)


def wav(*, size: int = len(_PCM), riff: int = 0xFFFFFFFF, bytes_per_s: int = RATE * _BLOCK) -> bytes:
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, RATE, bytes_per_s, _BLOCK, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + fmt + b"data" + struct.pack("<I", size) + _PCM


@pytest.mark.parametrize("bytes_per_s", [RATE * 2, RATE * 8, 0, 1])
def test_a_wav_s_average_byte_rate_promises_nothing(tmp_path: Path, bytes_per_s: int) -> None:
    assert whole_and_cut(tmp_path / "a.wav", wav(bytes_per_s=bytes_per_s)) == ("2 clips", "truncated")


STREAMED = [0, 2_000_000_000, 1 << 30, 0x7F000000, 0x7FFFF000, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF - 44, 0xFFFFFFFF]


@pytest.mark.parametrize("size", STREAMED)
@pytest.mark.parametrize("kind", ["wav", "aiff", "au"])
def test_a_size_that_streams_have_promises_nothing(tmp_path: Path, kind: str, size: int) -> None:
    big_endian = np.frombuffer(_PCM, "<i2").astype(">i2").tobytes()
    common = b"COMM" + struct.pack(">IhIh", 18, 2, size // 4, 16) + bytes.fromhex("400eac44000000000000")
    data = {
        "wav": wav(size=size, riff=size),
        "aiff": b"FORM" + struct.pack(">I", size) + b"AIFF" + common + b"SSND" + struct.pack(">III", size, 0, 0),
        "au": b".snd" + struct.pack(">IIIII", 24, size, 3, RATE, 2),
    }[kind]
    assert whole_and_cut(tmp_path / f"a.{kind}", data if kind == "wav" else data + big_endian) == ("2 clips", "1 clips")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 1 << 40, 2**63 - 1, 2**64 - 1])
def test_an_rf64_that_was_never_finished(tmp_path: Path, size: int) -> None:
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, size, size, size // 4, 0)
    data = b"RF64\xff\xff\xff\xffWAVE" + ds64 + _FMT + b"data\xff\xff\xff\xff" + _PCM
    assert whole_and_cut(tmp_path / "a.wav", data) == ("2 clips", "1 clips")


@pytest.mark.parametrize("size", [len(_PCM), 123_456_788, 1_234_567_890])
def test_a_size_that_a_recorder_can_mean_is_a_promise(tmp_path: Path, size: int) -> None:
    whole = "2 clips" if size == len(_PCM) else "truncated"
    assert whole_and_cut(tmp_path / "a.wav", wav(size=size, riff=size + 36)) == (whole, "truncated")


@pytest.mark.parametrize("between", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_two_data_chunks_are_one_sound(tmp_path: Path, between: bytes) -> None:
    half = len(_PCM) // 2
    first, second = (b"data" + struct.pack("<I", half) + part for part in (_PCM[:half], _PCM[half:]))
    body = b"WAVE" + _FMT + first + between + second
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    assert whole_and_cut(tmp_path / "a.wav", data) == ("2 clips", "truncated")
    (tmp_path / "one.wav").write_bytes(wav())
    (tmp_path / "two.wav").write_bytes(data)
    (one, *_), (two, *_) = (list(cut_track(str(tmp_path / f"{name}.wav"), CONFIG)[1]) for name in ("one", "two"))
    assert isinstance(one, Piece)
    assert isinstance(two, Piece)
    np.testing.assert_array_equal(one.mono_T, two.mono_T)


def _picture(name: str, dice: random.Random) -> bytes:
    body = b"\xff\xd8\xff\xe0" + dice.randbytes(40_000) + b"\xff\xd9"
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    item = struct.pack("<II", len(body) + 10, 2) + b"Cover Art (Front)\0cover.jpg\0" + body

    def ape(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)

    return {
        "id3v2": b"ID3\x03\0\0" + size + body,
        "apev2": ape(0xA0000000) + item + ape(0x80000000),
        "apev2 and id3v1": ape(0xA0000000) + item + ape(0x80000000) + b"TAG" + bytes(125),
        "jpeg": body,
        "zeros": bytes(60_000),
    }[name]


@pytest.mark.parametrize("behind", ["id3v2", "apev2", "apev2 and id3v1", "jpeg", "zeros"])
@pytest.mark.parametrize("name", ["mp3", "mp3-no-header", "adts"])
def test_what_stands_behind_the_sound_is_no_sound(tmp_path: Path, name: str, behind: str) -> None:
    path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(SECONDS, RATE), RATE, name)
    data = path.read_bytes()
    path.write_bytes(data + _picture(behind, random.Random(0)))
    info, _ = cut_track(str(path), CONFIG)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.1)
    assert info.decode_errors == 0
    cut = whole_and_cut(path, data)[1]
    assert cut == ("truncated" if name == "mp3" else "1 clips"), "where nothing counts frames it is as long as it is"


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg"])
def test_two_joined_files_are_as_long_as_both(tmp_path: Path, name: str) -> None:
    first = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(SECONDS, RATE), RATE, name)
    second = write_audio(tmp_path / f"b.{FORMATS[name].suffix}", tone(SECONDS, RATE).repeat(2, 0), RATE, name)
    assert whole_and_cut(first, first.read_bytes() + second.read_bytes()) == ("4 clips", "truncated")


ADPCM_AND_OTHERS = ["adpcm_ima_wav", "adpcm_ms", "pcm_mulaw"]


@pytest.mark.parametrize("codec", ADPCM_AND_OTHERS)
def test_codecs_whose_byte_rate_is_nominal(tmp_path: Path, codec: str) -> None:
    path = _muxed(tmp_path / "a.wav", "wav", codec)
    assert whole_and_cut(path, path.read_bytes()) == ("2 clips", "truncated")


def _muxed(
    path: Path, container: str, codec: str, *, start_s: float = 0, jitter_s: float = 0, subtitle_s: float = 0
) -> Path:
    """Twelve seconds with stamps as given, and perhaps a subtitle track that lasts longer."""
    rate = 48_000 if codec == "libopus" else RATE
    with av.open(str(path), "w", format=container) as out:
        sound = out.add_stream(codec, rate=rate, layout="stereo", bit_rate=128_000)
        if subtitle_s:
            with av.open(_subtitle_file(path.with_suffix(".srt"), subtitle_s)) as texts:
                words = out.add_stream_from_template(texts.streams.subtitles[0])
                for packet in texts.demux():
                    if packet.dts is not None:
                        packet.stream = words
                        out.mux(packet)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(tone(SECONDS, rate).repeat(2, 0), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="stereo", rate=rate)
        for piece in resampler.resample(frame):
            piece.pts = None
            fifo.write(piece)
        packets = []
        while block := fifo.read(sound.codec_context.frame_size or 1024, partial=True):
            packets += sound.encode(block)
        lead_s = 0.0
        for packet in packets + sound.encode():
            assert packet.pts is not None
            assert packet.time_base is not None
            at_s = float(packet.pts * packet.time_base)
            lead_s = jitter_s if int(at_s) % 2 else max(0.0, lead_s - 0.015)  # back in steps, or stamps would fall
            shift = round((start_s + lead_s) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, (packet.dts or 0) + shift
            out.mux(packet)
    return path


def _subtitle_file(path: Path, until_s: float) -> str:
    path.write_text(f"1\n00:00:01,000 --> 00:00:{until_s:02.0f},000\nla\n")
    return str(path)


@pytest.mark.parametrize("codec", ["libopus", "flac"])
@pytest.mark.parametrize("what", [{"start_s": 60.0}, {"jitter_s": 0.06}, {"jitter_s": 0.2}, {"subtitle_s": 59.0}])
def test_a_matroska_file_s_duration_is_no_promise_and_its_size_is(
    tmp_path: Path, codec: str, what: dict[str, float]
) -> None:
    path = _muxed(tmp_path / "a.mka", "matroska", codec, **what)
    assert whole_and_cut(path, path.read_bytes()) == ("2 clips", "truncated")


def test_a_track_that_begins_late_in_an_mp4(tmp_path: Path) -> None:
    path = _muxed(tmp_path / "a.m4a", "ipod", "aac", start_s=60.0)
    assert whole_and_cut(path, path.read_bytes()) == ("2 clips", "truncated")


def _plain(name: str) -> Callable[[Path], Path]:
    rate = FORMATS[name].rates_hz[0]
    return lambda path: write_audio(path.with_suffix("." + FORMATS[name].suffix), chord(SECONDS, rate), rate, name)


def _live(container: str, codec: str) -> Callable[[Path], Path]:
    return lambda path: _muxed(path, container, codec)


TABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    **{name: (_plain(name), "truncated") for name in ("wav-s16", "wav-f32", "wav-mulaw", "w64", "aiff", "flac", "mp3")},
    **{name: (_plain(name), "truncated") for name in ("ogg", "opus", "m4a", "m4a-alac", "mka", "webm")},
    "au": (_live("au", "pcm_s16be"), "truncated"),
    "caf": (_live("caf", "pcm_s16be"), "truncated"),
    "wma": (_live("asf", "wmav2"), "truncated"),
    "avi": (_live("avi", "pcm_s16le"), "truncated"),
    "mov": (_live("mov", "aac"), "truncated"),
    "wavpack": (_live("wv", "wavpack"), "truncated"),
    "tta": (_live("tta", "tta"), "truncated"),
    "mp3-no-header": (_plain("mp3-no-header"), "1 clips"),
    "adts": (_plain("adts"), "1 clips"),
    "ac3": (_live("ac3", "ac3"), "1 clips"),
    "mpegts": (_live("mpegts", "mp2"), "1 clips"),
}
"""As in docs/rejects.md: what becomes of the first 60 % of a file."""


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_formats(tmp_path: Path, name: str) -> None:
    make, expected = TABLE[name]
    path = make(tmp_path / "a.bin")
    assert whole_and_cut(path, path.read_bytes()) == ("2 clips", expected)


def test_a_fragmented_mp4_that_ends_in_a_fragment(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="mp4", options={"movflags": "frag_every_frame+empty_moov"}) as out:
        sound = out.add_stream("aac", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(tone(SECONDS, RATE).repeat(2, 0), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        fifo = av.AudioFifo()
        fifo.write(frame)
        while block := fifo.read(1024, partial=True):
            out.mux(sound.encode(block))
        out.mux(sound.encode())
    assert whole_and_cut(path, path.read_bytes()) == ("2 clips", "truncated")


def _ogg_crc(page: bytes) -> bytes:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return struct.pack("<I", crc)


def test_an_ogg_file_that_has_its_headers_twice_is_read_by_libsndfile(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.ogg", chord(SECONDS, RATE), RATE, "ogg")
    whole = path.read_bytes()
    starts = [at for at in range(len(whole)) if whole.startswith(b"OggS\0", at)]
    pages = [bytearray(whole[at:end]) for at, end in zip(starts, [*starts[1:], len(whole)], strict=True)]
    heads = next(i for i, page in enumerate(pages) if i and int.from_bytes(page[6:14], "little"))
    again = [bytearray(page) for page in pages[:heads]]
    again[0][5] = 0  # not marked as a beginning: the same stream
    out = b""
    for number, page in enumerate(pages[:heads] + again + pages[heads:]):
        page[18:26] = struct.pack("<II", number, 0)
        page[22:26] = _ogg_crc(page)
        out += page
    with pytest.raises(av.error.InvalidDataError):
        (tmp_path / "twice.ogg").write_bytes(out)
        av.open(str(tmp_path / "twice.ogg"))
    info, _ = cut_track(str(tmp_path / "twice.ogg"), CONFIG)
    assert (info.container, info.codec, info.channels) == ("ogg", "vorbis", 2)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.1)
    assert whole_and_cut(path, out) == ("2 clips", "truncated")
    path.write_bytes(b"OggS" + bytes(4000))
    assert end_of(path) == "corrupt"


def test_seconds_promised() -> None:
    half = Extent(promised=200, there=100)
    assert Promise(extent=half).seconds(3.0) == 6.0
    assert Promise(extent=half, stated_s=7.0).seconds(3.0) == 7.0
    assert Promise(extent=Extent(promised=200, there=200), stated_s=60.0).seconds(3.0) == 3.0
    assert Promise(counted_s=5.0, extent=half).seconds(3.0) == 5.0
    assert Promise().seconds(3.0) is Promise(breaks_off="x").seconds(3.0) is None


@pytest.mark.parametrize(
    ("leads", "lost"),
    [
        ([0, 0, 2.0, 2.0], [2.0]),
        ([0, 0.5, 0.5, 1.5], [0.5, 1.0]),
        ([0, 0.06, 0.06, 0, 0.06, 0], []),
        ([0, 0.06, 0.0, 0.06], []),
        ([0, 0.2, 0.2, 0.0, 3.0, 3.0], [3.0]),
        ([0.04 * i for i in range(100)], []),
        ([60, 60, 60.01], []),
    ],
)
def test_holes_are_what_later_stamps_do_not_take_back(leads: list[float], lost: list[float]) -> None:
    holes = Holes()
    for lead_s in leads:
        holes.note(lead_s)
    assert holes.lost_s() == pytest.approx(lost)


def test_no_header_makes_the_readers_of_headers_fail(tmp_path: Path) -> None:
    """Whatever stands in a header, a file ends as clips or as a reject."""
    seeds = [TABLE[name][0](tmp_path / f"{name}.bin").read_bytes() for name in TABLE]
    seeds += [wav(size=0), b".snd", b"RIFF", b"FORM" + bytes(30), b"caff" + bytes(20), b"OggS", b"ID3\x04" + bytes(9)]
    dice = random.Random(0)
    for number in range(150):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 12)):
            data[dice.randrange(min(200, len(data)))] = dice.choice((0, 1, 8, 127, 128, 255, dice.randrange(256)))
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data[: dice.choice((len(data), 12, 40, 300, len(data) // 3))] or b"x")
        assert end_of(path)
