"""What a model is calibrated with: clips of recorded tracks, and the file made from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder, model_folder
from labeling.embedders.clap import ClapEmbedder
from labeling.embedders.scoring import chance_to_hold, read_scoring
from labeling.recipe.judging.calibrate import calibrate, fact_direction, fact_vector
from labeling.recipe.judging.probes import embed_windows, probes, verdicts
from labeling.recipe.training.recorded import recorded_clips
from tests.audio_files import chord, write_audio
from vocab.grammar.lexicon import WORDS


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
    assert calibrate(model, [tracks], {"probes": {"tempo:slow": 0.8765}, "words": {"drums:yes": 0.9}}) == 4
    embedder = load_embedder(str(model), device="cpu")
    clips = embedder.embed_clips([clip for _, clip in recorded_clips(tracks, embedder.card.sample_rate_hz)])
    scoring = read_scoring(str(model), embedder.card.weights_hash)
    assert scoring is not None
    np.testing.assert_allclose(scoring.offset_D, clips.mean(axis=0), atol=1e-6)
    assert scoring.hears == ("drums:yes", "tempo:slow")
    assert read_scoring(str(model), "other weights") is None
    spread = (clips @ fact_direction(embedder, "drums:yes")).std()
    expected = fact_direction(embedder, "drums:yes") * 0.08 * (2 * 0.9 - 1) ** 0.5 / spread
    np.testing.assert_allclose(scoring.facts["drums:yes"], expected, atol=1e-4)
    assert list(scoring.facts) == ["drums:yes", "tempo:slow"]
    assert len(scoring.facts_hash) == 8
    assert scoring.holds is None  # not measured
    own = np.zeros(len(scoring.offset_D), np.float32)
    np.testing.assert_allclose(scoring.offset_with(own, 0), scoring.offset_D, atol=1e-6)
    np.testing.assert_allclose(scoring.offset_with(own, 150), scoring.offset_D / 4, atol=1e-6)


def test_facts_that_composed_windows_tell_are_heard_by_probes_and_others_by_their_words(
    tracks: Path, tmp_path: Path
) -> None:
    model, composed = tmp_path / "clap", tmp_path / "composed"
    bundled = model_folder("bundled")
    assert bundled is not None
    shutil.copytree(bundled, model)
    composed.mkdir()
    dice = np.random.default_rng(0)
    mels = dice.normal(-40, 6, (48, 512, 128)).astype(np.float16)
    mels[::2, ::40, :] += np.float16(30)  # beats in every other window
    np.save(composed / "shard-00000.npy", mels)
    known = [["drums:yes"] if row % 2 == 0 else ["drums:no"] for row in range(48)]
    known[3] = ["sound:non-music", "drums:no"]  # no music: left out
    (composed / "shard-00000.json").write_text(json.dumps({"facts": known}))
    assert calibrate(model, [tracks], None, composed) == 4
    embedder = load_embedder(str(model), device="cpu")
    assert isinstance(embedder, ClapEmbedder)
    scoring = read_scoring(str(model), embedder.card.weights_hash)
    assert scoring is not None
    assert set(scoring.hears) == set(WORDS)
    clips = embedder.embed_clips([clip for _, clip in recorded_clips(tracks, embedder.card.sample_rate_hz)])
    for fact, direction in (
        ("drums:yes", probes(*_judged(embedder, composed), clips)[0]),
        ("instrument:violin", fact_direction(embedder, "instrument:violin")),
    ):
        assert direction is not None
        np.testing.assert_allclose(scoring.facts[fact], fact_vector(direction, clips, 1.0), atol=1e-3)
    taught = calibrated_with(model, tracks, composed, "probes")
    np.testing.assert_allclose(taught, scoring.facts["drums:yes"], atol=1e-6)
    by_words = fact_vector(fact_direction(embedder, "drums:yes"), clips, 1.0)
    np.testing.assert_allclose(calibrated_with(model, tracks, composed, "words"), by_words, atol=1e-3)


def calibrated_with(model: Path, tracks: Path, composed: Path, by: str) -> NDArray[np.float32]:
    calibrate(model, [tracks], {"probes": {}, "words": {}} | {by: {"drums:yes": 1.0}}, composed)
    scoring = read_scoring(str(model), load_embedder(str(model), device="cpu").card.weights_hash)
    assert scoring is not None
    return scoring.facts["drums:yes"]


def _judged(embedder: ClapEmbedder, composed: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    windows, known = embed_windows(embedder, composed)
    assert len(windows) == 47
    return windows, verdicts(["drums:yes"], known)


def test_a_chance_grows_with_the_score() -> None:
    assert chance_to_hold((-0.4, 4.0), 0.1) == 0.5
    assert chance_to_hold((-0.4, 4.0), 0.4) == pytest.approx(1 / (1 + np.exp(-1.2)))
    assert chance_to_hold((-0.4, 4.0), 0.4) > chance_to_hold((-0.4, 4.0), 0.3)
    scoring = read_scoring("bundled", load_embedder("bundled", device="cpu").card.weights_hash)
    assert scoring is not None
    assert scoring.holds is not None
    assert set(scoring.facts) == {fact for fact in scoring.hears if not fact.startswith("lead:")}
    assert not [fact for fact in scoring.hears if fact.startswith("tempo:")]  # it hears beats a minute too poorly
    assert not [fact for fact in scoring.hears if fact.startswith("voice:")]  # and no recording judged its voices
