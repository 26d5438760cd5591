"""`--audio source`: clips cut again from their files, at any rate and in stereo; no changed file is taken."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from numpy.typing import NDArray

from beam_jobs.engine import Engine
from pipeline.audio.pieces import stereo_weights
from pipeline.crate.crate import Crate
from pipeline.errors import BadInput, RunFailed
from pipeline.export.resolve import choose_audio
from pipeline.export.verify import verify_export
from tests.audio_files import write_audio
from tests.crates import label, mine_clips, plan_crate
from tests.exports import clip_rows, export

RATE = 44_100


def sweep(seconds: float, low: float, high: float) -> NDArray[np.float32]:
    """A sine that rises from `low` to `high` Hz, so that each moment has a pitch of its own."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * seconds)))).astype(np.float32)


@pytest.fixture(scope="module")
def stereo_crate(tmp_path_factory: pytest.TempPathFactory, tiny_clap: Path, vocabularies: Path) -> Path:
    """Three tracks of 7 s: stereo with treble in FLAC, the same in Opus, and a mono one at 22,050 Hz; clips of 2 s."""
    root = tmp_path_factory.mktemp("stereo")
    (root / "music").mkdir()
    stereo = np.stack([sweep(7, 200, 2_000), sweep(7, 14_000, 18_000)])
    write_audio(root / "music" / "wide.flac", stereo, RATE, "flac")
    shutil.copy(root / "music" / "wide.flac", root / "music" / "wide2.flac")
    soundfile.write(root / "music" / "narrow.wav", sweep(7, 300, 3_000)[::2], RATE // 2)
    crate = plan_crate(root / "music", root / "crate", tiny_clap)
    with Engine(workers=1) as engine:
        mine_clips(crate, engine)
        label(crate, vocabularies, engine, name="first")
    return root / "crate"


def audio_of(root: Path) -> dict[str, tuple[NDArray[np.float64], int]]:
    rows = [row for file in sorted((root / "data").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return {row["clip_id"]: soundfile.read(io.BytesIO(row["audio"]["bytes"]), always_2d=True) for row in rows}


def test_stereo_at_the_sources_rate_is_the_source_itself(stereo_crate: Path, tmp_path: Path) -> None:
    made = export(stereo_crate, tmp_path / "hf", audio="source", rate_hz=RATE, channels=2)
    found = audio_of(tmp_path / "hf")
    source, _ = soundfile.read(stereo_crate.parent / "music" / "wide.flac", dtype="float64")
    for clip in clip_rows(stereo_crate):
        samples, rate = found[clip["clip_id"]]
        assert (rate, samples.shape) == (RATE, (2 * RATE, 2))
        if clip["source_key"].startswith("wide"):
            start = round(clip["start_s"] * RATE)
            np.testing.assert_allclose(samples, source[start : start + 2 * RATE], atol=2**-15)
            assert np.abs(samples[:, 0] - samples[:, 1]).max() > 0.5
            spectrum = np.abs(np.fft.rfft(samples[:, 1])) ** 2
            assert spectrum[12_000 * 2 :].sum() > 0.9 * spectrum.sum()  # the crate's 24 kHz has none of this
        else:
            np.testing.assert_array_equal(samples[:, 0], samples[:, 1])
    assert made.counts["above-source-rate"] == made.counts["mono-source"] == 3
    assert verify_export(made).holds


def test_mono_at_the_crates_rate_is_what_the_crate_holds(stereo_crate: Path, tmp_path: Path) -> None:
    export(stereo_crate, tmp_path / "hf", audio="source", rate_hz=24_000)
    found = audio_of(tmp_path / "hf")
    for clip in clip_rows(stereo_crate):
        held, _ = soundfile.read(io.BytesIO(clip["audio"]["bytes"]), always_2d=True)
        np.testing.assert_allclose(found[clip["clip_id"]][0], held, atol=2 * 2**-15)


@pytest.mark.parametrize(("codec", "rate"), [("opus", 48_000), ("wav", 32_000)])
def test_other_codecs_have_the_same_sound(stereo_crate: Path, tmp_path: Path, codec: str, rate: int) -> None:
    export(stereo_crate, tmp_path / codec, audio="source", rate_hz=rate, channels=2, codec=codec)
    export(stereo_crate, tmp_path / "flac", audio="source", rate_hz=rate, channels=2)
    exact = audio_of(tmp_path / "flac")
    for clip, (samples, found) in audio_of(tmp_path / codec).items():
        expected, _ = exact[clip]
        assert (found, samples.shape) == (rate, expected.shape)
        error = np.sqrt(((samples - expected) ** 2).mean() / (expected**2).mean())
        assert error < (0.2 if codec == "opus" else 1e-6)


def test_whole_tracks_carry_the_captions_of_their_clips(stereo_crate: Path, tmp_path: Path) -> None:
    made = export(stereo_crate, tmp_path / "hf", audio="source", rate_hz=RATE, channels=2, whole_tracks=True)
    rows = [r for f in sorted((tmp_path / "hf/data").glob("*.parquet")) for r in pq.read_table(f).to_pylist()]
    assert [row["clip_id"] for row in rows] == [row["track_id"] for row in rows]
    assert {row["duration_s"] for row in rows} == {7.0}
    for samples, _ in audio_of(tmp_path / "hf").values():
        assert samples.shape == (7 * RATE, 2)
    assert all(len(row["captions"]) > 3 for row in rows)
    assert (made.counts["clips"], made.counts["clips-joined"], made.counts["clips-in"]) == (3, 6, 9)
    assert verify_export(made).holds


def test_a_source_that_is_gone_or_changed_stops_or_is_counted(
    stereo_crate: Path, tmp_path: Path, tiny_clap: Path
) -> None:
    shutil.copytree(stereo_crate.parent, tmp_path / "moved")
    crate_root, music = tmp_path / "moved" / "crate", tmp_path / "moved" / "music"
    plan_crate(music, crate_root, tiny_clap)  # the same tracks lie elsewhere now
    (music / "wide2.flac").write_bytes((music / "wide2.flac").read_bytes()[:-1] + b"\0")
    (music / "narrow.wav").unlink()
    with pytest.raises(RunFailed, match=r"source \S+ of track \S+ cannot be cut again .*--drop-missing"):
        export(crate_root, tmp_path / "hf", audio="source", rate_hz=RATE, channels=2)
    made = export(crate_root, tmp_path / "hf", missing="drop", audio="source", rate_hz=RATE, channels=2)
    dropped = {name: n for name, n in made.counts.items() if name.startswith("dropped:")}
    assert dropped == {"dropped:source-changed": 3, "dropped:source-missing": 3}
    assert made.counts["clips"] == 3
    assert verify_export(made).holds
    shutil.rmtree(music)
    with pytest.raises(
        BadInput, match=r"stable-audio at 44100 Hz .* is not there .*--audio audio \(audio \(24000 Hz mono"
    ):
        choose_audio(
            Crate.open(crate_root),
            audio=None,
            rate_hz=None,
            channels=None,
            wants_hz=RATE,
            wants_channels=2,
            reader="stable-audio",
        )


def test_nothing_is_up_sampled_in_silence(finished_crate: Path) -> None:
    crate = Crate.open(finished_crate)

    def chosen(**asked: object) -> tuple[str, int, int]:
        given = {"audio": None, "rate_hz": None, "channels": None, **asked}
        choice = choose_audio(crate, **given)  # type: ignore[arg-type]
        return choice.audio, choice.rate_hz, choice.channels

    assert chosen() == ("audio", 24_000, 1)
    assert chosen(wants_hz=16_000, wants_channels=1) == ("audio_16k", 16_000, 1)
    assert chosen(rate_hz=22_050) == ("audio", 22_050, 1)
    assert chosen(wants_hz=44_100, wants_channels=2) == ("source", 44_100, 2)
    assert chosen(channels=2) == ("source", 24_000, 2)
    for asked in ({"rate_hz": 44_100}, {"channels": 2}):
        with pytest.raises(BadInput, match=r"--audio audio is 24000 Hz mono, asked for .* comes from its sources"):
            chosen(audio="audio", **asked)
    with pytest.raises(BadInput, match=r"has no audio 'audio_48k'; it has audio \(24000 Hz mono\)"):
        chosen(audio="audio_48k")


def test_more_channels_fold_into_two_without_clipping() -> None:
    for places in (["FL", "FR", "FC", "LFE", "BL", "BR"], ["FL", "FR", "LFE"], ["FL", "FR", "BC"], ["", "", "", ""]):
        left, right = stereo_weights(places)
        assert sum(left) == pytest.approx(1)
        assert sum(right) == pytest.approx(1)
    left, right = stereo_weights(["FL", "FR", "FC", "LFE", "BL", "BR"])
    assert left[0] > left[2] == pytest.approx(left[4])
    assert (left[1], left[3], left[5]) == (0, 0, 0)
    assert right == [left[1], left[0], left[2], left[3], left[5], left[4]]
