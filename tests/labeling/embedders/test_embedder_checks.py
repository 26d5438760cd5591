"""An embedder that must not be trusted is refused with its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder
from labeling.embedders.checks import PROBE_TEXTS, check_embedder, probe_windows
from labeling.embedders.embedder import Embedder, TextReport
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard
from tests.tiny_clap import make_tiny_clap

Vectors = NDArray[np.float32]


class _Made(Embedder):
    """Embeddings as a test wants them: good ones are rows of the unit matrix."""

    def __init__(self, audio: Callable[[int], Vectors] | None = None, text: Callable[[int], Vectors] | None = None):
        self.card = EmbedderCard(
            name="made",
            sample_rate_hz=8_000,
            window_s=0.5,
            dimension=8,
            text_limit_tokens=16,
            licence="",
            revision="",
            weights_hash="",
        )
        self._audio, self._text = audio or _good, text or _good

    def embed_audio(self, windows_BT: Vectors) -> Vectors:
        return self._audio(len(windows_BT))

    def embed_text(self, texts: Sequence[str]) -> Vectors:
        return self._text(len(texts))

    def text_report(self, texts: Sequence[str]) -> TextReport:
        rows = [[2 if word == "known" else 3 for word in text.split()] for text in texts]
        return TextReport.of(rows, marks=(), unknown=3, limit=4)


def _good(rows: int) -> Vectors:
    return np.eye(rows, 8, dtype=np.float32)


def _alike(rows: int) -> Vectors:
    """Every pair at cosine .98."""
    basis = np.eye(rows, 8, dtype=np.float32) * np.float32(0.02**0.5)
    common = np.full((rows, 8), 0, np.float32)
    common[:, 7] = 1
    vectors = common * np.float32(0.98**0.5)
    vectors[:, :7] += basis[:, :7]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_good_one_passes_with_its_numbers() -> None:
    report = check_embedder(_Made())
    assert (report.text_cosine, report.audio_cosine, report.repeat_difference) == (0, 0, 0)
    assert report.captions is None
    assert report.warnings == ()
    assert "repeatable          bit for bit" in report.lines()


@pytest.mark.parametrize(("tower", "what"), [("text", "captions"), ("audio", "sounds")])
def test_collapsed_towers_are_refused_with_the_number(tower: str, what: str) -> None:
    made = _Made(**{tower: _alike})
    with pytest.raises(
        EmbedderProblem, match=rf"the {tower} tower of made is collapsed: {what} .* cosine of 0\.9[78]\d"
    ):
        check_embedder(made)
    check_embedder(made, collapse_above=0.99)


@pytest.mark.parametrize("tower", ["text", "audio"])
def test_other_faults_are_refused(tower: str) -> None:
    rng = np.random.default_rng(0)
    for vectors, message in (
        (lambda n: _good(n)[:, :5], rf"{tower} embeddings of shape \(\d, 5\): expected \(\d, 8\)"),
        (lambda n: 0.5 * _good(n), rf"{tower} embeddings of length 0\.5000: expected normalised"),
        (lambda n: _good(n) * np.nan, rf"{tower} embeddings with NaN"),
        (lambda n: _good(n) + rng.uniform(0, 1e-4, (n, 8)).astype(np.float32), "other embeddings each time"),
    ):
        with pytest.raises(EmbedderProblem, match=message):
            check_embedder(_Made(**{tower: vectors}))


def test_embeddings_that_almost_repeat_are_warned_of() -> None:
    steps = iter(range(100))

    def drifting(rows: int) -> Vectors:
        return _good(rows) * np.float32(1 + 1e-6 * next(steps))

    report = check_embedder(_Made(audio=drifting))
    assert 0 < report.repeat_difference < 1e-5
    assert any("not bit for bit" in w for w in report.warnings)


def test_unknown_words_and_cut_captions_are_warned_of_with_their_number() -> None:
    captions = ["known known", "known strange", "known known known known known", "strange"]
    report = check_embedder(_Made(), captions)
    assert report.captions == TextReport(texts=4, tokens=10, unknown=2, with_unknown=2, cut=1)
    assert [w[:40] for w in report.warnings] == ["1 of 4 captions are longer than made's li"[:40]]
    report = check_embedder(_Made(), captions, unknown_above=0.1)
    assert any(
        w.startswith("20% of the captions' words are unknown to made (in 2 of 4 captions)") for w in report.warnings
    )


def test_large_vocabularies_are_sampled() -> None:
    report = check_embedder(_Made(), ["known"] * 50_001)
    assert report.captions is not None
    assert report.captions.texts == 16_667  # every third


def test_probes_are_different_sounds() -> None:
    windows = probe_windows(16_000, 1)
    assert windows.shape == (6, 16_000)
    assert np.abs(windows).max() <= 1
    spectra = np.abs(np.fft.rfft(windows))
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    alike = spectra @ spectra.T - np.eye(6)
    assert alike.max() < 0.9  # white noise and gated noise are the closest
    assert len(set(PROBE_TEXTS)) == len(PROBE_TEXTS)


def test_a_small_model_in_seconds(tmp_path: Path) -> None:
    embedder = load_embedder(str(make_tiny_clap(tmp_path / "tiny")), device="cpu")
    report = check_embedder(embedder, ["slow piano", "zither zither zither"])
    assert report.seconds < 10
    assert report.text_cosine < 0.8
    assert report.audio_cosine < 0.8
    assert report.captions == TextReport(
        texts=2, tokens=5, unknown=3, with_unknown=1, cut=0, unknown_words=(("zither", 3),)
    )
    assert "unknown most often  zither (3)" in report.lines()


def test_laions_weights_with_another_listening_are_noted(tmp_path: Path) -> None:
    from labeling.embedders.clap_folder import ClapFolder

    folder = ClapFolder(make_tiny_clap(tmp_path / "tiny"))
    assert folder.notes == ()
    folder.config["audio_config"]["patch_embeds_hidden_size"] = 96
    folder.front_end = replace(folder.front_end, sampling_rate=48_000, feature_size=64, frequency_min=0)
    assert "starts at 0 Hz and skips the step through 16 bits" in folder.__class__.notes.func(folder)[0]
    folder.front_end = replace(folder.front_end, frequency_min=50, quantise_int16=True)
    assert folder.__class__.notes.func(folder) == ()
