"""Left and right from super-resolution: what it diffuses, how it is trained, and what a cascade makes of it."""

import argparse
import json

import numpy as np
import pytest
import soundfile
import torch

from cratedig.cascade import generate as generate_command
from cratedig.cascade import train as train_command
from diffusion.generation.held import read_audio
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import read_checkpoint
from diffusion.model.config import STAGES
from diffusion.model.stages import paper_stage
from diffusion.process.diffused import from_diffused, to_diffused
from diffusion.training.demos import make_demos
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput, CrateMismatch
from tests.diffusion.crates import make_crate, tones
from tests.diffusion.small import small_run, small_stage

SR = "super-resolution"


def wide(clip, seconds):
    """(T, 2): a chord on the left, and another, half as loud, on the right."""
    return np.stack([tones(clip, seconds), 0.5 * tones(clip + 5, seconds)], 1)


@pytest.fixture(scope="module")
def stereo_crate(tmp_path_factory):
    return make_crate(
        tmp_path_factory.mktemp("stereo"), shards=2, tracks=2, clips=2, clip_s=0.8, sound=wide, labels=None, stereo=True
    )


@pytest.fixture(scope="module")
def stereo_run(stereo_crate, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run")
    config = small_run(SR, "", total_steps=2).with_changes(stage=small_stage(SR).in_stereo())
    train_stage(config, [CrateUse(stereo_crate)], out / SR, cpu=True)
    return out


def command(module, *words):
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args([str(word) for word in words])
    return args.run(args)


@pytest.mark.parametrize("config", [paper_stage(SR), small_stage(SR)], ids=["target", "residual"])
def test_mid_and_side_turn_into_left_and_right_again(config):
    mono = torch.from_numpy(tones(0, 0.64))[None, None]
    other = torch.from_numpy(tones(5, 0.64))[None, None]
    target, condition = torch.cat([mono, 0.3 * other], 1), (mono + 0.3 * other) / 2
    stereo = config.in_stereo()
    diffused = to_diffused(target, condition, stereo)
    torch.testing.assert_close(from_diffused(diffused, condition, stereo), target, atol=1e-5, rtol=0)
    assert float(diffused.abs().max()) < 10  # where clipping begins
    # Of a mono clip the side is silent, and the mid is what the mono stage diffuses.
    alike = to_diffused(torch.cat([mono, mono], 1), condition, stereo)
    torch.testing.assert_close(alike[:, :1], to_diffused(mono, condition, config))
    assert float(alike[:, 1:].abs().max()) == 0


def test_only_the_stage_that_writes_the_final_signal():
    for stage in STAGES:
        if stage == SR:
            assert (paper_stage(stage).stereo, paper_stage(stage).in_stereo().stereo) == (False, True)
        else:
            with pytest.raises(BadInput, match=f"{stage} works on the mono mix; --stereo is for super-resolution"):
                paper_stage(stage).in_stereo()


@pytest.mark.slow
def test_it_learns_two_channels(stereo_crate, tmp_path):
    words = ["train", SR, "--crate", stereo_crate, "--run", "tiny", "--stereo", "--cpu", "--steps", 30]
    assert command(train_command, *words, "--out", tmp_path) == 0
    found = read_checkpoint(tmp_path / SR)
    assert found.config.stage.stereo
    held_out = found.state["held_out_loss"]
    assert held_out["model"] < 0.95 * held_out["start"]
    with pytest.raises(BadInput, match=r"trained with other settings .*signal_channels: 2, now 1"):
        command(train_command, *[word for word in words if word != "--stereo"], "--out", tmp_path)


@pytest.mark.slow
def test_what_does_not_fit_is_said(run, crate, stereo_crate, tmp_path):
    words = ["--run", "tiny", "--stereo", "--cpu", "--steps", 2, "--out", tmp_path]
    with pytest.raises(CrateMismatch, match=r"has mono audio at 24000 Hz, the stage makes stereo; mine it again with"):
        command(train_command, "train", SR, "--crate", crate, *words)
    with pytest.raises(BadInput, match="spectrogram-vocoder works on the mono mix; --stereo is for super-resolution"):
        command(train_command, "train", "spectrogram-vocoder", "--crate", crate, *words)
    with pytest.raises(BadInput, match="makes mono; train a stereo one from the beginning, or leave --stereo away"):
        command(train_command, "train", SR, "--crate", stereo_crate, *words, "--init-from", run)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["spectrogram-vocoder", SR])
