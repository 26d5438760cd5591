"""`cratedig export hf --tokens`: a codec's codes beside the audio, which decode to what the codec makes of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import transformers

from beam_jobs.engine import Engine
from beam_jobs.export import export_crate
from cratedig.main import main
from pipeline.crate.crate import Crate
from pipeline.errors import BadInput
from pipeline.export.export import Export
from pipeline.export.spec import ExportSpec
from pipeline.export.takedown import remove_tracks
from pipeline.export.tokens.codec import read_codec
from pipeline.export.verify import verify_export
from tests.exports import tree

SMALL = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "num_lstm_layers": 1}


@pytest.fixture(scope="module")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights in the forms of three codecs that people use, as `save_pretrained` writes them."""
    root = tmp_path_factory.mktemp("codecs")
    torch.manual_seed(0)
    made = {
        "encodec": transformers.EncodecModel(  # as the one of 24 kHz: 4 codebooks of 1024, in one piece
            transformers.EncodecConfig(sampling_rate=24_000, target_bandwidths=[1.5, 3.0], **SMALL)
        ),
        "encodec-48k": transformers.EncodecModel(  # stereo, normalised, in chunks of a second that overlap
            transformers.EncodecConfig(
                sampling_rate=48_000, audio_channels=2, normalize=True, chunk_length_s=1.0, overlap=0.01,
                target_bandwidths=[3.0, 6.0], use_causal_conv=False, norm_type="time_group_norm", **SMALL,
            )
        ),
        "dac": transformers.DacModel(
            transformers.DacConfig(encoder_hidden_size=4, decoder_hidden_size=64, n_codebooks=5, sampling_rate=16_000)
        ),
    }  # fmt: skip
    for name, model in made.items():
        model.save_pretrained(root / name)
    return {name: root / name for name in made}


def tokens_export(crate: Path, out: Path, codec: Path, *, workers: int = 1, keep: int | None = None,
                  **choices: Any) -> Export:  # fmt: skip
    card = read_codec(str(codec), keep)
    values = {"layout": "hf", "labels": "first", "rate_hz": card.rate_hz, "channels": card.channels, "tokens": card}
    spec = ExportSpec.model_validate({**values, **choices})
    return export_crate(Crate.open(crate), out, spec, engine=Engine(workers=workers), tokens=str(codec))


def rows_of(root: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((root / "data").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def sound_of(row: dict[str, Any]) -> torch.Tensor:
    samples_TC, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32", always_2d=True)
    return torch.from_numpy(np.ascontiguousarray(samples_TC.T))[None]


def test_codes_of_encodec_decode_to_what_it_makes_of_the_audio(
    finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]
) -> None:
    made = tokens_export(finished_crate, tmp_path / "hf", codecs["encodec"])
    model = transformers.EncodecModel.from_pretrained(codecs["encodec"]).eval()
    rows = rows_of(tmp_path / "hf")
    assert len(rows) == 16
    for row in rows:
        codes = torch.tensor(row["tokens"])
        assert codes.shape == (4, 150)  # 2 s at 75 frames a second
        with torch.no_grad():
            expected = model(sound_of(row), bandwidth=3.0).audio_values
            decoded = model.decode(codes[None, None], [None]).audio_values
        assert torch.allclose(decoded, expected, atol=1e-5)
    assert verify_export(made).holds
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "EncodecModel (" in card
    assert "24000 Hz mono: 4 codebooks of 1024, 75 frames and 3 kbit a second" in card


def test_the_first_codebooks_are_those_of_a_lower_bandwidth(
    finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]
) -> None:
    tokens_export(finished_crate, tmp_path / "hf", codecs["encodec"], keep=2)
    model = transformers.EncodecModel.from_pretrained(codecs["encodec"]).eval()
    row = rows_of(tmp_path / "hf")[0]
    with torch.no_grad():
        expected = model.encode(sound_of(row), bandwidth=1.5).audio_codes[0, 0]
    assert torch.tensor(row["tokens"]).equal(expected)


