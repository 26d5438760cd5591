"""LAION's checkpoints give the numbers of LAION's own code, and everything else is refused by name.

`data/laion_parity.npz` holds what the `laion-clap` package made of the random weights, sounds and texts of
`laion_case.py`; `benchmarks/laion_parity.py` makes it anew.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeling.embedders.by_name import embedder_card, load_embedder
from labeling.embedders.safe_pickle import load_tensors
from pipeline.errors import BadInput, EmbedderProblem
from tests.labeling.embedders.laion_case import FULL_SIZE, TEXTS, random_checkpoint, sounds
from tests.tiny_clap import WORDS, make_tiny_clap, tiny_tokenizer

torch = pytest.importorskip("torch")
laion = pytest.importorskip("labeling.embedders.laion")

PARITY = Path(__file__).parent / "data" / "laion_parity.npz"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(WORDS, limit=512).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    with np.load(PARITY, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def tiny_state(oracle: dict[str, Any]) -> dict[str, Any]:
    return _state(oracle, "tiny")


def _state(oracle: dict[str, Any], case: str) -> dict[str, Any]:
    shapes = json.loads(str(oracle[f"{case}_shapes"]))
    return {k: torch.from_numpy(np.array(v)) for k, v in random_checkpoint(shapes, int(oracle["seed"])).items()}


def _save(state: dict[str, Any], file: Path, **beside: Any) -> Path:
    """As LAION saves: from a distributed model, with the epoch's scores beside the weights."""
    state = {**state, "text_branch.embeddings.position_ids": torch.arange(80)[None]}
    torch.save({"epoch": 15, "state_dict": {f"module.{k}": v for k, v in state.items()}, **beside}, file)
    return file


@pytest.mark.parametrize("case", list(FULL_SIZE))
def test_equals_laions_own_code(oracle: dict[str, Any], tokenizer: Path, tmp_path: Path, case: str) -> None:
    scores = {"acc": np.float64(0.9), "hits": np.int64(3), "lr": np.float32(1e-4)}
    checkpoint = _save(_state(oracle, case), tmp_path / "random.pt", scores=scores, optimizer={"step": torch.ones(1)})
    folder = laion.convert_laion(checkpoint, tmp_path / "folder", tokenizer=tokenizer, licence="cc0-1.0")
    embedder = load_embedder(str(folder), device="cpu")
    card = embedder.card
    assert (card.sample_rate_hz, card.window_s, card.dimension, card.text_limit_tokens) == (48_000, 10.0, 512, 77)
    assert (card.name, card.licence, card.revision) == ("random", "cc0-1.0", "random.pt")
    assert embedder.fusion is FULL_SIZE[case][1]
    windows = sounds()
    heard = embedder.embed_audio(windows)
    np.testing.assert_allclose(heard, oracle[f"{case}_audio"], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_text(TEXTS), oracle[f"{case}_text"], atol=1e-5)
    assert embedder.text_report(TEXTS).cut == 1
    if case == "tiny":  # the check can tell: without 16 bits, or from 0 Hz, it fails
        from labeling.embedders.clap import through_int16

        plain = embedder.embed_mels(embedder.log_mel.batch(windows))
        assert np.abs(plain - oracle["tiny_audio"])[2].max() > 1e-4
        embedder.log_mel = type(embedder.log_mel).like(
            __import__("transformers").ClapFeatureExtractor(truncation="rand_trunc", frequency_min=0)
        )
        low = embedder.embed_mels(embedder.log_mel.batch(through_int16(windows)))
        assert np.abs(low - oracle["tiny_audio"]).max() > 1e-3


