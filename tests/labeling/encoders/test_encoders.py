"""Audio-only encoders on small random weights that the test makes, against their makers' own formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from labeling.encoders.by_name import encoder_card, load_encoder
from labeling.encoders.convert import convert_weights
from labeling.encoders.converted import PANNS_SHAPES, Cnn14, Vggish, vggish_examples
from pipeline.errors import BadInput, EmbedderProblem

RNG = np.random.default_rng(0)


def tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * t) + 0.01 * RNG.normal(size=len(t))).astype(np.float32)


def vggish_file(path: Path) -> Path:
    """As torchvggish's release has it: a state_dict, with the PCA that FAD leaves aside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = dict(Vggish().state_dict())
    torch.save({**state, "pproc.pca_means": torch.zeros(128, 1)}, path)
    return path


def panns_file(path: Path, rate: int) -> Path:
    """As Zenodo has it: the state_dict under `model`, with front end and classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = dict(Cnn14().state_dict())
    fft = PANNS_SHAPES[rate][0]
    state |= {
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(fft // 2 + 1, 1, fft),
        "fc_audioset.weight": torch.zeros(527, 2048),
    }
    torch.save({"iteration": 1, "model": state}, path)
    return path


def test_vggish_is_converted_and_gives_128_numbers_each_96_hundredths(tmp_path: Path) -> None:
    said = convert_weights(vggish_file(tmp_path / "v.pth"), tmp_path / "vggish")
    assert "vggish at 16000 Hz" in said
    card, encoder = encoder_card(str(tmp_path / "vggish")), load_encoder(str(tmp_path / "vggish"), device="cpu")
    assert (card.sample_rate_hz, card.window_s, card.dimension, encoder.per) == (16_000, 0.96, 128, "frame")
    found = encoder.encode(tone(10, 16_000))
    assert found.shape == (10, 128)
    assert np.isfinite(found).all()
    assert encoder.encode(tone(0.2, 16_000)).shape == (1, 128), "shorter than an example: padded to one"


def test_vggish_front_end_is_that_of_its_makers() -> None:
    """mel_features.py of TensorFlow's models repository, written out frame by frame."""
    clip = tone(2.0, 16_000, 1_000)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / 400 * np.arange(400))
    frames = 1 + (len(clip) - 400) // 160
    spectrum = np.abs(np.stack([np.fft.rfft(clip[i * 160 : i * 160 + 400] * hann, 512) for i in range(frames)]))
    mel = lambda hz: 1127.0 * np.log(1.0 + hz / 700.0)  # noqa: E731
    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    bins = mel(np.linspace(0, 8_000, 257))
    weights = np.empty((257, 64))
    for i in range(64):
        lower, centre, upper = edges[i : i + 3]
        weights[:, i] = np.maximum(
            0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
        )
    weights[0] = 0
    wanted = np.log(spectrum @ weights + 0.01)[: frames // 96 * 96].reshape(-1, 1, 96, 64)
    np.testing.assert_allclose(vggish_examples(clip), wanted, atol=1e-5)


@pytest.mark.parametrize("rate", [16_000, 32_000])
def test_panns_front_end_is_librosas_and_its_rate_is_read_from_the_weights(tmp_path: Path, rate: int) -> None:
    import librosa

    convert_weights(panns_file(tmp_path / "p.pth", rate), tmp_path / "panns")
    encoder = load_encoder(str(tmp_path / "panns"), device="cpu")
    assert (encoder.card.sample_rate_hz, encoder.card.dimension, encoder.per) == (rate, 2048, "window")
    clip, (fft, hop, top) = tone(10, rate), PANNS_SHAPES[rate]
    mel = librosa.feature.melspectrogram(
        y=clip, sr=rate, n_fft=fft, hop_length=hop, n_mels=64, fmin=50, fmax=top, pad_mode="reflect"
    )
    wanted = 10 * np.log10(np.maximum(mel, 1e-10)).T
    np.testing.assert_allclose(encoder.log_mel(clip), wanted, atol=2e-3)  # type: ignore[attr-defined]
    assert encoder.encode(tone(16, rate)).shape == (2, 2048), "a rest of 6 s is padded to a window"


def test_weights_that_are_others_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(EmbedderProblem, match="expected VGGish's"):
        convert_weights(tmp_path / "x.pth", tmp_path / "out")
    state = torch.load(vggish_file(tmp_path / "v.pth"), weights_only=True)
    del state["embeddings.2.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(EmbedderProblem, match=r"embeddings\.2\.bias is missing"):
        convert_weights(tmp_path / "w.pth", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(BadInput, match="not empty"):
        convert_weights(tmp_path / "v.pth", tmp_path / "full")


def test_a_folder_without_safetensors_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EmbedderProblem, match="evaluate convert"):
        encoder_card(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(EmbedderProblem, match="type 'bert'; expected one of clap"):
        load_encoder(str(tmp_path))


def _small(kind: str) -> torch.nn.Module:
    import transformers as t

    torch.manual_seed(0)
    if kind == "encodec":
        return t.EncodecModel(t.EncodecConfig(num_filters=4, hidden_size=16, codebook_dim=16, upsampling_ratios=[4, 2]))
    if kind == "dac":
        return t.DacModel(t.DacConfig(encoder_hidden_size=4, downsampling_ratios=[2, 4], decoder_hidden_size=16))
    size = {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    return t.Wav2Vec2Model(t.Wav2Vec2Config(**size)) if kind == "wav2vec2" else t.HubertModel(t.HubertConfig(**size))


@pytest.mark.parametrize(
    ("kind", "dimension", "frames_per_s"),
    [("encodec", 16, 3_000), ("dac", 16, 2_000), ("wav2vec2", 24, 800), ("hubert", 24, 800)],
)
def test_networks_in_transformers_form_give_a_vector_a_frame(
    tmp_path: Path, kind: str, dimension: int, frames_per_s: int
) -> None:
    with torch.random.fork_rng(devices=[]):
        _small(kind).save_pretrained(tmp_path / kind)  # type: ignore[operator]
    encoder = load_encoder(str(tmp_path / kind), device="cpu")
    assert (encoder.card.dimension, encoder.per) == (dimension, "frame")
    assert encoder.card == encoder_card(str(tmp_path / kind))
    clip = tone(1.0, encoder.card.sample_rate_hz)
    found = encoder.encode(clip)
    assert found.shape[1] == dimension
    assert len(found) == pytest.approx(frames_per_s, rel=0.02)
    np.testing.assert_array_equal(found, encoder.encode(clip))


def test_a_mert_with_huberts_layers_is_read_without_code_of_its_own(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        _small("hubert").save_pretrained(tmp_path / "mert")  # type: ignore[operator]
    file = tmp_path / "mert" / "config.json"
    config = json.loads(file.read_text()) | {
        "model_type": "mert_model", "auto_map": {"AutoModel": "modeling_MERT.MERTModel"}, "deepnorm": False,
        "feature_extractor_cqt": False, "attention_relax": -1.0,
    }  # fmt: skip
    file.write_text(json.dumps(config))
    (tmp_path / "mert" / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 24000}))
    encoder = load_encoder(str(tmp_path / "mert"), device="cpu")
    assert encoder.card.sample_rate_hz == 24_000
    assert encoder.encode(tone(1.0, 24_000)).shape[1] == 24
    file.write_text(json.dumps(config | {"deepnorm": True}))
    with pytest.raises(EmbedderProblem, match="layers of its own"):
        load_encoder(str(tmp_path / "mert"), device="cpu")
