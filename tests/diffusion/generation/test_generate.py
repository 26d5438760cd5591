"""A prompt to a file through both cascades, and everything that is refused before that."""

import argparse
import shutil

import numpy as np
import pytest
import soundfile
import torch

from cratedig.cascade import generate as generate_command
from cratedig.cascade import train as train_command
from diffusion.generation.cascade import check_fit, load_cascade
from diffusion.generation.stage_model import StageModel
from diffusion.generation.wav import read_settings
from diffusion.model.config import STAGES, SamplingConfig
from diffusion.process.invert import invert_mel
from diffusion.process.mel import log_mel
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput
from tests.diffusion.small import small_run, small_stage
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow


def command(module, *words):
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args([str(word) for word in words])
    return args.run(args)


@pytest.mark.parametrize("cascade", ["waveform", "spectrogram"])
def test_a_prompt_becomes_a_24_khz_file_with_its_settings(run, tmp_path, cascade):
    out = tmp_path / "out.wav"
    words = ["generate", "slow  solo piano", "--from", run, "-o", out, "--cascade", cascade, "--seconds", "1.28",
             "--seed", 9, "--cpu", "--keep-stages", "--steps", 3, "--guidance", 2]  # fmt: skip
    assert command(generate_command, *words) == 0
    audio, rate = soundfile.read(out)
    assert (rate, len(audio), audio.ndim) == (24_000, 30_720, 1)
    assert np.abs(audio).max() > 0
    settings = read_settings(out)
    assert settings["prompt"] == "slow solo piano"
    assert settings["seed"] == 9
    first = settings["stages"][f"{cascade}-generator"]
    assert (first["steps"], first["guidance"], first["checkpoint_step"]) == (3, 2, 2)
    assert settings["stages"]["super-resolution"]["guidance"] == 1
    if cascade == "waveform":
        assert soundfile.info(tmp_path / "out-waveform-generator.wav").samplerate == 3_200
        assert soundfile.info(tmp_path / "out-waveform-cascader.wav").frames == 20_480
    else:
        assert np.load(tmp_path / "out-spectrogram-generator.npy").shape == (80, 128)
        assert soundfile.info(tmp_path / "out-spectrogram-vocoder.wav").samplerate == 16_000


def test_a_clip_does_not_depend_on_its_batch(run):
    cascade = load_cascade("waveform", {stage: run / stage for stage in STAGES})
    sampling = cascade.sampling({"steps": {None: 2}})

    def make(prompts, seeds, batch):
        made = cascade.generate(prompts, seeds, seconds=0.64, sampling=sampling, batch=batch)
        return [result.stages["super-resolution"] for result in made]

    together = make(["slow piano", "fast drums", "slow piano"], [1, 2, 1], 3)
    alone = make(["fast drums"], [2], 1)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)
    np.testing.assert_allclose(together[0], together[2], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_prompts_from_a_file_into_a_folder(run, tmp_path):
    (tmp_path / "prompts.txt").write_text("slow piano\n\nfast drums\n")
    words = ["generate", "--prompts", tmp_path / "prompts.txt", "--from", run, "-o", tmp_path / "clips", "--seconds",
             "0.64", "--steps", 1, "--cpu"]  # fmt: skip
    command(generate_command, *words)
    assert sorted(p.name for p in (tmp_path / "clips").iterdir()) == ["000-slow-piano.wav", "001-fast-drums.wav"]


def test_a_long_prompt_is_cut_and_that_is_said(run, tmp_path, capsys):
    words = ["generate", "piano " * 200, "--from", run, "-o", tmp_path / "o.wav", "--seconds", "0.64", "--steps", 1,
             "--cpu"]  # fmt: skip
    command(generate_command, *words)
    assert "has 202 tokens, the model reads 64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no prompt"),
        (["  "], "empty prompt"),
        (["a", "b", "-o", "x.wav"], "a folder"),
        (["a", "--seconds", "0.01"], "between 0.1 and 3600"),
        (["a", "--seconds", "nan"], "between 0.1 and 3600"),
        (["a", "--batch", "0"], "at least 1"),
        (["a", "--steps", "0"], "steps 0"),
        (["a", "--guidance", "-1"], "guidance -1"),
        (["a", "--stage", "bass=x"], "STAGE=FOLDER"),
        (["a", "--prompts", "/nowhere.txt"], "cannot be read"),
    ],
)
def test_bad_requests(words, message, run):
    with pytest.raises(BadInput, match=message):
        command(generate_command, "generate", *words, "--from", run, "--cpu")


def test_a_missing_stage_and_a_wrong_one(run, tmp_path):
    partial = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(partial / "super-resolution")
    with pytest.raises(BadInput, match="needs super-resolution"):
        load_cascade("waveform", {stage: partial / stage for stage in STAGES})
    folders = {stage: run / stage for stage in STAGES}
    with pytest.raises(BadInput, match="checkpoint of waveform-generator, expected is super-resolution"):
        load_cascade("waveform", {**folders, "super-resolution": run / "waveform-generator"})