def test_every_key_is_accounted_for(tiny_state: dict[str, Any]) -> None:
    constants = {
        "audio_branch.spectrogram_extractor.stft.conv_real.weight": torch.zeros(1),
        "audio_branch.spectrogram_extractor.stft.conv_imag.weight": torch.zeros(1),
        "audio_branch.logmel_extractor.melW": torch.zeros(1),
        "text_branch.embeddings.position_ids": torch.zeros(1),
    }
    state = {**tiny_state, **constants}
    dropped = [k for k in state if not laion.rename_keys({k: torch.zeros(3, 3)})]
    of = {part: sum(part in k for k in dropped) for part in ("_transform", "extractor", "tscam", "head", "attn_mask")}
    assert of == {"_transform": 8, "extractor": 3, "tscam": 2, "head": 2, "attn_mask": 5}
    assert len(dropped) == 8 + 3 + 4 + 5 + 1  # and position_ids
    kept = laion.rename_keys(state)
    joint = sum(".qkv." in k for k in state)
    assert len(kept) == len(state) - len(dropped) + 2 * joint
    assert sum(v.numel() for v in kept.values()) == sum(v.numel() for k, v in state.items() if k not in dropped)


def test_keys_that_are_missing_or_too_many_are_named(
    tiny_state: dict[str, Any], tokenizer: Path, tmp_path: Path
) -> None:
    state = dict(tiny_state)
    del state["audio_branch.layers.2.blocks.3.norm1.bias"]
    state["audio_branch.extra.weight"] = torch.zeros(2)
    checkpoint = _save(state, tmp_path / "odd.pt")
    with pytest.raises(
        EmbedderProblem,
        match=r"1 keys missing \(first: audio_model\.audio_encoder\.layers\.2\.blocks\.3\.layernorm_before\.bias\), "
        r"1 unexpected \(first: audio_model\.audio_encoder\.extra\.weight\)",
    ):
        laion.convert_laion(checkpoint, tmp_path / "out", tokenizer=tokenizer)
    assert not (tmp_path / "out").exists()


def test_a_weight_of_another_shape_is_named(tiny_state: dict[str, Any], tokenizer: Path, tmp_path: Path) -> None:
    state = {**tiny_state, "audio_projection.0.bias": torch.zeros(7)}
    with pytest.raises(EmbedderProblem, match=r"audio_projection\.linear1\.bias has shape \(7,\): expected \(512,\)"):
        laion.convert_laion(_save(state, tmp_path / "odd.pt"), tmp_path / "out", tokenizer=tokenizer)


def test_shapes_of_no_htsat_are_refused(tiny_state: dict[str, Any], tokenizer: Path, tmp_path: Path) -> None:
    state = {**tiny_state, "audio_branch.patch_embed.proj.weight": torch.zeros(96, 16)}
    with pytest.raises(EmbedderProblem, match="its shapes are not those of LAION's CLAP"):
        laion.convert_laion(_save(state, tmp_path / "odd.pt"), tmp_path / "out", tokenizer=tokenizer)


def test_other_mel_filters_are_refused(tiny_state: dict[str, Any], tokenizer: Path, tmp_path: Path) -> None:
    state = {**tiny_state, "audio_branch.logmel_extractor.melW": torch.rand(513, 64)}
    with pytest.raises(EmbedderProblem, match=r"its mel filters \(513 frequencies, 64 bands\) are not those of 1024"):
        laion.convert_laion(_save(state, tmp_path / "odd.pt"), tmp_path / "out", tokenizer=tokenizer)


