"""From files of every format to pieces: lengths, pitches, channels, and what damaged files are said to be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import pipeline.audio.pieces
from pipeline.audio.decode import AudioSource
from pipeline.audio.pieces import Piece, cut_track
from pipeline.config import ClipsConfig
from pipeline.errors import DecodeFailure
from pipeline.records import LeftOut, SourceInfo
from tests.audio_files import FORMATS, chord, tone, write_audio, write_video


def config(**changes: Any) -> ClipsConfig:
    return ClipsConfig(**{"clip_s": 1.0, "sample_rates_hz": (16_000,), **changes})


def cut(path: Path, cfg: ClipsConfig | None = None) -> tuple[SourceInfo, list[Piece | LeftOut]]:
    info, pieces = cut_track(str(path), cfg or config())
    return info, list(pieces)


def failure(path: Path, cfg: ClipsConfig | None = None) -> tuple[str, str]:
    with pytest.raises(DecodeFailure) as caught:
        cut(path, cfg)
    return caught.value.reason, caught.value.detail


def pitch_hz(samples_T: NDArray[np.float32], rate: int) -> float:
    """Of the strongest partial; one bin is 1 / length."""
    spectrum = np.abs(np.fft.rfft(samples_T * np.hanning(len(samples_T))))
    return float(spectrum.argmax() * rate / len(samples_T))


ALL = [(name, rate, channels) for name, how in FORMATS.items() for rate in how.rates_hz for channels in (1, 2)]


@pytest.mark.parametrize(("name", "rate", "channels"), ALL)
def test_every_format_keeps_length_pitch_and_channels(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    audio_CT = np.concatenate([tone(3.5, rate, hz=440, amplitude=0.5)] + [tone(3.5, rate, hz=440, amplitude=0.25)])
    path = write_audio(tmp_path / f"tone.{FORMATS[name].suffix}", audio_CT[:channels], rate, name)
    info, pieces = cut(path)
    assert (info.sample_rate_hz, info.channels, info.decode_errors) == (rate, channels, 0)
    if FORMATS[name].exact:
        assert info.duration_s == pytest.approx(3.5, abs=3 / rate)
    assert info.duration_s == pytest.approx(3.5, abs=0.1)
    clips = [piece for piece in pieces if isinstance(piece, Piece)]
    assert [clip.start_s for clip in clips] == [0, 1, 2]
    amplitude = 0.5 if channels == 1 else 0.375
    for clip in clips:
        assert clip.mono_T.shape == (rate,)
        assert pitch_hz(clip.mono_T, rate) == pytest.approx(440, abs=1)
        assert clip.quality.rms_dbfs == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=1.0)
        if info.codec != "aac":  # FFmpeg's AAC encoder adds clicks to a pure tone
            assert clip.quality.peak == pytest.approx(0.5, abs=0.06)
    rest = pieces[-1]
    assert isinstance(rest, LeftOut)
    assert (rest.reason, rest.start_s, rest.index) == ("too-short", 3, 3)


@pytest.mark.parametrize("name", ["wav-s16", "wav-s32", "wav-f32", "wav-f64", "aiff", "flac", "m4a-alac"])
def test_lossless_formats_agree_with_libsndfile(tmp_path: Path, name: str) -> None:
    path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(2.0, 44_100), 44_100, name)
    if name == "m4a-alac":
        shutil.copy(write_audio(tmp_path / "b.wav", chord(2.0, 44_100), 44_100, "wav-s16"), tmp_path / "oracle")
    else:
        shutil.copy(path, tmp_path / "oracle")
    expected_TC, _ = soundfile.read(tmp_path / "oracle", dtype="float32")
    _, pieces = cut(path)
    mono_T = np.concatenate([piece.mono_T for piece in pieces if isinstance(piece, Piece)])
    np.testing.assert_allclose(mono_T, expected_TC.mean(axis=1), atol=1e-6 if name != "m4a-alac" else 4e-5)


def test_the_sound_of_a_film_is_taken(tmp_path: Path) -> None:
    info, pieces = cut(write_video(tmp_path / "film.mp4", tone(3.5, 44_100), 44_100))
    assert info.codec == "aac"
    assert [piece.start_s for piece in pieces] == [0, 1, 2, 3]


def test_six_channels_are_mixed_by_mean(tmp_path: Path) -> None:
    audio_CT = np.zeros((6, 44_100), np.float32)
    audio_CT[4] = tone(1.0, 44_100, amplitude=0.6)
    _, (piece,) = cut(write_audio(tmp_path / "six.flac", audio_CT, 44_100, "flac"))
    assert isinstance(piece, Piece)
    assert np.abs(piece.mono_T).max() == pytest.approx(0.1, abs=1e-3)
    assert piece.quality.peak == pytest.approx(0.6, abs=1e-3)


def test_a_track_decoded_twice_gives_the_same_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "a.ogg", chord(20, 44_100), 44_100, "ogg")
    _, held = cut(path, config(clip_s=2.0))
    monkeypatch.setattr(pipeline.audio.pieces, "HELD_S", 5.0)
    _, twice = cut(path, config(clip_s=2.0))
    assert len(held) == len(twice) == 6
    for one, other in zip(held, twice, strict=True):
        assert isinstance(one, Piece)
        assert isinstance(other, Piece)
        assert (one.start_s, one.quality) == (other.start_s, other.quality)
        np.testing.assert_array_equal(one.mono_T, other.mono_T)


def test_padding_ends_in_silence(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", tone(1.5, 8_000), 8_000, "wav-s16")
    _, pieces = cut(path, config(short_clip="pad", min_padded_s=0.5))
    padded = pieces[1]
    assert isinstance(padded, Piece)
    assert (padded.start_s, padded.duration_s, len(padded.mono_T)) == (1.0, 0.5, 8_000)
    assert np.abs(padded.mono_T[:4_000]).max() == pytest.approx(0.5, abs=0.01)
    assert not padded.mono_T[4_000:].any()


def test_pieces_are_left_out_one_by_one(tmp_path: Path) -> None:
    audio_1T = tone(6.0, 16_000)
    audio_1T[:, 16_000:32_000] = 0
    audio_1T[:, 32_000:48_000] = np.sign(audio_1T[:, 32_000:48_000])
    audio_1T[:, 48_000:64_000] = 0.25
    audio_1T[0, 70_000] = np.nan
    path = write_audio(tmp_path / "a.wav", audio_1T, 16_000, "wav-f32")
    _, pieces = cut(path)
    assert [piece.reason if isinstance(piece, LeftOut) else "kept" for piece in pieces] == [
        "kept", "silent", "clipped", "constant", "not-finite", "kept",
    ]  # fmt: skip


def _cut_to(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: round(len(data) * share)]


@pytest.mark.parametrize("name", ["wav-s16", "wav-mulaw", "wav-f32", "aiff", "flac", "mp3", "mka", "webm"])
def test_a_truncated_file_is_named_so_wherever_its_header_tells(tmp_path: Path, name: str) -> None:
    rate = FORMATS[name].rates_hz[0]
    whole = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(12, rate)[:1], rate, name)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 4])
    reason, detail = failure(whole)
    assert reason == "truncated"
    found_s, claimed_s = (float(word) for word in detail.replace("s", "").split(" of "))
    assert found_s == pytest.approx(3, abs=0.6)
    assert claimed_s == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_an_ogg_stream_without_its_last_page_is_truncated(tmp_path: Path, name: str) -> None:
    rate = FORMATS[name].rates_hz[0]
    path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(12, rate), rate, name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    reason, detail = failure(path)
    assert (reason, detail.partition(" s, then it ")[2]) == ("truncated", "breaks off: its last page is incomplete")
    path.write_bytes(whole[: whole.rindex(b"OggS")])
    assert failure(path)[1].endswith("breaks off: its last page is not marked as the end of a stream")
    path.write_bytes(whole + b"TAG" + bytes(125))
    assert cut(path)[0].duration_s == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("name", ["mp3-no-header", "adts"])
def test_a_format_that_promises_no_length_is_as_long_as_it_is(tmp_path: Path, name: str) -> None:
    rate = FORMATS[name].rates_hz[0]
    whole = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(12, rate), rate, name)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    info, _ = cut(whole)
    assert info.duration_s == pytest.approx(6, abs=1.5)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_from_a_pipe_promises_nothing(tmp_path: Path, size: int) -> None:
    path = write_audio(tmp_path / "a.wav", tone(2, 8_000), 8_000, "wav-s16")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
    info, _ = cut(path)
    assert info.duration_s == pytest.approx(2, abs=0.01)


def test_a_header_that_claims_a_hundred_hours(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", tone(10, 8_000), 8_000, "flac")
    data = bytearray(path.read_bytes())
    samples = 100 * 3600 * 8_000
    data[21] = (data[21] & 0xF0) | samples >> 32
    data[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    assert failure(path) == ("truncated", "10.0 s of 360000.0 s")


@pytest.mark.parametrize("name", ["flac", "mp3", "adts"])
@pytest.mark.parametrize(("rate", "channels"), [(22_050, 2), (44_100, 1)])
def test_a_change_of_format_on_the_way(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    first = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(3, 44_100), 44_100, name)
    second = write_audio(tmp_path / f"b.{FORMATS[name].suffix}", chord(3, rate)[:channels], rate, name)
    first.write_bytes(first.read_bytes() + second.read_bytes())
    reason, detail = failure(first)
    assert reason == "format-changed"
    assert detail.endswith("frames differ from 44100 Hz x 2")


def test_a_picture_on_the_cover_makes_no_film(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mka", chord(10, 44_100), 44_100, "mka")
    with av.open(str(path)) as bare, av.open(str(tmp_path / "b.flac"), "w") as covered:
        sound = covered.add_stream_from_template(bare.streams.audio[0])
        cover = covered.add_stream("png", width=16, height=16, pix_fmt="rgb24")
        cover.disposition = av.stream.Disposition.attached_pic.value
        covered.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        for packet in bare.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                covered.mux(packet)
    data = (tmp_path / "b.flac").read_bytes()
    assert cut(tmp_path / "b.flac")[0].duration_s == 10
    (tmp_path / "b.flac").write_bytes(data[: len(data) // 2] + bytes(len(data) // 10) + data[len(data) * 6 // 10 :])
    assert failure(tmp_path / "b.flac")[0] == "corrupt"


@pytest.mark.parametrize("name", ["flac", "mka", "m4a"])
def test_a_file_with_many_damaged_packets_is_corrupt(tmp_path: Path, name: str) -> None:
    path = write_audio(tmp_path / f"a.{FORMATS[name].suffix}", chord(10, 44_100), 44_100, name)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 5, len(data) // 2, len(data) // 60):
        data[at : at + 64] = bytes(64)
    path.write_bytes(data)
    assert failure(path)[0] == "corrupt"


def test_one_damaged_packet_costs_that_packet(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", chord(10, 44_100), 44_100, "mp3")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    info, pieces = cut(path)
    assert 1 <= info.decode_errors <= 3
    assert info.duration_s == pytest.approx(10, abs=0.1)
    assert len(pieces) == 6


def test_files_that_are_no_audio(tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("These are no samples, whatever the name says.\n" * 50)
    assert failure(text)[0] == "not-audio"
    silent_film = write_video(tmp_path / "film.mp4", tone(1, 44_100), 44_100, with_audio=False)
    assert failure(silent_film) == ("no-audio", "no audio stream; found video")
    playlist = tmp_path / "list.mp3"
    sound = write_audio(tmp_path / "a.wav", tone(2, 8_000), 8_000, "wav-s16")
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{sound}\n#EXT-X-ENDLIST\n")
    assert failure(playlist)[0] == "not-audio", "a playlist must not open other files"
    header = tmp_path / "header.wav"
    header.write_bytes(sound.read_bytes()[:44])
    assert failure(header)[0] in {"no-samples", "corrupt"}


@pytest.mark.parametrize("name", ["12:30.wav", "concat:a|b.wav", "ü €.wav", "-i.wav", "a%03d.wav", b"\xff\xfe.wav"])
def test_odd_file_names(tmp_path: Path, name: str | bytes) -> None:
    text = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    plain = write_audio(tmp_path / "plain.wav", tone(1, 8_000), 8_000, "wav-s16")
    assert cut(plain.rename(tmp_path / text))[0].duration_s == 1


def test_the_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", tone(1, 8_000), 8_000, "flac").rename(tmp_path / "a.mp3")
    assert cut(path)[0].container == "flac"


def test_the_same_file_gives_the_same_pieces(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", chord(5, 44_100), 44_100, "mp3")
    first, second = cut(path), cut(path)
    assert first[0] == second[0]
    for one, other in zip(first[1], second[1], strict=True):
        if isinstance(one, Piece) and isinstance(other, Piece):
            assert one.mono_T.tobytes() == other.mono_T.tobytes()


_PEAK = """
import re, sys
from pathlib import Path
from pipeline.config import ClipsConfig
from pipeline.audio.pieces import cut_track
info, pieces = cut_track(sys.argv[1], ClipsConfig())
clips = len(list(pieces))
# not getrusage: its peak is inherited from the process that started this one
peak_kib = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(info.duration_s, clips, int(peak_kib) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory from Linux's /proc")
def test_three_hours_are_not_held(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    block_T = (tone(60, 8_000)[0] * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", 8_000, 1, subtype="PCM_16") as file:
        for _ in range(180):
            file.write(block_T)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    duration_s, clips, peak_mib = done.stdout.split()
    assert (float(duration_s), int(clips)) == (10_800, 6)
    assert int(peak_mib) < 150, "three hours as 16-bit numbers alone are 165 MiB"


def test_a_track_says_how_far_it_is_decoded(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", chord(30.0, 44_100), 44_100, "flac")
    heard: list[float] = []
    for _ in AudioSource(str(tmp_path / "a.flac"), heard.append).blocks():
        pass
    assert heard == sorted(heard)
    assert 0 < heard[0] < heard[-1] == pytest.approx(30.0)