def test_codes_of_dac_are_of_the_crates_audio_at_its_rate(
    finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]
) -> None:
    made = tokens_export(finished_crate, tmp_path / "hf", codecs["dac"], audio="audio_16k")
    model = transformers.DacModel.from_pretrained(codecs["dac"]).eval()
    for row in rows_of(tmp_path / "hf"):
        sound = sound_of(row)
        padded = torch.nn.functional.pad(sound, (0, -sound.shape[-1] % 512))
        codes = torch.tensor(row["tokens"])
        assert codes.shape == (5, padded.shape[-1] // 512)
        with torch.no_grad():
            expected = model.decode(model.encode(padded).quantized_representation).audio_values
            decoded = model.decode(audio_codes=codes[None]).audio_values
        assert torch.allclose(decoded, expected, atol=1e-5)
    assert (made.spec.rate_hz, made.spec.audio) == (16_000, "audio_16k")


def test_chunks_with_scales_decode_again(finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]) -> None:
    """Stereo at 48 kHz, which the crate has not: from the sources."""
    made = tokens_export(finished_crate, tmp_path / "hf", codecs["encodec-48k"], audio="source")
    codec = made.spec.tokens
    assert codec is not None
    model = transformers.EncodecModel.from_pretrained(codecs["encodec-48k"]).eval()
    for row in rows_of(tmp_path / "hf")[:4]:
        codes_KF = torch.tensor(row["tokens"])
        chunks = list(codes_KF.split(codec.chunk_frames, dim=1))
        assert len(chunks) == len(row["token_scales"]) == 3  # 2 s in steps of .99 s
        lacking = codec.chunk_frames - chunks[-1].shape[1]
        chunks[-1] = torch.nn.functional.pad(chunks[-1], (0, lacking))
        scales = [torch.tensor([[scale]]) for scale in row["token_scales"]]
        sound = sound_of(row)
        with torch.no_grad():
            expected = model(sound, bandwidth=6.0).audio_values
            decoded = model.decode(torch.stack(chunks)[:, None], scales, last_frame_pad_length=lacking).audio_values
        assert torch.allclose(decoded[..., : sound.shape[-1]], expected[..., : sound.shape[-1]], atol=1e-4)


def test_datasets_loads_codes_as_integers(finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]) -> None:
    datasets = pytest.importorskip("datasets", reason="the dev extra has it")
    tokens_export(finished_crate, tmp_path / "hf", codecs["encodec"])
    loaded = datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["tokens"].feature.feature.dtype == "int16"
    codes = np.array(loaded.select_columns(["tokens"]).with_format("numpy")[3]["tokens"])
    assert codes.shape == (4, 150)
    assert 0 <= codes.min() <= codes.max() < 1024
    assert codes.tolist() == rows_of(tmp_path / "hf")[3]["tokens"]


def test_two_workers_write_the_bytes_of_one(finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]) -> None:
    tokens_export(finished_crate, tmp_path / "one", codecs["encodec"])
    tokens_export(finished_crate, tmp_path / "two", codecs["encodec"], workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_takedown_needs_no_codec(finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]) -> None:
    made = tokens_export(finished_crate, tmp_path / "hf", codecs["encodec"])
    before = {row["clip_id"]: row["tokens"] for row in rows_of(tmp_path / "hf")}
    gone = rows_of(tmp_path / "hf")[0]["track_id"]
    assert verify_export(remove_tracks(made, [gone])).holds
    after = {row["clip_id"]: row["tokens"] for row in rows_of(tmp_path / "hf")}
    assert after == {clip: codes for clip, codes in before.items() if not clip.startswith(gone)}


def test_another_codec_is_refused_by_an_export_that_was_begun(
    finished_crate: Path, tmp_path: Path, codecs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", "hf", str(finished_crate), "--labels", "first", "--out", str(tmp_path / "hf")]
    assert main([*command, "--tokens", str(codecs["encodec"]), "--workers", "1", "--device", "cpu"]) == 0
    assert main([*command, "--tokens", str(codecs["encodec"]), "--codebooks", "2"]) != 0
    assert "was made with tokens=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokens", "{nowhere}"], "no config.json that can be read"),
        (["--tokens", "{clap}"], "is a model of type 'clap'; expected encodec or dac"),
        (["--tokens", "{pickled}"], "has no model.safetensors, and other weights would have to be unpickled"),
        (["--tokens", "{encodec}", "--codebooks", "9"], "--codebooks 9: this codec has 4"),
        (["--codebooks", "2"], "--codebooks needs --tokens FOLDER"),
        (["--tokens", "{encodec}", "--rate", "16000"], "the codec hears 24000 Hz"),
        (["--tokens", "{encodec}", "--codec", "opus"], "no whole tracks, no Opus"),
        (["--tokens", "{encodec-48k}", "--audio", "audio"], "more than the crate holds comes from its sources"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    finished_crate: Path, tmp_path: Path, codecs: dict[str, Path], options: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, content in (("clap", '{"model_type": "clap"}'), ("pickled", (codecs["dac"] / "config.json").read_text())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"anything")
    places = {**codecs, "nowhere": tmp_path / "nowhere", "clap": tmp_path / "clap", "pickled": tmp_path / "pickled"}
    asked = [option.format(**places) for option in options]
    command = ["export", "hf", str(finished_crate), "--labels", "first", "--out", str(tmp_path / "out"), *asked]
    assert main(command) != 0
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_weights_that_lack_a_part_are_refused(finished_crate: Path, tmp_path: Path, codecs: dict[str, Path]) -> None:
    from safetensors.torch import load_file, save_file

    from pipeline.export.tokens.tokenizer import Tokenizer

    weights = load_file(codecs["dac"] / "model.safetensors")
    lost = sorted(weights)[0]
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_bytes((codecs["dac"] / "config.json").read_bytes())
    save_file({k: v for k, v in weights.items() if k != lost}, tmp_path / "half" / "model.safetensors")
    with pytest.raises(BadInput, match="its weights lack 1 of the model's"):
        Tokenizer(str(tmp_path / "half"), read_codec(str(tmp_path / "half")))
