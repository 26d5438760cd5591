"""The training loop: its loss by hand, and a stopped run that ends as an undisturbed one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.training import train as training
from labeling.recipe.training.augment import augment
from labeling.recipe.training.data import Shards, piece_seed
from labeling.recipe.training.data import _write_shard as write_shard
from labeling.recipe.training.model import frequency_code
from labeling.recipe.training.teacher import same_geometry
from labeling.recipe.training.train import TrainConfig, soft_info_nce, train
from pipeline.errors import BadInput

CONFIG = TrainConfig(steps=4, batch=6, warmup_steps=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for shard in range(2):
        mels = rng.normal(-40, 15, (8, 512, 128)).astype(np.float16)
        facts = [sorted(describe(compose(8 * shard + k, 4.0))) for k in range(8)]
        write_shard(folder / f"shard-{shard:05d}", mels, {"facts": facts})
    return folder


def test_loss_is_zero_for_far_apart_pairs_and_log_n_for_equal_ones() -> None:
    eye = torch.eye(4)
    scale = torch.tensor(np.log(100.0))
    assert soft_info_nce(eye, eye, eye, scale, scale).item() == pytest.approx(0, abs=1e-5)
    same = torch.ones(4, 4) / 2
    assert soft_info_nce(same, same, eye, scale, scale).item() == pytest.approx(np.log(4), abs=1e-5)


def test_loss_spreads_over_positives_and_leaves_out_rows_without() -> None:
    captions, windows = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    positive = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    zero = torch.zeros(())
    # caption 0: both windows equally near, both positive: ln 2. windows: caption 0 scores 1, caption 1 scores 0
    expected = (np.log(2) + np.log(1 + np.exp(-1))) / 2
    assert soft_info_nce(captions, windows, positive, zero, zero).item() == pytest.approx(expected, abs=1e-6)


def test_stopped_and_resumed_equals_undisturbed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(CONFIG, data, tmp_path / "whole", device="cpu")
    step = training._Trainer.take_step

    def stop_after_two(self: training._Trainer) -> None:
        if self.step == 2:
            self.save_checkpoint()
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(training._Trainer, "take_step", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, data, tmp_path / "halves", device="cpu")
    monkeypatch.undo()
    train(CONFIG, data, tmp_path / "halves", device="cpu")
    whole, halves = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("whole", "halves"))
    assert whole == halves
    assert len(whole) < 12_000_000


def test_folder_loads_as_a_clap_model_of_the_promised_shape(data: Path, tmp_path: Path) -> None:
    from transformers import ClapModel, ClapProcessor

    train(TrainConfig(steps=1, batch=4), data, tmp_path / "m", device="cpu")
    model = ClapModel.from_pretrained(tmp_path / "m", dtype=torch.float32).eval()
    processor = ClapProcessor.from_pretrained(tmp_path / "m")
    assert processor.feature_extractor.sampling_rate == 24_000
    assert processor.feature_extractor.hop_length == 469
    mel = processor(audio=np.zeros(240_000, np.float32), sampling_rate=24_000, return_tensors="pt")["input_features"]
    assert mel.shape == (1, 1, 512, 128)
    with torch.inference_mode():
        audio = model.get_audio_features(mel).pooler_output
        text = model.get_text_features(**processor(text=["slow jazz"], return_tensors="pt")).pooler_output
    assert audio.shape == text.shape == (1, 128)
    assert audio.norm().item() == pytest.approx(1, abs=1e-4)


def test_other_settings_in_the_same_folder_are_refused(data: Path, tmp_path: Path) -> None:
    train(TrainConfig(steps=1, batch=4), data, tmp_path / "m", device="cpu")
    with pytest.raises(BadInput, match="other settings"):
        train(TrainConfig(steps=2, batch=4), data, tmp_path / "m", device="cpu")


def test_no_shards_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no finished shards"):
        Shards(tmp_path)


def test_shards_read_back_in_order_and_take_in_new_ones(data: Path) -> None:
    shards = Shards(data)
    assert len(shards) == 16
    direct = np.load(data / "shard-00001.npy")[3].astype(np.float32)
    np.testing.assert_array_equal(shards.mels([0, 11])[1], direct)


def test_splits_share_no_seed() -> None:
    seeds = [piece_seed(split, run, k) for split in ("train", "unseen") for run in (0, 1) for k in range(100)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)


def test_augmentation_keeps_range_and_repeats() -> None:
    mels = torch.full((5, 512, 128), -40.0)
    first, again = (augment(mels, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.min() >= -100
    assert first.max() <= 40
    assert not torch.equal(first, mels)


def test_frequency_code_tells_every_band_apart() -> None:
    code = frequency_code(0.3)
    assert code.shape == (128,)
    rows = {tuple(code[8 * k : 8 * k + 8].round(decimals=4).tolist()) for k in range(16)}
    assert len(rows) == 16


def test_recordings_take_part_and_a_stopped_run_meets_the_same_ones(data: Path, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    mels = np.random.default_rng(1).integers(40, 200, (12, 512, 128)).astype(np.uint8)
    np.savez(recorded / "songs.npz", mels=mels, tracks=np.repeat(["a", "b", "c", "d"], 3))
    config = replace(CONFIG, recorded_tracks=3, tone_share=0.5, same_track_weight=0.3, same_facts_weight=1.0)
    config = replace(config, moments_weight=0.3)
    train(config, data, tmp_path / "one", recorded=recorded, device="cpu")
    train(config, data, tmp_path / "again", recorded=recorded, device="cpu")
    train(CONFIG, data, tmp_path / "without", device="cpu")
    one, again, without = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("one", "again", "without"))
    assert one == again != without


def test_recordings_without_a_number_of_tracks_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--recorded-tracks"):
        train(CONFIG, data, tmp_path / "m", recorded=tmp_path, device="cpu")


def test_a_teacher_draws_captions_together_that_it_says_are_alike(data: Path, tmp_path: Path) -> None:
    alike = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    assert same_geometry(alike, alike).item() == pytest.approx(1 / 12, abs=1e-3)  # spreads are of a sample
    assert same_geometry(alike, alike[[0, 2, 1, 3]]) > 0.5
    texts = ["calm flute", "calm harp", "loud techno", "fast techno", "sad choir", "rock", "funk", "solo piano"]
    geometry = np.random.default_rng(0).integers(-100, 100, (len(texts), 8)).astype(np.int8)
    np.savez(tmp_path / "teacher.npz", texts=np.array(texts), geometry=geometry)
    config = replace(CONFIG, teacher_weight=1.0)
    train(config, data, tmp_path / "taught", teacher=tmp_path / "teacher.npz", device="cpu")
    train(CONFIG, data, tmp_path / "alone", device="cpu")
    taught, alone = ((tmp_path / d / "model.safetensors").read_bytes() for d in ("taught", "alone"))
    assert taught != alone
    with pytest.raises(BadInput, match="recipe teach"):
        train(config, data, tmp_path / "none", teacher=tmp_path / "none.npz", device="cpu")
