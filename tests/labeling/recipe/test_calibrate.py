"""What a model is calibrated with: clips of recorded tracks, and the file made from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from labeling.embedders.by_name import load_embedder
from labeling.embedders.scoring import chance_to_hold, read_scoring
from labeling.recipe.judging.calibrate import calibrate, fact_direction
from labeling.recipe.judging.recorded import recorded_clips
from tests.audio_files import chord, write_audio


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    write_audio(folder / "b.flac", chord(100.0, 24_000, seed=1), 24_000, "flac")
    write_audio(folder / "a.wav", chord(40.0, 24_000, seed=2), 24_000, "wav-s16")
    write_audio(folder / "short.wav", chord(20.0, 24_000), 24_000, "wav-s16")
    write_audio(folder / "silent.wav", 0 * chord(60.0, 24_000), 24_000, "wav-s16")
    (folder / "broken.mp3").write_text("no music " * 100)
    return folder


def test_two_clips_of_each_track_that_is_long_enough_and_not_silent(tracks: Path) -> None:
    found = list(recorded_clips(tracks, 24_000))
    assert [name for name, _ in found] == ["a.wav", "a.wav", "b.flac", "b.flac"]
    assert all(clip.shape == (720_000,) for _, clip in found)
    whole = chord(100.0, 24_000, seed=1)
    whole = whole.mean(axis=0) if whole.ndim == 2 else whole
    np.testing.assert_allclose(found[2][1], whole[360_000 : 360_000 + 720_000], atol=2e-3)  # from 15 % on


def test_the_file_holds_the_mean_of_the_clips_and_is_read_for_these_weights_alone(
    tracks: Path, tmp_path: Path, tiny_clap: Path
) -> None:
    model = tmp_path / "clap"
    shutil.copytree(tiny_clap, model)
    assert calibrate(model, [tracks], {"tempo:slow": 0.8765, "drums:yes": 0.9}) == 4
    embedder = load_embedder(str(model), device="cpu")
    clips = embedder.embed_clips([clip for _, clip in recorded_clips(tracks, embedder.card.sample_rate_hz)])
    scoring = read_scoring(str(model), embedder.card.weights_hash)
    assert scoring is not None
    np.testing.assert_allclose(scoring.offset_D, clips.mean(axis=0), atol=1e-6)
    assert scoring.hears == ("drums:yes", "tempo:slow")
    assert read_scoring(str(model), "other weights") is None
    spread = (clips @ fact_direction(embedder, "drums:yes")).std()
    expected = fact_direction(embedder, "drums:yes") * 0.04 * (2 * 0.9 - 1) ** 0.5 / spread
    np.testing.assert_allclose(scoring.facts["drums:yes"], expected, atol=1e-4)
    assert list(scoring.facts) == ["drums:yes", "tempo:slow"]
    assert len(scoring.facts_hash) == 8
    assert scoring.holds is None  # not measured
    own = np.zeros(len(scoring.offset_D), np.float32)
    np.testing.assert_allclose(scoring.offset_with(own, 0), scoring.offset_D, atol=1e-6)
    np.testing.assert_allclose(scoring.offset_with(own, 150), scoring.offset_D / 4, atol=1e-6)


def test_a_chance_grows_with_the_score_and_falls_with_what_is_stated() -> None:
    assert chance_to_hold((0.4, 3.5, -0.2), 0.0, 2) == 0.5
    assert chance_to_hold((0.4, 3.5, -0.2), 0.4, 2) == pytest.approx(1 / (1 + np.exp(-1.4)))
    assert chance_to_hold((0.4, 3.5, -0.2), 0.4, 1) > chance_to_hold((0.4, 3.5, -0.2), 0.4, 5)
    scoring = read_scoring("bundled", load_embedder("bundled", device="cpu").card.weights_hash)
    assert scoring is not None
    assert scoring.holds is not None
    assert set(scoring.facts) == {fact for fact in scoring.hears if not fact.startswith("lead:")}
    assert not [fact for fact in scoring.hears if fact.startswith("tempo:")]  # it hears beats a minute too poorly
