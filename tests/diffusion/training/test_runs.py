"""Named runs, the models command, and the distances that the benchmarks report."""

import argparse
import json

import numpy as np
import pytest

from benchmarks.diffusion_refine import log_spectral_distance
from cratedig.cascade import models as models_command
from cratedig.cascade import train as train_command
from diffusion.model.config import STAGES, TrainConfig
from diffusion.model.stages import paper_stage
from diffusion.training.runs import RUNS, named_run
from pipeline.errors import BadInput

TABLE_2_STEPS = dict(zip(STAGES, (1_600_000, 460_000, 1_800_000, 840_000, 270_000), strict=True))


@pytest.mark.parametrize("stage", STAGES)
def test_the_paper_run_is_the_paper(stage):
    config = named_run("paper", stage)
    assert config.total_steps == TABLE_2_STEPS[stage]
    assert config.global_batch == (4096 if stage == "super-resolution" else 2048)
    assert (config.peak_lr, config.warmup_steps, config.cosine_steps) == (1e-4, 10_000, 2_500_000)
    assert (config.adam_betas, config.ema_decay, config.text_drop) == ((0.9, 0.999), 0.9999, 0.1)
    generator = stage.endswith("generator")
    assert config.stage.train_s == (30.0 if generator else 3.2)
    assert config.stage.loss_weight == ("sigma2" if stage == "spectrogram-generator" else "simple")
    assert config.stage.noise == ("cosine" if stage == "waveform-generator" else "linear")
    assert config.stage.augment_t_max == {"waveform-cascader": 0.5}.get(stage, None if generator else 1.0)
    table_3 = {"waveform-generator": (0, 10), "waveform-cascader": (1, 5), "spectrogram-generator": (0, 5)}
    assert (config.stage.sampling.gamma, config.stage.sampling.guidance) == table_3.get(stage, (0, 1))
    own = (config.stage.diffuses, config.stage.predicts, config.stage.signal_gain, config.stage.condition_gain)
    assert own == ("target", "noise", 1, 1)
    assert config.stage.sampling.mel_fits == 0


@pytest.mark.parametrize("run", list(RUNS))
@pytest.mark.parametrize("stage", STAGES)
def test_every_run_is_whole_and_survives_json(run, stage):
    config = named_run(run, stage)
    assert config.stage.stage == stage
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_stages_of_a_run_fit_each_other():
    for run in RUNS.values():
        assert run("spectrogram-generator").stage.mel == run("spectrogram-vocoder").stage.mel
        assert run("waveform-generator").stage.target_rate_hz == run("waveform-cascader").stage.condition_rate_hz
        assert run("waveform-generator").text_encoder == run("waveform-cascader").text_encoder


def test_unknown_names():
    with pytest.raises(BadInput, match="paper, gpu80, gpu24, small, tiny"):
        named_run("huge", "super-resolution")
    with pytest.raises(BadInput, match="no stage 'bass'"):
        named_run("tiny", "bass")
    with pytest.raises(BadInput, match="no stage 'bass'"):
        paper_stage("bass")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_limit": 0}, "both or neither"),
        ({"mel": None}, "mel settings"),
        ({"target_rate_hz": 8_000}, "mel at 16000 Hz, target at 8000 Hz"),
        ({"crop_s": 0.00001}, "whole number"),
        ({"sampling": {"begins_at": 0.1}}, "begins_at 0.1 is for the vocoder"),
    ],
)
def test_stages_that_make_no_sense(changes, message):
    config = paper_stage("spectrogram-generator")
    with pytest.raises(ValueError, match=message):
        type(config).model_validate({**config.model_dump(), **changes})


def test_a_device_batch_must_divide_the_global_one():
    with pytest.raises(BadInput, match="not a multiple of device_batch 3"):
        named_run("tiny", "super-resolution").with_changes(device_batch=3)


def test_the_command_knows_the_stages():
    assert train_command._STAGES == STAGES


@pytest.mark.slow
def test_models_prints_the_five(capsys):
    parser = argparse.ArgumentParser()
    models_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["models", "--run", "tiny", "--json"])
    assert args.run(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in found["models"]] == list(STAGES)
    assert all(row["fixed_gib"] < 0.1 for row in found["models"])
    args = parser.parse_args(["models", "--run", "tiny"])
    args.run(args)
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines()[:-1])
    assert "724" in out


def test_log_spectral_distance_is_in_decibels():
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    assert log_spectral_distance(noise, noise) == 0
    assert log_spectral_distance(noise, 0.1 * noise) == pytest.approx(20, abs=0.1)


def test_with_other_steps_the_rate_falls_to_zero_at_the_last_one(monkeypatch, tmp_path):
    """Of runs that end with their cosine; the paper's ends far before it."""
    seen = {}
    monkeypatch.setattr("diffusion.training.train_job.train_stage", lambda config, *_, **__: seen.update(it=config))
    for run, steps in (("tiny", 50), ("tiny", 9_000), ("paper", 9_000)):
        parser = argparse.ArgumentParser()
        train_command.add_parser(parser.add_subparsers())
        words = ["train", "super-resolution", "--crate", "c", "--run", run, "--steps", str(steps)]
        args = parser.parse_args([*words, "--out", str(tmp_path)])
        args.run(args)
        assert seen["it"].total_steps == steps
        assert seen["it"].cosine_steps == (steps if run == "tiny" else 2_500_000)