def test_stages_that_do_not_fit_are_named(run):
    load = lambda stage: StageModel.load(run / stage)  # noqa: E731
    generator, cascader = load("waveform-generator"), load("waveform-cascader")
    check_fit([generator, cascader])

    def other(model, **changes):
        return StageModel(**{**vars(model), **changes})

    slower = small_stage("waveform-generator", target_rate_hz=1_600)
    with pytest.raises(BadInput, match="makes 1600 Hz, the other refines 3200 Hz"):
        check_fit([other(generator, config=slower), cascader])
    with pytest.raises(BadInput, match="text encoders 'other' and"):
        check_fit([other(generator, text_encoder={"name": "other", "width": 16}), cascader])
    spectrogram, vocoder = load("spectrogram-generator"), load("spectrogram-vocoder")
    mel = spectrogram.config.mel.model_copy(update={"floor_db": -80.0})
    with pytest.raises(BadInput, match=r"mel floor_db is -80\.0 in one and -90\.0"):
        check_fit([other(spectrogram, config=small_stage("spectrogram-generator", mel=mel.model_dump())), vocoder])


def test_another_text_encoder_is_refused(run, tmp_path):
    other = str(make_tiny_clap(tmp_path / "other", seed=3))
    with pytest.raises(BadInput, match="text encoder"):
        load_cascade("waveform", {stage: run / stage for stage in STAGES}, text_encoder=other)


def test_guidance_moves_the_result_and_the_condition_is_heard(run, clap):
    from diffusion.data.text_encoder import load_text_encoder
    from diffusion.data.text_source import TextSource

    model = StageModel.load(run / "waveform-cascader")
    for parameter in model.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    text = TextSource(load_text_encoder(clap), 64)
    low = torch.sin(torch.arange(2048) / 5)[None] * 0.3

    def make(guidance, condition=low, prompt="slow piano"):
        settings = SamplingConfig(steps=3, guidance=guidance)
        return model.generate(
            [0], 0.64, texts=[prompt], text_source=text, condition=condition, sampling=settings
        )  # fmt: skip

    assert not torch.allclose(make(1.0), make(4.0))
    assert not torch.allclose(make(1.0), make(1.0, prompt="fast drums"))
    assert not torch.allclose(make(1.0), make(1.0, condition=-low))
    assert torch.equal(make(4.0), make(4.0))


def test_train_command_trains_and_leaves_demos(crate, clap, tmp_path, monkeypatch):
    import diffusion.training.runs

    monkeypatch.setitem(diffusion.training.runs.RUNS, "tiny", lambda stage: small_run(stage, clap, demo_clips=1))
    words = ["train", "super-resolution", "--crate", crate, "--out", tmp_path, "--steps", 2, "--demo-every", 2, "--cpu"]
    assert command(train_command, *words) == 0
    names = sorted(p.name for p in (tmp_path / "super-resolution" / "demos" / "step-00000002").iterdir())
    assert names == ["0-from-truth.wav", "0-truth.wav"]


def test_demos_end_to_end_from_the_runs_other_stages(run, crate, clap, tmp_path):
    from diffusion.training.demos import make_demos

    own = shutil.copytree(run, tmp_path / "run")
    for stage in ("super-resolution", "spectrogram-vocoder", "spectrogram-generator"):
        config = small_run(stage, clap, total_steps=3, demo_clips=1)
        trainer = train_stage(config, [CrateUse(crate)], own / stage, cpu=True)
        names = {path.name for path in make_demos(trainer, own)}
        expected = {"0-from-truth.wav", "0-truth.wav"} | ({"0-end-to-end.wav"} - {stage})
        assert names == (expected if stage != "spectrogram-generator" else {"0-from-truth.wav", "0-truth.wav"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--crate", "c=0"], "above 0"),
        (["--run", "huge", "--crate", "c"], "paper, gpu80, gpu24, small, tiny"),
        (["--crate", "c", "--batch", "0"], "global_batch"),
        (["--crate", "/nowhere"], "not a crate"),
    ],
)
def test_train_command_refuses(words, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        command(train_command, "train", "super-resolution", *words, "--out", tmp_path, "--cpu")


def test_a_vocoder_that_begins_at_its_mel_ends_near_it(run):
    """Near t = 0 what the mel gives without a model comes through; from t = 1 it does not."""
    model = StageModel.load(run / "spectrogram-vocoder")
    t = np.arange(6_400) / 16_000
    audio = torch.from_numpy((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))[None]
    mel = log_mel(audio, model.config.mel)
    plain = invert_mel(mel, model.config.mel)
    found = {}
    for begins_at in (0.01, 1.0):
        sampling = model.config.sampling.model_copy(update={"begins_at": begins_at, "steps": 12, "mel_fits": 0})
        asked = []
        made = model.generate([3], 0.4, condition=mel, sampling=sampling, on_step=asked.append)[:, 0]
        assert model.calls(sampling) == len(asked)
        found[begins_at] = (float((made - plain).square().mean() / plain.square().mean()), len(asked))
    assert found[0.01][0] < 0.2 < found[1.0][0]
    assert found[0.01][1] < found[1.0][1] == 12
