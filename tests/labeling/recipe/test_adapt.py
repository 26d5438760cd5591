"""What recordings add to training: each loss where its value is known, and windows cut from files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from labeling.recipe.training.adapt import in_tone_of, moments_apart, same_facts, same_track
from labeling.recipe.training.recorded_windows import RecordedWindows, write_recorded_windows
from pipeline.errors import BadInput


def test_two_windows_of_a_track_that_are_alike_cost_nothing_and_all_alike_cost_a_guess() -> None:
    tracks_TD = torch.eye(5)
    assert same_track(torch.stack([tracks_TD, tracks_TD])).item() == pytest.approx(
        math.log(1 + 8 * math.exp(-10)), abs=1e-4
    )
    one = torch.eye(5)[:1].expand(2, 5, 5)
    assert same_track(one).item() == pytest.approx(math.log(9), abs=1e-4)  # of ten windows, itself left out


def test_facts_cost_least_where_windows_of_a_track_agree_and_frequencies_are_those_of_composed_music() -> None:
    random = torch.Generator().manual_seed(0)
    composed_BN = torch.randn(64, 3, generator=random) * 4 - 1
    rows_TN = composed_BN[:32]
    agree = same_facts(torch.stack([rows_TN, rows_TN]), composed_BN)
    differ = same_facts(torch.stack([rows_TN, rows_TN.roll(1, 0)]), composed_BN)
    elsewhere = same_facts(torch.stack([rows_TN + 5, rows_TN + 5]), composed_BN)
    assert agree < differ
    assert agree < elsewhere


def test_moments_are_together_where_they_are_equal_and_count_in_spreads() -> None:
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    assert moments_apart(x, x.flip(0)).item() == pytest.approx(0, abs=1e-5)
    spread = (x - x.mean(0)).square().sum().item() / len(x)
    assert moments_apart(x, x + 2).item() == pytest.approx(8 * 4 / spread, rel=1e-3)
    wide = 2 * x - x.mean(0)  # four times the covariance
    assert moments_apart(x, wide).item() == pytest.approx(9 / 4, rel=1e-3)
    assert moments_apart(x / 100, wide / 100).item() == pytest.approx(9 / 4, rel=1e-3)


def test_tone_moves_by_the_share_that_is_asked_and_no_further_than_an_equaliser() -> None:
    random = torch.Generator().manual_seed(0)
    mels_BFM = torch.randn(2, 512, 128, generator=random) * 8 - 40
    bright_BFM = torch.randn(2, 512, 128, generator=random) * 8 - 40 + 10
    moved_BFM = in_tone_of(mels_BFM, bright_BFM, torch.tensor([1.0, 0.0]))
    assert (moved_BFM - mels_BFM).mean((1, 2)).tolist() == pytest.approx([10, 0], abs=0.2)
    assert torch.allclose(moved_BFM[1], mels_BFM[1], atol=1e-3)
    far = in_tone_of(mels_BFM, bright_BFM + 100, torch.ones(2))
    assert (far - mels_BFM).mean().item() == pytest.approx(20, abs=0.2)


def test_windows_of_files_come_in_pairs_of_a_track(tmp_path: Path) -> None:
    music = tmp_path / "songs"
    music.mkdir()
    for name, hz in (("low", 300), ("high", 3000)):
        time_T = np.arange(24_000 * 40) / 24_000
        soundfile.write(music / f"{name}.flac", 0.3 * np.sin(2 * np.pi * hz * time_T), 24_000)
    soundfile.write(music / "short.flac", np.full(24_000, 0.1), 24_000)
    assert write_recorded_windows(tmp_path / "cut", [music]) == 12  # two clips of three windows each
    windows = RecordedWindows(tmp_path / "cut", "cpu")
    assert (len(windows), windows.tracks) == (12, 2)
    pairs_2TFM = windows.pairs(8, np.random.default_rng(0))
    assert pairs_2TFM.shape == (2, 2, 512, 128)
    loudest = pairs_2TFM.mean(2).argmax(-1)
    assert loudest[0].tolist() == loudest[1].tolist()
    assert len(set(loudest[0].tolist())) == 2
    assert -100 <= float(pairs_2TFM.min()) < float(pairs_2TFM.max()) <= 27.5


def test_folders_without_music_are_said(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="no tracks of half a minute"):
        write_recorded_windows(tmp_path / "cut", [tmp_path / "none"])
    with pytest.raises(BadInput, match="recipe recorded"):
        RecordedWindows(tmp_path / "none", "cpu")
