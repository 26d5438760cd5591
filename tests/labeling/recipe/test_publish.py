"""The shipped folder: complete, small, with the notice that the licence asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labeling.embedders.by_name import BUNDLED
from labeling.recipe.judging.evaluate import Figures, as_json
from labeling.recipe.publish import LARGEST_BYTES, publish
from labeling.recipe.training.vocabulary_texts import VocabularyTexts, vocabulary_pool
from pipeline.errors import BadInput
from vocab.grammar.lexicon import FACTS

FILES = ("config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json")


def _figures(folder: Path) -> Path:
    names = ("style", "solo instrument", "true facts a drawn caption")
    run = [Figures(name=n, classes=46, windows=800, chance=0.1, result=0.7, shuffled=0.1, plain=0.3) for n in names]
    path = folder / "figures.json"
    path.write_text(as_json([run, run, run]))
    return path


def test_publish_copies_only_what_is_loaded_and_writes_the_card(tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    for name in FILES:
        (trained / name).write_bytes(b"{}" if name.endswith("json") else bytes(1000))
    (trained / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"piano": 0, "a": 1}}}))
    (trained / "checkpoint.pt").write_bytes(bytes(5000))
    size = publish(
        trained, tmp_path / "out", figures=_figures(tmp_path), windows=13_500, samples=160_000, training="a test"
    )
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*FILES, "README.md"}
    assert size == sum(p.stat().st_size for p in (tmp_path / "out").iterdir())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "13,500 windows" in card
    assert "No recorded music." in card
    assert "3 sets of different pieces" in card
    assert "above its controls in every row" in card
    assert "| style | 46 | 2400 | 0.100 | 0.300 | 0.100 | 0.700 (0.700 to 0.700) |" in card


def test_card_says_what_recordings_took_part(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(b"{}" if name.endswith("json") else bytes(1000))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"piano": 0}}}))
    figures = _figures(tmp_path)
    publish(tmp_path, tmp_path / "out", figures=figures, windows=1, samples=1, training="a test", recordings="12 songs")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Of recorded music it heard 12 songs, with nothing said of them" in card
    assert "No recorded music" not in card


def test_publish_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model\.safetensors"):
        publish(tmp_path, tmp_path / "out", figures=_figures(tmp_path), windows=1, samples=1, training="")


def test_shipped_model_is_small_has_its_notice_and_its_shape() -> None:
    assert {p.name for p in BUNDLED.iterdir()} == {*FILES, "README.md", "scoring.json"}
    assert sum(p.stat().st_size for p in BUNDLED.iterdir()) <= LARGEST_BYTES
    card = (BUNDLED / "README.md").read_text()
    assert "Frank Wen" in card
    assert "Permission is hereby granted" in card
    config = json.loads((BUNDLED / "config.json").read_text())
    assert config["projection_dim"] == 128
    processor = json.loads((BUNDLED / "processor_config.json").read_text())["feature_extractor"]
    assert (processor["sampling_rate"], processor["hop_length"], processor["feature_size"]) == (24_000, 469, 128)


def test_shipped_tokenizer_knows_the_bundled_vocabularies() -> None:
    words = set(json.loads((BUNDLED / "tokenizer.json").read_text())["model"]["vocab"])
    from labeling.recipe.training.tokenizer import split_words

    texts = [word for caption in vocabulary_pool() for word in split_words(caption.text)]
    assert sum(word in words for word in texts) / len(texts) > 0.98


def test_vocabulary_texts_fit_their_clips() -> None:
    import random

    import numpy as np

    has = np.zeros((2, len(FACTS)), np.float32)
    held = {"style:jazz", "drums:yes", "tempo:fast", "mood:happy", "voice:no"}
    has[0, [FACTS.index(f) for f in held]] = 1
    texts = VocabularyTexts()
    for seed in range(20):
        first, nothing = texts.for_clips(has, random.Random(seed))
        assert first.facts
        assert set(first.facts) <= held
        assert nothing.text == ""
