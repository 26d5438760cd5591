"""music_score: nearer to music than to other sounds, by the model's own text tower."""

from __future__ import annotations

import numpy as np

from labeling.embedders.by_name import load_embedder
from labeling.embedders.scoring import read_scoring
from labeling.music import MUSIC, OTHER, MusicMargin
from labeling.recipe.rendering.sounds import coloured_noise


def test_the_bundled_model_tells_noise_and_words_for_sounds_from_music() -> None:
    embedder = load_embedder("bundled", device="cpu")
    margin = MusicMargin(embedder)
    scoring = read_scoring("bundled", embedder.card.weights_hash)
    assert scoring is not None
    assert scoring.min_music is not None
    rate = embedder.card.sample_rate_hz
    rng = np.random.default_rng(0)
    noise = np.stack([coloured_noise(round(10 * rate), rate, rng, slope) for slope in (0.0, -3.0, -6.0)])
    assert (margin(embedder.embed_audio(noise)) < scoring.min_music - 0.1).all()
    music, other = (margin(embedder.embed_text(words)) for words in (["rock music", "jazz"], ["rain", "speech"]))
    assert music.min() > 0.1 > -0.1 > other.max()


def test_the_margin_by_hand() -> None:
    class Words:
        def embed_text(self, texts: object) -> np.ndarray:
            """Music lies along one axis, everything else along another."""
            from vocab.grammar.lexicon import WORDS

            is_music = any(texts is WORDS[fact] for fact in MUSIC)
            return np.array([[1.0, 0.0] if is_music else [0.0, 1.0]], np.float32)

    margin = MusicMargin(Words())  # type: ignore[arg-type]
    np.testing.assert_allclose(margin(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)), [1, -1, -0.2], atol=1e-4)
    assert not set(MUSIC) & set(OTHER)
