"""What a stage diffuses is made from its target and turns into it again."""

import numpy as np
import pytest
import torch

from benchmarks.diffusion_refine import log_spectral_distance
from diffusion.model.config import MelConfig
from diffusion.model.stages import paper_stage
from diffusion.process.diffused import from_diffused, to_diffused
from diffusion.process.level import local_level
from diffusion.process.mel import log_mel
from diffusion.process.upsample import fft_upsample
from diffusion.process.whiten import colour, fit_mel, whiten
from diffusion.training.runs import tiny

MEL = MelConfig()


def music(seconds=1.6):
    """Partials above noise that rises with frequency; all of it fades by 40 dB."""
    t = torch.arange(round(16_000 * seconds)) / 16_000
    partials = sum(torch.sin(2 * torch.pi * 220 * k * t) * 0.5 / k**2 for k in range(1, 30))
    return (partials + rising_noise(t)) * fade(t, seconds)


def rising_noise(t):
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(len(t)).astype(np.float32))
    return 0.01 * (noise - 0.9 * noise.roll(1))[None]


def fade(t, seconds):
    return 10 ** (-2 * t / seconds)


def test_whitened_audio_is_as_loud_everywhere():
    audio = music()
    white = whiten(audio, log_mel(audio, MEL), MEL)[0]
    quarters = [float(q.std()) for q in white.chunk(4)]
    assert max(quarters) / min(quarters) < 1.5  # the audio's own differ by 30 dB
    assert 0.5 < float(white.std()) < 1.2


def test_colour_undoes_whiten():
    audio = music()
    mel = log_mel(audio, MEL)
    back = colour(whiten(audio, mel, MEL), mel, MEL)
    error_db = 10 * float(torch.log10((back - audio).square().mean() / audio.square().mean()))
    assert error_db < -20
    assert log_spectral_distance(audio[0].numpy(), back[0].numpy(), -100.0) < 1.0


def test_coloured_noise_has_the_mel_that_colours_it():
    """The level is right: in decibels, band by band, on average over frames."""
    t = torch.arange(25_600) / 16_000
    mel = log_mel(rising_noise(t) * fade(t, 1.6), MEL)
    noise = torch.randn(1, 25_600, generator=torch.Generator().manual_seed(0))
    found = log_mel(colour(noise, mel, MEL), MEL)
    difference_db = ((found - mel) * 45)[..., 4:-4].mean(-1)
    assert abs(float(difference_db.mean())) < 1.0
    assert float((difference_db - difference_db.mean()).abs().max()) < 4


def test_a_fit_brings_any_sound_nearer_to_the_mel():
    audio, other = music(), 0.1 * torch.randn(1, 25_600, generator=torch.Generator().manual_seed(0))
    mel = log_mel(audio, MEL)
    error_db = [float((log_mel(fit_mel(other, mel, MEL, n), MEL) - mel).abs().mean()) * 45 for n in (0, 1, 2, 6)]
    assert error_db == sorted(error_db, reverse=True)
    assert error_db[0] > 15
    assert error_db[-1] < 2.5
    assert torch.equal(fit_mel(other, mel, MEL, 0), other)


def test_silence_stays_silent():
    mel = torch.full((1, 80, 100), -1.0)
    noise = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    assert colour(noise, mel, MEL).square().mean().sqrt() < 10 ** (-66 / 20)
    assert whiten(torch.zeros(1, 16_000), mel, MEL).abs().max() == 0


@pytest.mark.parametrize("name", ["waveform-cascader", "super-resolution"])
def test_a_residual_adds_nothing_to_what_is_known(name):
    stage = tiny(name).stage
    assert stage.diffuses == "residual"
    low = torch.randn(2, stage.condition_rate_hz // 4, generator=torch.Generator().manual_seed(0))
    known = fft_upsample(low, stage.condition_rate_hz, stage.target_rate_hz)[:, None]
    assert float(to_diffused(known, known, stage).abs().max()) == 0
    target = known + 0.01 * torch.randn_like(known)
    torch.testing.assert_close(from_diffused(to_diffused(target, known, stage), known, stage), target)


def test_a_residual_is_as_large_in_quiet_clips_as_in_loud_ones():
    stage = tiny("super-resolution").stage
    low = torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0))
    known = fft_upsample(low, stage.condition_rate_hz, stage.target_rate_hz)[:, None]
    target = known + torch.randn(known.shape, generator=torch.Generator().manual_seed(1))
    loud, quiet = to_diffused(target, known, stage), to_diffused(0.01 * target, 0.01 * known, stage)
    torch.testing.assert_close(loud, quiet, rtol=1e-3, atol=1e-3)


def test_the_level_is_that_of_the_band_alone():
    t = torch.arange(48_000) / 24_000
    inside, outside = torch.sin(2 * torch.pi * 7_000 * t), torch.sin(2 * torch.pi * 1_000 * t)
    ramp = 10 ** (-2 * t)
    level = local_level((0.1 * ramp * inside + outside)[None, None], 24_000, (6_000, 7_600))[0, 0]
    middle = slice(6_000, 42_000)  # the FFT takes the clip for periodic: a jump from end to start
    torch.testing.assert_close(level[middle], (0.1 * ramp / 2**0.5)[middle], rtol=0.05, atol=1e-4)
    assert local_level(torch.zeros(1, 1, 4_800), 24_000, (6_000, 7_600)).max() < 2e-5


@pytest.mark.parametrize("name", ["waveform-generator", "waveform-cascader", "spectrogram-vocoder", "super-resolution"])
def test_the_papers_models_diffuse_the_target_itself(name):
    stage = paper_stage(name)
    x = torch.randn(1, 1, 100)
    assert torch.equal(to_diffused(x, x + 1, stage), x)
    assert torch.equal(from_diffused(x, x + 1, stage), x)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("waveform-generator", {"diffuses": "residual"}, "refines no waveform"),
        ("super-resolution", {"diffuses": "whitened"}, "no mel to whiten by"),
        ("super-resolution", {"level_band_hz": (1, 2)}, "is for a residual"),
    ],
)
def test_only_what_a_stage_is_given_can_be_taken_off(name, changes, message):
    config = paper_stage(name)
    with pytest.raises(ValueError, match=message):
        type(config).model_validate({**config.model_dump(), **changes})