def test_numbers_of_an_older_numpy_are_read(tmp_path: Path) -> None:
    """NumPy 1 pickles them by another name; LAION's files are of that time."""
    torch.save({"state_dict": {"a": torch.arange(3)}, "acc": np.float64(0.9), "n": np.int64(3)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for item in new.infolist():
            content = new.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content or np.__version__ < "2"
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(item.filename, content)
    for file in ("new.pt", "old.pt"):
        assert load_tensors(tmp_path / file, "state_dict")["a"].tolist() == [0, 1, 2]


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)

    def __init__(self, mark: Path) -> None:
        self.mark = mark


def test_a_checkpoint_that_would_run_code_is_not_read(tiny_state: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    checkpoint = _save(tiny_state, tmp_path / "attack.pt", callback=_Attack(mark))
    with pytest.raises(
        EmbedderProblem, match=r"attack\.pt is no checkpoint, or holds more than tensors.*not read \(.*system"
    ):
        laion.convert_laion(checkpoint, tmp_path / "out")
    assert not mark.exists()


def test_what_is_no_checkpoint(tokenizer: Path, tmp_path: Path) -> None:
    def convert(file: Path) -> None:
        laion.convert_laion(file, tmp_path / "out", tokenizer=tokenizer)

    with pytest.raises(BadInput, match=r"no file at .*none\.pt: expected a checkpoint"):
        convert(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello, I am no checkpoint")
    with pytest.raises(EmbedderProblem, match=r"text\.pt"):
        convert(tmp_path / "text.pt")
    torch.save({"state_dict": {"a": torch.ones(1000)}}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmbedderProblem, match=r"cut\.pt \(\d+ bytes\) can't be read .*fetch it again"):
        convert(tmp_path / "cut.pt")
    with pytest.raises(EmbedderProblem, match=r"has no audio_branch\.patch_embed\.proj\.weight \(its first key is a\)"):
        convert(tmp_path / "whole.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(EmbedderProblem, match="holds a list: expected a state_dict"):
        convert(tmp_path / "list.pt")
    torch.save({"state_dict": {"a": 3}}, tmp_path / "int.pt")
    with pytest.raises(EmbedderProblem, match="'a' is a int: expected a state_dict"):
        convert(tmp_path / "int.pt")


def test_no_folder_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BadInput, match="exists and is not an empty folder"):
        laion.convert_laion(tmp_path / "x.pt", tmp_path)
    with pytest.raises(BadInput, match="exists and is not an empty folder"):
        laion.convert_folder(tmp_path, tmp_path / "mine")


def test_a_tokenizer_is_needed(tiny_state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labeling.embedders.roberta import roberta_folder

    checkpoint = _save(tiny_state, tmp_path / "x.pt")
    with pytest.raises(BadInput, match="no tokenizer folder at"):
        laion.convert_laion(checkpoint, tmp_path / "out", tokenizer=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no tokenizer that can be loaded"):
        laion.convert_laion(checkpoint, tmp_path / "out", tokenizer=tmp_path / "empty")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EmbedderProblem, match=r"127\.0\.0\.1:9/someone/nothing.* can't be reached.*--tokenizer"):
        roberta_folder("someone/nothing")


def test_pickled_clapmodel_folders_become_safetensors(tmp_path: Path) -> None:
    folder = make_tiny_clap(tmp_path / "tiny", window_s=1, sample_rate_hz=16_000)
    before = load_embedder(str(folder), device="cpu").embed_text(["slow piano"])
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    out = laion.convert_folder(folder, tmp_path / "out")
    assert sorted(p.name for p in out.iterdir() if p.suffix in (".bin", ".safetensors")) == ["model.safetensors"]
    np.testing.assert_array_equal(load_embedder(str(out), device="cpu").embed_text(["slow piano"]), before)
    with pytest.raises(BadInput, match=r"expected a \.pt file of LAION's, or a ClapModel folder"):
        laion.convert_folder(tmp_path, tmp_path / "other")


def test_hub_folders_can_be_given_laions_front_end(tmp_path: Path) -> None:
    folder = make_tiny_clap(tmp_path / "tiny", window_s=1, sample_rate_hz=48_000)
    out = laion.convert_folder(folder, tmp_path / "out", laion_front_end=True)
    front_end = load_embedder(str(out), device="cpu").front_end
    assert (front_end.frequency_min, front_end.frequency_max, front_end.quantise_int16) == (50, 14_000, True)
    assert embedder_card(str(out)).weights_hash != embedder_card(str(folder)).weights_hash
