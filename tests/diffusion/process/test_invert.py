"""Back from a mel without a model: the mel is kept, partials are sharp, and a clip is the same in any batch."""

import numpy as np
import pytest
import torch

from diffusion.evaluation.sound_figures import sound_figures
from diffusion.model.config import MelConfig, SamplingConfig
from diffusion.process.invert import invert_mel, sharp_power
from diffusion.process.mel import log_mel, mel_filters
from diffusion.process.noise import noise_schedule
from diffusion.process.steps import sampling_times
from diffusion.process.whiten import colour, fit_mel

MEL = MelConfig()
RATE = 16_000


def notes(seconds=2.0, seed=0):
    """A chord every half a second, eight partials to a note."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    audio = 1e-3 * rng.standard_normal(len(t))
    for start in np.arange(0, seconds, 0.5):
        on = (t >= start) & (t < start + 0.5)
        for pitch in 110 * 2 ** (rng.integers(0, 24, 3) / 12):
            audio += on * sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 9)) * 0.08
    return torch.from_numpy(audio.astype(np.float32))[None]


def test_the_sharp_spectrum_has_the_mel_and_few_loud_bins():
    mel = log_mel(notes(), MEL)
    power = sharp_power(mel, MEL)
    assert power.min() >= 0
    filters = torch.from_numpy(mel_filters(MEL))
    decibels = 10 * torch.log10((filters @ power).clamp(min=1e-9))
    assert (decibels - ((mel + 1) * 45 - 90)).abs()[:, :, 2:-2].mean() < 1
    spread = torch.from_numpy(np.linalg.pinv(mel_filters(MEL))) @ 10 ** (((mel + 1) * 45 - 90) / 10)

    def loudest(p):
        ordered = p.clamp(min=0).sort(dim=1, descending=True).values
        return float((ordered[:, :12].sum(1) / ordered.sum(1)).mean())

    assert loudest(power) > loudest(spread) + 0.02


def test_notes_come_back_as_notes():
    audio = notes()
    mel = log_mel(audio, MEL)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal(audio.shape).astype(np.float32))
    made = {"noise": fit_mel(colour(noise, mel, MEL), mel, MEL, 8), "inverted": invert_mel(mel, MEL), "true": audio}
    assert made["inverted"].shape == audio.shape
    assert float((log_mel(made["inverted"], MEL) - mel).abs().mean()) * 45 < 3
    partials = {name: sound_figures(value[0].numpy(), RATE).partials for name, value in made.items()}
    assert partials["noise"] + 0.04 < partials["inverted"] <= partials["true"] + 0.05


def test_a_clip_is_the_same_in_any_batch_and_each_time():
    mel = log_mel(torch.cat([notes(0.5), notes(0.5, seed=3)]), MEL)
    both = invert_mel(mel, MEL)
    torch.testing.assert_close(both[1:], invert_mel(mel[1:], MEL), rtol=1e-4, atol=1e-5)
    assert torch.equal(both, invert_mel(mel, MEL))


def test_silence_stays_silent():
    assert invert_mel(torch.full((1, 80, 30), -1.0), MEL).abs().max() < 1e-6


@pytest.mark.parametrize("schedule", ["front_heavy", "even_log_snr"])
def test_a_vocoder_that_begins_later_walks_the_rest_of_its_grid(schedule):
    whole, part = (
        sampling_times(
            "spectrogram-vocoder", SamplingConfig(schedule=schedule, steps=20, begins_at=t), noise_schedule("cosine")
        )
        for t in (1.0, 0.3)
    )
    np.testing.assert_array_equal(part[:-1], whole[whole < 0.3])
    assert part[-1] == 0.3
