"""Audio that stands, stands; what is new beside it follows it; a variation begins from it."""

import argparse

import numpy as np
import pytest
import soundfile
import torch

from cratedig.cascade import generate as generate_command
from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.held import RATE_HZ, Held, read_audio
from diffusion.generation.stage_model import StageModel
from diffusion.generation.wav import read_settings
from diffusion.model.config import SamplingConfig
from diffusion.process.noise import noise_schedule
from diffusion.process.sampler import sample
from diffusion.process.solvers import calls
from diffusion.process.steps import sampling_times
from pipeline.errors import BadInput
from tests.diffusion.crates import tones
from tests.diffusion.small import small_stage


def command(*words):
    parser = argparse.ArgumentParser()
    generate_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["generate", *map(str, words), "--cpu"])
    return args.run(args)


def follow(rho, *, walks, solver="ancestral", steps=50):
    """Two numbers with correlation rho, the first held at 1: mean and variance of the second, by the true denoiser."""
    schedule = noise_schedule("cosine")
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]])
    generator = torch.Generator().manual_seed(0)
    asked = []

    def model(x, t):
        alpha, sigma = (float(v[0]) for v in schedule.alpha_sigma(t))
        asked.append(1)
        return sigma * x @ torch.linalg.inv(alpha**2 * covariance + sigma**2 * torch.eye(2))

    def held(estimate):
        return torch.where(torch.tensor([True, False]), torch.ones(1), estimate)

    times = sampling_times("waveform-generator", SamplingConfig(schedule="even_log_snr", steps=steps), schedule)
    draw = lambda: torch.randn(20_000, 2, generator=generator)  # noqa: E731
    x = sample(model, draw(), times, schedule, draw_noise=draw, walks=walks, solver=solver, clip=held)
    assert (x[:, 0] == 1).all()
    assert len(asked) == calls(solver, steps, walks)
    return float(x[:, 1].mean()), float(x[:, 1].var())


def test_what_is_free_and_knows_nothing_of_what_stands_is_left_alone():
    mean, variance = follow(0.0, walks=1, solver="dpm++2m")
    assert mean == pytest.approx(0, abs=0.03)
    assert variance == pytest.approx(1, abs=0.05)


def test_what_is_free_follows_what_stands_the_better_the_more_often_steps_are_walked():
    """The exact posterior of a pair with correlation .9 has mean .9 and variance .19."""
    once, often = follow(0.9, walks=1), follow(0.9, walks=10)
    assert 0.55 < once[0] < 0.7  # what the module's first lines confess
    assert often[0] == pytest.approx(0.9, abs=0.05)
    assert often[1] == pytest.approx(0.19, abs=0.06)


@pytest.mark.parametrize("stage", ["waveform-generator", "spectrogram-generator", "super-resolution"])
def test_masks_lie_within_what_stands(stage):
    config = small_stage(stage)
    held = Held(audio_T=np.zeros(RATE_HZ, np.float32), keep_s=((0.0, 0.3), (0.5, 1.0)))
    mask = held.mask(config, 1.0)
    rate = len(mask)
    free = torch.nonzero(~mask).flatten()
    edge = {"waveform-generator": 0.01, "spectrogram-generator": 0.032, "super-resolution": 0.0}[stage]
    assert free.min() == np.floor((0.3 - edge) * rate)
    assert free.max() == np.ceil((0.5 + edge) * rate) - 1
    assert len(free) == free.max() - free.min() + 1


@pytest.mark.slow
@pytest.mark.parametrize("cascade", ["waveform", "spectrogram"])
def test_a_file_of_another_rate_is_continued_and_stands(run, tmp_path, cascade):
    rate = 44_100
    t = np.arange(round(0.64 * rate)) / rate
    left = 0.3 * np.sin(2 * np.pi * 441 * t)
    soundfile.write(tmp_path / "take.ogg", np.stack([left, left], 1), rate)
    out = tmp_path / "out.wav"
    given = ["--from", run, "-o", out, "--cascade", cascade, "--steps", 3, "--audio", tmp_path / "take.ogg"]
    assert command("slow piano", *given, "--seconds", "1.28") == 0
    made, _ = soundfile.read(out)
    truth = read_audio(tmp_path / "take.ogg")
    assert len(made) == round(1.28 * RATE_HZ)
    stands = len(truth) - round(0.006 * RATE_HZ)
    assert np.abs(made[:stands] - truth[:stands]).max() < 2 / 32768
    assert np.abs(made[len(truth) :]).max() > 0
    assert read_settings(out)["held"]["keep_s"] == [[0.0, pytest.approx(len(truth) / RATE_HZ)]]
    assert len(truth) == pytest.approx(0.64 * RATE_HZ, abs=128)


