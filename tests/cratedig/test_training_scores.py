"""While a stage trains, a fixed set of held-out clips is generated and scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cratedig.cascade.scores import score_trainer
from diffusion.training.train_job import CrateUse, train_stage
from labeling.embedders.by_name import load_embedder
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", ["waveform-generator", "spectrogram-vocoder"])
def test_a_line_a_checkpoint_that_a_resumed_run_says_again(tmp_path: Path, stage: str) -> None:
    clap = str(make_tiny_clap(tmp_path / "clap", window_s=1))
    crate = make_crate(tmp_path / "crate", shards=2, tracks=2, clips=2, clip_s=0.8)
    judge, out = load_embedder(clap, device="cpu"), tmp_path / "run"

    def train(steps: int, out: Path) -> list[dict[str, float]]:
        train_stage(
            small_run(stage, clap, total_steps=steps),  # type: ignore[arg-type]
            [CrateUse(crate)], out, cpu=True, on_checkpoint=lambda t: score_trainer(t, judge) and None,
        )  # fmt: skip
        return [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]

    train(3, out)
    found = train(6, out)
    assert [row["step"] for row in found] == [3, 6]
    assert found == train(6, tmp_path / "whole"), "the same clips, words and seeds, stopped or not"
    reads = stage == "waveform-generator"
    names = {"step", "to_truth", *(("similarity", "similarity_shuffled", "similarity_truth") if reads else ())}
    assert set(found[0]) >= names
    assert all(-1 <= row["to_truth"] <= 1 for row in found)
