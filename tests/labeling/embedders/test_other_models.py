"""MuQ-MuLan and MS-CLAP through their makers' packages, on small random weights.

    pip install muq && pip install --no-deps msclap torchlibrosa torchaudio

Their own calls are made here; only what those packages would fetch by name lies in local folders instead.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.embedders.by_name import embedder_card, load_embedder
from labeling.embedders.embedder import Embedder
from pipeline.errors import EmbedderProblem
from tests.tiny_clap import tiny_tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = ["slow piano music", "fast rock guitar with drums and bass", "a happy song", "calm"]


def _windows(rate_hz: int, window_s: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    t = np.arange(round(rate_hz * window_s)) / rate_hz
    sounds = np.stack(
        [np.sin(2 * np.pi * 220 * t), rng.normal(size=t.size), np.sin(2 * np.pi * 3000 * t) * (t * 8 % 1)]
    )
    return (0.3 * sounds).astype(np.float32)


def _check(embedder: Embedder, windows: NDArray[np.float32]) -> None:
    """The promises of every embedder."""
    for found in (embedder.embed_audio(windows), embedder.embed_text(TEXTS)):
        assert found.dtype == np.float32
        assert found.shape[1] == embedder.card.dimension
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(embedder.embed_audio(windows), embedder.embed_audio(windows))
    np.testing.assert_array_equal(embedder.embed_text(TEXTS), embedder.embed_text(TEXTS))
    alone = np.concatenate([embedder.embed_text([t]) for t in TEXTS])
    np.testing.assert_allclose(embedder.embed_text(TEXTS), alone, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_audio(windows)[1:2], embedder.embed_audio(windows[1:2]), atol=1e-5)
    assert embedder.embed_audio(windows[:0]).shape == embedder.embed_text([]).shape == (0, embedder.card.dimension)
    with pytest.raises(EmbedderProblem, match="text 1 is ''"):
        embedder.embed_text(["a", ""])
    with pytest.raises(ValueError, match="NaN"):
        embedder.embed_audio(windows * np.nan)


@pytest.fixture(scope="module")
def muq_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    muq = pytest.importorskip("muq", reason="the package muq is not installed: pip install muq")
    from muq.muq.muq import MuQConfig

    root = tmp_path_factory.mktemp("muq")
    torch.manual_seed(0)
    conformer = transformers.Wav2Vec2ConformerConfig(
        hidden_size=32, num_attention_heads=2, intermediate_size=32, position_embeddings_type="rotary"
    )
    audio = MuQConfig(
        conv_dim=16,
        encoder_dim=32,
        encoder_depth=1,
        codebook_size=8,
        stat={"melspec_2048_mean": 6.0, "melspec_2048_std": 18.0},
        w2v2_config=json.loads(conformer.to_json_string(use_diff=False)),
    )
    muq.MuQ(audio).save_pretrained(root / "muq-tiny")
    tokenizer = tiny_tokenizer(limit=512)
    tokenizer.save_pretrained(root / "xlm-roberta-tiny")
    text = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=514,
    )
    transformers.XLMRobertaModel(text).save_pretrained(root / "xlm-roberta-tiny")
    towers = {"tf_depth": 1, "heads": 2, "dim_head": 8, "dim": 16}
    config = {
        "mulan": {"sr": 24_000, "clip_secs": 2, "dim_latent": 24},
        "audio_model": {"name": str(root / "muq-tiny"), "model_dim": 32, "use_layer_idx": -1},
        "text_model": {"name": str(root / "xlm-roberta-tiny"), "model_dim": 32, "use_layer_idx": -1},
        "audio_transformer": towers,
        "text_transformer": towers,
    }
    muq.MuQMuLan(config).save_pretrained(root / "mulan", config=config)
    return root / "mulan"


def test_muq_mulan(muq_folder: Path) -> None:
    card = embedder_card(f"muq:{muq_folder}")
    assert (card.sample_rate_hz, card.window_s, card.dimension, card.text_limit_tokens) == (24_000, 2.0, 24, 512)
    embedder = load_embedder(f"muq:{muq_folder}", device="cpu")
    assert embedder.card == card
    windows = _windows(24_000, 2)
    _check(embedder, windows)
    model = embedder.model  # type: ignore[attr-defined]
    with torch.inference_mode():
        np.testing.assert_allclose(embedder.embed_audio(windows), model(wavs=torch.from_numpy(windows)), atol=1e-6)
        np.testing.assert_allclose(embedder.embed_text(TEXTS[:1]), model(texts=TEXTS[:1]), atol=1e-6)
    long = "slow piano " * 400
    seen = " ".join(long.split()[:510])
    np.testing.assert_allclose(embedder.embed_text([long]), embedder.embed_text([seen]), atol=1e-6)
    assert embedder.text_report([long, "zither"]).cut == 1


def test_muq_folders_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(EmbedderProblem, match=r"has no config\.json: expected a MuQ-MuLan folder.*hf download"):
        embedder_card(f"muq:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"mulan": {"sr": 24_000}}))
    with pytest.raises(EmbedderProblem, match=r"has no model\.safetensors"):
        embedder_card(f"muq:{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(EmbedderProblem, match=r"is not MuQ-MuLan's \(KeyError: 'clip_secs'\)"):
        embedder_card(f"muq:{tmp_path}")


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    if importlib.util.find_spec("msclap") is not None:
        pytest.skip("the package msclap is installed")
    file = tmp_path / "CLAP_weights_2023.pth"
    file.write_bytes(b"")
    with pytest.raises(EmbedderProblem, match="needs the package msclap: pip install --no-deps msclap"):
        embedder_card(f"msclap:{file}")
    with pytest.raises(EmbedderProblem, match=r"no such file; expected weights .*hf download microsoft/msclap"):
        embedder_card(f"msclap:{tmp_path}/nothing.pth")


def test_low_precision_is_for_clapmodels(tmp_path: Path) -> None:
    with pytest.raises(EmbedderProblem, match=r"dtype bfloat16 with muq:.*expected float32"):
        load_embedder(f"muq:{tmp_path}", dtype="bfloat16")


def test_msclap(tmp_path: Path) -> None:
    pytest.importorskip("msclap", reason="the package msclap is not installed: see the head of this file")
    from msclap.models.clap import CLAP

    tokenizer = tiny_tokenizer(limit=77)
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_layer=1, n_head=2, n_positions=77)
    torch.manual_seed(0)
    gpt2 = transformers.GPT2Model(config)
    with (
        mock.patch("msclap.models.clap.AutoModel.from_pretrained", return_value=gpt2),
        mock.patch("msclap.CLAPWrapper.AutoTokenizer.from_pretrained", return_value=tokenizer),
        mock.patch.object(type(tokenizer), "add_special_tokens"),
    ):
        weights = CLAP("HTSAT", 44_100, 1024, 320, 64, 50, 8000, 527, 768, "gpt2", 768, 1024).state_dict()
        file = tmp_path / "CLAP_weights_2023.pth"
        torch.save({"model": weights}, file)
        card = embedder_card(f"msclap:{file}")
        assert (card.sample_rate_hz, card.window_s, card.dimension, card.text_limit_tokens) == (44_100, 7.0, 1024, 77)
        assert card.revision == "2023"
        embedder = load_embedder(f"msclap:{file}", device="cpu")
        torch.save({"model": {"callback": print}}, file)
        with pytest.raises(EmbedderProblem, match="holds more than tensors"):
            load_embedder(f"msclap:{file}", device="cpu")
    windows = _windows(44_100, 7)
    _check(embedder, windows)
    wrapper = embedder.wrapper  # type: ignore[attr-defined]
    theirs = wrapper._get_audio_embeddings(torch.from_numpy(windows)[:, None])
    theirs = torch.nn.functional.normalize(theirs, dim=-1).numpy()
    np.testing.assert_allclose(embedder.embed_audio(windows), theirs, atol=1e-6)
    if hasattr(tokenizer, "encode_plus"):  # transformers 4, for which the package was made
        theirs = torch.nn.functional.normalize(wrapper.get_text_embeddings(TEXTS), dim=-1).numpy()
        np.testing.assert_allclose(embedder.embed_text(TEXTS), theirs, atol=1e-6)