@pytest.mark.slow
def test_redrawn_seconds_are_new_and_the_others_stand(run, tmp_path):
    truth = tones(3, 1.28)
    soundfile.write(tmp_path / "take.wav", truth, RATE_HZ, subtype="FLOAT")
    out = tmp_path / "out.wav"
    given = ["--from", run, "-o", out, "--steps", 3, "--audio", tmp_path / "take.wav"]
    command("slow piano", *given, "--redraw", "0.5-0.7")
    made, _ = soundfile.read(out)
    hole = slice(round(0.5 * RATE_HZ), round(0.7 * RATE_HZ))
    difference = np.abs(made - truth)
    assert difference[hole].max() > 0.05
    difference[round(0.494 * RATE_HZ) : round(0.706 * RATE_HZ)] = 0
    assert difference.max() < 2 / 32768


@pytest.mark.slow
def test_a_variation_is_the_nearer_the_weaker_it_is(run):
    model = StageModel.load(run / "waveform-generator")
    audio = tones(1, 0.64)
    target = Held.varied(audio, 0.5).target(model.config, 0.64)
    settings = SamplingConfig(steps=20, clip="none")

    def distance(strength):
        held = Held.varied(audio, strength)
        return float((model.generate([0], 0.64, held=held, sampling=settings) - target).square().mean())

    assert distance(0.02) < 0.1 * distance(0.5)
    assert distance(1.0) == float((model.generate([0], 0.64, sampling=settings) - target).square().mean())


@pytest.mark.slow
def test_guidance_leads_away_from_a_negative_prompt(run, clap):
    model = StageModel.load(run / "waveform-generator")
    for parameter in model.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    text = TextSource(load_text_encoder(clap), 64)

    def make(negatives, guidance=3.0, texts=("piano", "piano")):
        settings = SamplingConfig(steps=3, guidance=guidance)
        return model.generate(
            [0, 1], 0.64, texts=texts, negatives=negatives, text_source=text, sampling=settings
        )  # fmt: skip

    plain, away = make(None), make(["drums", ""])
    assert not torch.allclose(plain[0], away[0])
    torch.testing.assert_close(plain[1], away[1], atol=1e-4, rtol=1e-3)  # an empty one is none
    one = make(None, guidance=1.0)
    torch.testing.assert_close(make(["piano", "piano"]), one, atol=1e-4, rtol=1e-3)  # away from itself: no guidance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--redraw", "1-2"], "give it: --audio"),
        (["--audio", "/nowhere.wav"], "is not a file"),
        (["--audio", "{take}", "--seconds", "0.5"], "nothing is left to make"),
        (["--audio", "{take}", "--redraw", "3-4"], "cannot be redrawn"),
        (["--audio", "{take}", "--redraw", "0.5"], "expected ranges"),
        (["--audio", "{take}", "--redraw", "0.1-0.2", "--strength", "0.5"], "one of them"),
        (["--audio", "{take}", "--strength", "0"], "above 0"),
        (["--audio", "{noise}"], "cannot be used"),
        (["--negative", "drums", "--guidance", "1"], "does nothing"),
    ],
)
def test_refused(words, message, run, tmp_path):
    soundfile.write(tmp_path / "take.wav", tones(0, 0.64), RATE_HZ)
    (tmp_path / "noise.mp3").write_bytes(b"not audio at all" * 100)
    words = [word.format(take=tmp_path / "take.wav", noise=tmp_path / "noise.mp3") for word in words]
    with pytest.raises(BadInput, match=message):
        command("slow piano", "--from", run, "-o", tmp_path / "o.wav", *words)
    assert not (tmp_path / "o.wav").exists()
