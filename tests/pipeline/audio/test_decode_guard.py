"""The child process: clips come out right, and hangs, crashes and bad files cost one track each."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio.decode_guard import DecodeFailure, GuardedDecoder, resample_clip
from pipeline.config import ClipsConfig
from pipeline.errors import RunFailed
from pipeline.records import CutClip, LeftOut
from pipeline.source.fetch import fetched
from tests.audio_files import chord, tone, write_audio
from tests.pipeline.audio.mutations import KINDS, make_good_files, mutate

RATES = (24_000, 16_000, 48_000)


def config(**changes: Any) -> ClipsConfig:
    return ClipsConfig(**{"clip_s": 1.0, "sample_rates_hz": (24_000, 16_000), **changes})


@pytest.fixture
def decoder() -> Iterator[GuardedDecoder]:
    with GuardedDecoder(config(), RATES) as made:
        yield made


@pytest.fixture
def song(tmp_path: Path) -> str:
    return str(write_audio(tmp_path / "song.ogg", chord(8, 44_100), 44_100, "ogg"))


def child_pid(decoder: GuardedDecoder) -> int:
    assert decoder._child is not None
    return decoder._child.pid


def gone(pid: int, within_s: float = 10) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def as_bytes(clips: list[CutClip | LeftOut]) -> list[bytes]:
    return [b"".join(audio.tobytes() for audio in clip.audio.values()) for clip in clips if isinstance(clip, CutClip)]


def test_clips_have_every_rate_exactly(decoder: GuardedDecoder, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", tone(3.5, 44_100, hz=1000), 44_100, "wav-s16")
    info, clips = decoder.cut(str(path))
    assert (info.duration_s, info.sample_rate_hz, info.channels, info.codec) == (3.5, 44_100, 1, "pcm_s16le")
    *kept, rest = clips
    assert isinstance(rest, LeftOut)
    assert (rest.reason, rest.start_s, rest.duration_s) == ("too-short", 3.0, 0.5)
    assert [clip.start_s for clip in kept] == [0, 1, 2]
    for clip in kept:
        assert isinstance(clip, CutClip)
        assert {rate: audio.shape for rate, audio in clip.audio.items()} == {rate: (rate,) for rate in RATES}
        for rate, audio_T in clip.audio.items():
            assert audio_T.dtype == np.float32
            spectrum = np.abs(np.fft.rfft(audio_T))
            assert spectrum.argmax() == 1000, rate
            assert np.sqrt(np.mean(audio_T**2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


def test_the_tracks_own_rate_passes_through(decoder: GuardedDecoder, tmp_path: Path) -> None:
    samples_1T = np.round(tone(1, 16_000) * 32768) / 32768
    path = write_audio(tmp_path / "a.wav", samples_1T, 16_000, "wav-s16")
    (clip,) = decoder.cut(str(path))[1]
    assert isinstance(clip, CutClip)
    np.testing.assert_array_equal(clip.audio[16_000], samples_1T[0])


def test_loud_floats_are_clipped_after_they_were_measured(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", tone(1, 16_000, amplitude=1.5), 16_000, "wav-f32")
    with GuardedDecoder(config(quality={"max_clipped_share": 1.0}), [16_000]) as decoder:
        (clip,) = decoder.cut(str(path))[1]
    assert isinstance(clip, CutClip)
    assert clip.quality.peak == pytest.approx(1.5, abs=1e-3)
    assert np.abs(clip.audio[16_000]).max() == 1


def test_a_clip_stays_what_it_was_after_the_decoder_is_gone(song: str) -> None:
    with GuardedDecoder(config(), [44_100]) as decoder:
        first = [clip for clip in decoder.cut(song)[1] if isinstance(clip, CutClip)]
        before = as_bytes(list(first))
        list(decoder.cut(song)[1])
    assert as_bytes(list(first)) == before


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 44_101, 96_000])
def test_resampling_gives_whole_clips_from_any_rate(rate: int) -> None:
    out_T = resample_clip(tone(1, rate, hz=500)[0], rate, 16_000, 16_000)
    assert out_T.shape == (16_000,)
    expected_T = tone(1, 16_000, hz=500)[0]
    assert np.abs(out_T - expected_T)[500:-500].max() < 2e-3


def test_the_reasons_come_through(decoder: GuardedDecoder, tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no audio at all\n" * 100)
    with pytest.raises(DecodeFailure) as caught:
        decoder.cut(str(tmp_path / "text.mp3"))
    assert (caught.value.reason, caught.value.stage) == ("not-audio", "decode")
    with pytest.raises(DecodeFailure) as caught:
        decoder.cut(str(tmp_path / "none.mp3"))
    assert (caught.value.reason, caught.value.stage) == ("unreadable", "read")


def test_a_file_that_hangs_costs_its_time_limit_and_the_next_one_works(tmp_path: Path, song: str) -> None:
    os.mkfifo(tmp_path / "hang.mp3")  # opening it for reading waits until someone writes
    with GuardedDecoder(config(track_time_limit_s=1.0), RATES) as decoder:
        expected = as_bytes(list(decoder.cut(song)[1]))
        pid, began = child_pid(decoder), time.monotonic()
        with pytest.raises(DecodeFailure, match="nothing decoded for 1 s") as caught:
            decoder.cut(str(tmp_path / "hang.mp3"))
        assert caught.value.reason == "decode-timeout"
        assert time.monotonic() - began < 20
        assert gone(pid)
        assert as_bytes(list(decoder.cut(song)[1])) == expected


def test_a_stopped_child_counts_as_hung(tmp_path: Path, song: str) -> None:
    with GuardedDecoder(config(track_time_limit_s=1.0, clips_per_track=100), RATES) as decoder:
        _, clips = decoder.cut(song)
        next(clips)
        os.kill(child_pid(decoder), signal.SIGSTOP)
        with pytest.raises(DecodeFailure) as caught:
            list(clips)
        assert caught.value.reason == "decode-timeout"
        assert len(as_bytes(list(decoder.cut(song)[1]))) == 8


def test_a_child_killed_once_costs_nothing(decoder: GuardedDecoder, song: str) -> None:
    expected = as_bytes(list(decoder.cut(song)[1]))
    _, clips = decoder.cut(song)
    got = [next(clips)]
    os.kill(child_pid(decoder), signal.SIGKILL)
    got += clips
    assert as_bytes(got) == expected


def test_a_track_that_kills_its_decoder_twice_is_left_out(decoder: GuardedDecoder, song: str) -> None:
    _, clips = decoder.cut(song)

    def kill_with_each_clip() -> None:
        for _ in clips:
            os.kill(child_pid(decoder), signal.SIGKILL)

    with pytest.raises(DecodeFailure) as caught:
        kill_with_each_clip()
    assert caught.value.reason == "decoder-crashed"
    assert caught.value.detail == "the decoder process was ended by SIGKILL, 2 times"
    assert len(as_bytes(list(decoder.cut(song)[1]))) == 6


def test_dropped_clips_do_not_mix_into_the_next_track(decoder: GuardedDecoder, song: str, tmp_path: Path) -> None:
    other = str(write_audio(tmp_path / "b.wav", tone(2, 8_000), 8_000, "wav-s16"))
    expected = as_bytes(list(decoder.cut(other)[1]))
    for clip in decoder.cut(song)[1]:
        assert isinstance(clip, CutClip)
        break
    assert as_bytes(list(decoder.cut(other)[1])) == expected
    _, kept_iterator = decoder.cut(song)
    next(kept_iterator)
    assert as_bytes(list(decoder.cut(other)[1])) == expected
    with pytest.raises(RuntimeError, match="another track was begun"):
        next(kept_iterator)


def test_no_child_is_left_behind(song: str) -> None:
    decoder = GuardedDecoder(config(), RATES)
    decoder.close()
    list(decoder.cut(song)[1])
    pid = child_pid(decoder)
    decoder.close()
    assert gone(pid, within_s=0.1)
    assert len(list(decoder.cut(song)[1])) == 6, "a closed decoder starts again when it is asked"
    decoder.close()


_DIES = """
import os, sys
from pipeline.config import ClipsConfig
from pipeline.audio.decode_guard import GuardedDecoder
decoder = GuardedDecoder(ClipsConfig(clip_s=1.0), [16000])
_, clips = decoder.cut(sys.argv[1])
next(clips)
print(decoder._child.pid, flush=True)
if sys.argv[2:]:
    decoder.cut(sys.argv[2])
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_the_child_ends_when_its_guard_is_killed(song: str, tmp_path: Path, hangs: bool) -> None:
    os.mkfifo(tmp_path / "hang.mp3")
    command = [sys.executable, "-c", _DIES, song]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if not hangs:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert gone(int(done.stdout))
        return
    code = _DIES.replace("next(clips)", "list(clips)")
    with subprocess.Popen(
        [sys.executable, "-c", code, song, str(tmp_path / "hang.mp3")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as guard:
        assert guard.stdout is not None
        pid = int(guard.stdout.readline())
        time.sleep(0.2)
        guard.kill()
    assert gone(pid)


def test_works_in_threads_and_outlives_the_one_that_started_it(song: str) -> None:
    expected: list[bytes] = []
    results: list[list[bytes]] = []
    with GuardedDecoder(config(), RATES) as shared:
        starter = threading.Thread(target=lambda: expected.extend(as_bytes(list(shared.cut(song)[1]))))
        starter.start()
        starter.join()

        def own() -> None:
            with GuardedDecoder(config(), RATES) as decoder:
                results.append(as_bytes(list(decoder.cut(song)[1])))

        threads = [threading.Thread(target=own) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [expected, expected]
        assert as_bytes(list(shared.cut(song)[1])) == expected


def test_nothing_of_the_child_reaches_the_terminal(
    song: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.ogg"
    data = Path(song).read_bytes()
    bad.write_bytes(data[:50_000] + bytes(30_000) + data[80_000:])
    with GuardedDecoder(config(), RATES) as decoder, pytest.raises(DecodeFailure):
        list(decoder.cut(str(bad))[1])
    assert capfd.readouterr() == ("", "")


def test_a_child_that_cannot_start_is_not_the_tracks_fault(song: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.audio.decode_guard._import_path", lambda: ["/nowhere"])
    with pytest.raises(RunFailed, match="the decoder process did not start"):
        GuardedDecoder(config(), RATES).cut(song)


def test_a_child_killed_while_it_starts_costs_nothing(
    song: str, decoder: GuardedDecoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.audio import decode_guard

    expected = as_bytes(list(decoder.cut(song)[1]))
    once = (
        f"import os; p = {str(tmp_path / 'killed')!r}; os.path.exists(p) or (open(p, 'w'), os.kill(os.getpid(), 9)); "
    )
    monkeypatch.setattr(decode_guard, "_BOOT", once + decode_guard._BOOT)
    with GuardedDecoder(config(), RATES) as other:
        assert as_bytes(list(other.cut(song)[1])) == expected
    assert (tmp_path / "killed").exists()
    monkeypatch.setattr(decode_guard, "_BOOT", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(RunFailed, match=r"did not start \(the decoder process was ended by SIGKILL\)"):
        GuardedDecoder(config(), RATES).cut(song)


def test_the_child_is_light(song: str, decoder: GuardedDecoder) -> None:
    list(decoder.cut(song)[1])
    maps = Path(f"/proc/{child_pid(decoder)}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "torch" not in maps.read_text()


def test_mutated_files_are_each_accounted_for(tmp_path: Path) -> None:
    good = make_good_files(tmp_path / "good")
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    pids = set()
    with GuardedDecoder(config(track_time_limit_s=20), [16_000]) as decoder:
        for file in good:
            assert len(as_bytes(list(decoder.cut(str(file))[1]))) == 6, file.name
        for mutant in mutate(good, tmp_path / "bad", count=3 * len(KINDS)):
            began = time.monotonic()
            try:
                with fetched(str(mutant.path)) as (path, _, _):
                    clips = list(decoder.cut(path)[1])
                    assert clips, mutant
                    outcomes[mutant.kind, "clips"] += 1
            except DecodeFailure as failure:
                outcomes[mutant.kind, failure.reason if failure.detail else "no detail"] += 1
            assert time.monotonic() - began < 20, mutant
            pids.add(child_pid(decoder))
    assert sum(outcomes.values()) == 3 * len(KINDS)
    assert len(pids) == 1, "no file killed the decoder"
    assert outcomes["empty", "empty"] == 3
    assert outcomes["text", "not-audio"] == 3
    assert outcomes["zeroed", "not-audio"] == 3
    assert outcomes["wrong-extension", "clips"] == 3
    assert {reason for _, reason in outcomes} <= {
        "clips", "empty", "not-audio", "no-audio", "no-samples", "corrupt", "truncated", "unsupported-format",
        "format-changed",
    }  # fmt: skip


def test_mutations_are_the_same_each_time(tmp_path: Path) -> None:
    good = make_good_files(tmp_path / "good", duration_s=1.0)[:3]
    first = [mutant.path.read_bytes() for mutant in mutate(good, tmp_path / "a", count=14)]
    again = [mutant.path.read_bytes() for mutant in mutate(good, tmp_path / "b", count=14)]
    assert first == again