def test_a_mono_stage_hears_the_mix_of_a_stereo_crate(stereo_crate, tmp_path, stage):
    """The same first losses as from a crate that holds the mixes, but for the rounding of 16 bits."""
    mixes = make_crate(
        tmp_path / "mono", shards=2, tracks=2, clips=2, clip_s=0.8, labels=None, sound=lambda n, s: wide(n, s).mean(1)
    )
    losses = []
    for name, source in (("stereo", stereo_crate), ("mono", mixes)):
        train_stage(small_run(stage, "", total_steps=2), [CrateUse(source)], tmp_path / name, cpu=True)
        lines = (tmp_path / name / "losses.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("cascade", ["waveform", "spectrogram"])
def test_a_cascade_writes_two_channels_and_goes_on_from_a_stereo_file(run, stereo_run, tmp_path, cascade):
    left_right = wide(3, 0.64)
    soundfile.write(tmp_path / "take.wav", left_right, 24_000, subtype="FLOAT")
    out = tmp_path / "out.wav"
    given = ["generate", "slow piano", "--from", run, "--stage", f"{SR}={stereo_run / SR}", "-o", out, "--cpu",
             "--cascade", cascade, "--steps", 3, "--seconds", "1.28"]  # fmt: skip
    assert command(generate_command, *given, "--keep-stages") == 0
    made, rate = soundfile.read(out)
    assert (rate, made.shape) == (24_000, (30_720, 2))
    middle = {"waveform": "waveform-cascader", "spectrogram": "spectrogram-vocoder"}[cascade]
    assert soundfile.info(tmp_path / f"out-{middle}.wav").channels == 1
    assert command(generate_command, *given, "--audio", tmp_path / "take.wav") == 0
    made, _ = soundfile.read(out)
    stands = len(left_right) - round(0.006 * 24_000)
    assert np.abs(made[:stands] - left_right[:stands]).max() < 2 / 32768
    assert np.abs(made[len(left_right) :]).max() > 0
    # A mono file stands on both sides.
    soundfile.write(tmp_path / "mono.wav", left_right[:, 0], 24_000, subtype="FLOAT")
    assert command(generate_command, *given, "--audio", tmp_path / "mono.wav") == 0
    made, _ = soundfile.read(out)
    assert np.abs(made[:stands] - left_right[:stands, :1]).max() < 2 / 32768
    assert read_audio(tmp_path / "take.wav", stereo=True).shape == left_right.shape


@pytest.mark.slow
def test_a_clip_does_not_depend_on_its_batch(stereo_run):
    model = StageModel.load(stereo_run / SR)
    condition = torch.from_numpy(np.stack([tones(n, 0.48)[: 16_000 * 48 // 100] for n in (0, 1)]))
    both = model.generate([5, 6], 0.48, condition=condition)
    assert both.shape == (2, 2, 11_520)
    torch.testing.assert_close(model.generate([6], 0.48, condition=condition[1:]), both[1:], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_demos_are_heard_in_stereo(stereo_crate, tmp_path):
    config = small_run(SR, "", total_steps=2, demo_clips=1).with_changes(stage=small_stage(SR).in_stereo())
    trainer = train_stage(config, [CrateUse(stereo_crate)], tmp_path / SR, cpu=True)
    paths = make_demos(trainer, tmp_path)
    assert {soundfile.info(path).channels for path in paths} == {2}
    truth, _ = soundfile.read(next(path for path in paths if path.name == "0-truth.wav"))
    assert np.abs(truth[:, 0] - truth[:, 1]).max() > 0.05
