"""ClapModel as an embedder: the model's own numbers, the same bits again, and clear words for bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.embedders.by_name import BUNDLED, load_embedder
from labeling.embedders.checks import check_embedder
from labeling.embedders.embedder import Embedder
from pipeline.errors import EmbedderProblem
from tests.tiny_clap import make_tiny_clap, tiny_tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

RATE_HZ = 16_000
TEXTS = ["slow piano music", "fast rock guitar with drums", "a happy song", "calm ambient pad with strings and harp"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("clap") / "tiny", window_s=1, sample_rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return load_embedder(str(folder), device="cpu")


@pytest.fixture(scope="module")
def windows() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    t = np.arange(RATE_HZ) / RATE_HZ
    sounds = [np.sin(2 * np.pi * 220 * t), rng.normal(size=RATE_HZ), np.sin(2 * np.pi * 3000 * t) * (t * 8 % 1), 0 * t]
    return (0.3 * np.stack(sounds)).astype(np.float32)


@pytest.mark.parametrize("fusion", [False, True])
def test_equals_transformers_own_pipeline(tmp_path: Path, windows: NDArray[np.float32], fusion: bool) -> None:
    folder = make_tiny_clap(tmp_path / "m", window_s=1, sample_rate_hz=RATE_HZ, fusion=fusion)
    model = transformers.ClapModel.from_pretrained(folder)
    processor = transformers.ClapProcessor.from_pretrained(folder)
    heard = processor.feature_extractor(list(windows), sampling_rate=RATE_HZ, return_tensors="pt")
    heard["is_longer"] = torch.zeros(len(windows), 1, dtype=torch.bool)  # the extractor marks one at random
    read = processor.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        audio = model.get_audio_features(**heard).pooler_output.numpy()
        text = model.get_text_features(**read).pooler_output.numpy()
    embedder = load_embedder(str(folder), device="cpu")
    np.testing.assert_allclose(embedder.embed_audio(windows), audio, atol=2e-6)
    np.testing.assert_allclose(embedder.embed_text(TEXTS), text, atol=2e-6)


def test_normalised_float32_of_the_cards_dimension(embedder: Embedder, windows: NDArray[np.float32]) -> None:
    for found in (embedder.embed_audio(windows), embedder.embed_text(TEXTS)):
        assert found.dtype == np.float32
        assert found.shape == (4, embedder.card.dimension)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert embedder.embed_audio(windows[:0]).shape == embedder.embed_text([]).shape == (0, embedder.card.dimension)


def test_the_same_batch_gives_the_same_bits(folder: Path, embedder: Embedder, windows: NDArray[np.float32]) -> None:
    again = load_embedder(str(folder), device="cpu")
    np.testing.assert_array_equal(again.embed_audio(windows), embedder.embed_audio(windows))
    np.testing.assert_array_equal(again.embed_text(TEXTS), embedder.embed_text(TEXTS))


def test_a_text_means_the_same_in_any_company(embedder: Embedder) -> None:
    many = [f"{a} {b} music" for a in ("slow", "fast", "dark", "sad") for b in ("piano", "guitar", "rock") * 9]
    together = embedder.embed_text([*many, *TEXTS])[len(many) :]
    alone = np.concatenate([embedder.embed_text([t]) for t in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_a_clip_is_the_mean_of_its_windows(embedder: Embedder, windows: NDArray[np.float32]) -> None:
    clips = [windows[:3].reshape(-1), windows[1][: RATE_HZ // 4]]
    found = embedder.embed_clips(clips)
    mean = embedder.embed_audio(windows[:3]).mean(0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)
    padded = np.pad(clips[1], (0, RATE_HZ - len(clips[1])))[None]
    np.testing.assert_allclose(found[1], embedder.embed_audio(padded)[0], atol=1e-6)
    np.testing.assert_array_equal(found[1:], embedder.embed_clips(clips[1:]))
    assert embedder.embed_clips([]).shape == (0, embedder.card.dimension)


def test_half_precision_files_run_in_single(tmp_path: Path, windows: NDArray[np.float32]) -> None:
    folder = make_tiny_clap(tmp_path / "half", window_s=1, sample_rate_hz=RATE_HZ, half=True)
    embedder = load_embedder(str(folder), device="cpu")
    assert next(embedder.model.parameters()).dtype == torch.float32  # type: ignore[attr-defined]
    full = load_embedder(str(make_tiny_clap(tmp_path / "full", window_s=1, sample_rate_hz=RATE_HZ)), device="cpu")
    np.testing.assert_allclose(embedder.embed_audio(windows), full.embed_audio(windows), atol=2e-2)


def test_bfloat16_is_close(folder: Path, embedder: Embedder, windows: NDArray[np.float32]) -> None:
    low = load_embedder(str(folder), device="cpu", dtype="bfloat16")
    cosines = (low.embed_audio(windows) * embedder.embed_audio(windows)).sum(1)
    assert (cosines > 0.99).all()
    assert (cosines < 1).any()
    assert ((low.embed_text(TEXTS) * embedder.embed_text(TEXTS)).sum(1) > 0.99).all()


def test_texts_over_the_limit_are_cut_and_counted(embedder: Embedder) -> None:
    long = "slow piano music " * 40
    report = embedder.text_report(["slow zither music", long, "piano"])
    assert (report.texts, report.tokens, report.unknown, report.cut) == (3, 3 + 120 + 1, 1, 1)
    assert report.unknown_share == pytest.approx(1 / 124)
    assert report.unknown_words == (("zither", 1),)
    words = embedder.text_report(["Zither zither", "oud zither", "oud"]).unknown_words
    assert words == (("zither", 3), ("oud", 2))
    seen = " ".join(long.split()[: embedder.card.text_limit_tokens - 2])
    np.testing.assert_allclose(embedder.embed_text([long]), embedder.embed_text([seen]), atol=1e-6)
    assert embedder.text_report([]).unknown_share == 0


def test_bad_texts(embedder: Embedder) -> None:
    for texts in (["a song", ""], ["a song", "  \n"]):
        with pytest.raises(EmbedderProblem, match=r"text 1 is .*expected words"):
            embedder.embed_text(texts)
    with pytest.raises(ValueError, match="expected a list of texts"):
        embedder.embed_text("a song")


def test_bad_windows(embedder: Embedder, windows: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 15999\): tiny takes \(B, 16000\), which is 1 s at 16000 Hz"):
        embedder.embed_audio(windows[:, 1:])
    with pytest.raises(ValueError, match=r"shape \(16000,\)"):
        embedder.embed_audio(windows[0])
    with pytest.raises(ValueError, match="type int16: expected floating point"):
        embedder.embed_audio((windows * 1000).astype(np.int16))  # type: ignore[arg-type]
    broken = windows.copy()
    broken[2, 7] = np.nan
    broken[3, 0] = np.inf
    with pytest.raises(ValueError, match=r"windows \[2, 3\] hold NaN or infinity"):
        embedder.embed_audio(broken)


@pytest.mark.parametrize("edit", ["drop", "add", "shape"])
def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path, edit: str) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    if edit == "drop":
        del weights["text_projection.linear1.bias"]
        message = r"1 missing \(first: text_projection\.linear1\.bias\), 0 unexpected"
    elif edit == "add":
        weights["more.weight"] = torch.zeros(3)
        message = r"0 missing .* 1 unexpected \(first: more\.weight\)"
    else:
        weights["text_projection.linear1.bias"] = torch.zeros(3)
        message = "copy"
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EmbedderProblem, match=message):
        load_embedder(str(copy))


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    tiny_tokenizer([f"word{i}" for i in range(1000)]).save_pretrained(copy)
    with pytest.raises(EmbedderProblem, match="the tokenizer knows 1004 tokens, the model"):
        load_embedder(str(copy))
    (copy / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(EmbedderProblem, match="its tokenizer can't be loaded"):
        load_embedder(str(copy))


def test_a_device_that_is_not_there(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(EmbedderProblem, match=r"device cuda: this machine's torch .* has none"):
        load_embedder(str(folder), device="cuda")


def test_cuda_agrees_with_the_cpu(folder: Path, embedder: Embedder, windows: NDArray[np.float32]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA")
    cuda = load_embedder(str(folder), device="cuda")
    np.testing.assert_allclose(cuda.embed_audio(windows), embedder.embed_audio(windows), atol=1e-4)
    np.testing.assert_allclose(cuda.embed_text(TEXTS), embedder.embed_text(TEXTS), atol=1e-4)
    np.testing.assert_array_equal(cuda.embed_audio(windows), cuda.embed_audio(windows))
    for dtype in ("bfloat16", "float16"):
        low = load_embedder(str(folder), device="cuda", dtype=dtype)
        assert ((low.embed_audio(windows) * embedder.embed_audio(windows)).sum(1) > 0.99).all()
        assert ((low.embed_text(TEXTS) * embedder.embed_text(TEXTS)).sum(1) > 0.99).all()


def test_the_bundled_model_is_usable() -> None:
    if not BUNDLED.is_dir():
        pytest.skip("no model is bundled in this checkout")
    report = check_embedder(load_embedder("bundled", device="cpu"), ["slow piano music", "techno with a drum machine"])
    assert report.repeat_difference == 0
    assert report.text_cosine < 0.8
    assert report.audio_cosine < 0.8
    assert report.seconds < 30
    assert sum(f.stat().st_size for f in BUNDLED.iterdir()) < 12e6
