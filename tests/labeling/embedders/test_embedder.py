"""Cutting clips into windows, and the door to embedders: cards, hashes, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labeling.embedders.by_name import embedder_card, load_embedder
from labeling.embedders.embedder import cut_windows, mean_direction
from pipeline.errors import EmbedderProblem
from tests.tiny_clap import make_tiny_clap


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("clap") / "tiny", window_s=1, sample_rate_hz=16_000)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("samples", "windows"), [(1, 1), (4, 1), (9, 1), (10, 1), (14, 1), (15, 2), (20, 2), (24, 2), (25, 3), (30, 3)]
)
def test_half_a_window_or_more_is_kept(samples: int, windows: int) -> None:
    clip = np.arange(1, samples + 1, dtype=np.float32)
    cut = cut_windows(clip, 10)
    assert cut.shape == (windows, 10)
    flat = cut.reshape(-1)
    kept = min(samples, windows * 10)
    np.testing.assert_array_equal(flat[:kept], clip[:kept])
    assert not flat[kept:].any()


def test_mean_direction_is_normalised_and_survives_opposites() -> None:
    mean = mean_direction(np.array([[1, 0], [0, 1]], np.float32))
    np.testing.assert_allclose(mean, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    np.testing.assert_array_equal(mean_direction(np.array([[1, 0], [-1, 0]], np.float32)), [0, 0])


def test_card_says_what_the_files_say(folder: Path) -> None:
    card = embedder_card(str(folder))
    assert (card.name, card.sample_rate_hz, card.window_s, card.dimension) == ("tiny", 16_000, 1.0, 16)
    assert (card.text_limit_tokens, card.licence, card.revision) == (64, "unknown", "")
    assert load_embedder(str(folder)).card == card


def test_hash_moves_with_everything_that_moves_an_embedding_and_nothing_else(copy: Path) -> None:
    before = embedder_card(str(copy)).weights_hash
    (copy / "README.md").write_text("---\nlicense: cc0-1.0\nrevision: v2\nmodel_name: Mine\n---\n# Mine\n")
    card = embedder_card(str(copy))
    assert (card.weights_hash, card.licence, card.revision, card.name) == (before, "cc0-1.0", "v2", "Mine")
    processor = json.loads((copy / "processor_config.json").read_text())
    processor["feature_extractor"]["frequency_min"] = 51
    (copy / "processor_config.json").write_text(json.dumps(processor))
    settings = embedder_card(str(copy)).weights_hash
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert len({before, settings, embedder_card(str(copy)).weights_hash}) == 3


def test_the_same_arguments_make_the_same_folder(folder: Path, tmp_path: Path) -> None:
    again = make_tiny_clap(tmp_path / "tiny", window_s=1, sample_rate_hz=16_000)
    other = make_tiny_clap(tmp_path / "other", window_s=1, sample_rate_hz=16_000, seed=1)
    assert embedder_card(str(again)) == embedder_card(str(folder))
    assert embedder_card(str(other)).weights_hash != embedder_card(str(folder)).weights_hash


def test_a_card_is_read_without_torch(folder: Path) -> None:
    program = (
        "import sys\n"
        "from labeling.embedders.by_name import embedder_card\n"
        f"embedder_card({str(folder)!r})\n"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "processor_config.json", "config.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    what = {"tokenizer.json": "no tokenizer", "processor_config.json": "no processor"}.get(name, f"no {name}")
    for call in (embedder_card, load_embedder):
        with pytest.raises(EmbedderProblem, match=what):
            call(str(copy))


@pytest.mark.parametrize("name", ["config.json", "processor_config.json"])
def test_damaged_json_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("{")
    with pytest.raises(EmbedderProblem, match=f"{name} is not valid JSON"):
        embedder_card(str(copy))
    (copy / name).write_text("[]")
    with pytest.raises(EmbedderProblem, match="holds a list: expected an object"):
        embedder_card(str(copy))


@pytest.mark.parametrize("keep", [0, 4, 1000, -8])
def test_weights_cut_short_are_refused(copy: Path, keep: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(EmbedderProblem, match="not a whole safetensors file"):
        embedder_card(str(copy))


def test_pickled_weights_are_never_read(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(EmbedderProblem, match=r"pickled weights.*cratedig embedder convert"):
        load_embedder(str(copy))


def test_what_is_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(EmbedderProblem, match=r"no model at .*nowhere.*hf download"):
        load_embedder(str(tmp_path / "nowhere"))
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(EmbedderProblem, match=r"is a file.*cratedig embedder convert .*weights\.pt FOLDER"):
        load_embedder(str(tmp_path / "weights.pt"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EmbedderProblem, match="type 'bert': expected 'clap'"):
        load_embedder(str(tmp_path))


def test_a_processor_of_another_model_is_refused(copy: Path) -> None:
    processor = json.loads((copy / "processor_config.json").read_text())
    for key, value, message in (
        ("feature_size", 64, "64 mel bands, the model takes 16"),
        ("hop_length", 10, "1601 frames, the model takes up to 256"),
        ("top_db", 80, "top_db 80: expected none"),
    ):
        changed = {"feature_extractor": {**processor["feature_extractor"], key: value}}
        (copy / "processor_config.json").write_text(json.dumps(changed))
        with pytest.raises(EmbedderProblem, match=message):
            embedder_card(str(copy))


def test_options_that_do_not_exist(folder: Path) -> None:
    for options, message in (
        ({"device": "tpu"}, "device 'tpu': expected one of auto, cpu"),
        ({"dtype": "int8"}, "dtype 'int8': expected one of auto, float32"),
        ({"threads": 0}, "0 threads: expected 1 or more"),
    ):
        with pytest.raises(EmbedderProblem, match=message):
            load_embedder(str(folder), **options)
