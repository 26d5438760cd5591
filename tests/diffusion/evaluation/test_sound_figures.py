"""The listener's substitutes on sounds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion.evaluation.sound_figures import sound_figures

RATE = 16_000
T = np.arange(6 * RATE) / RATE
NOISE = np.random.default_rng(0).normal(size=len(T)).astype(np.float32) * 0.1


def test_noise_is_flat_and_a_tone_is_not() -> None:
    noise = sound_figures(NOISE, RATE)
    tone = sound_figures((0.3 * np.sin(2 * np.pi * 440 * T) + 0.001 * NOISE).astype(np.float32), RATE)
    assert noise.flatness_db == pytest.approx(-2.5, abs=0.2), "white noise: minus Euler's constant in dB"
    assert tone.flatness_db < -30


@pytest.mark.parametrize("per_s", [1.0, 2.0, 4.0])
def test_plucked_notes_are_counted(per_s: float) -> None:
    since = T % (1 / per_s)
    plucked = 0.3 * np.exp(-6 * since) * sum(np.sin(2 * np.pi * 220 * k * since) / k for k in (1, 2, 3, 5, 8))
    found = sound_figures((plucked + 0.0005 * NOISE).astype(np.float32), RATE)
    assert found.onsets_per_s == pytest.approx(per_s, rel=0.2)


def test_silence_and_a_steady_sound_have_no_onset() -> None:
    assert sound_figures(np.zeros(RATE, np.float32), RATE).onsets_per_s == 0
    assert sound_figures((0.2 * np.sin(2 * np.pi * 440 * T)).astype(np.float32), RATE).onsets_per_s < 0.5


def test_partials_that_last_are_told_from_noise_of_the_same_colour() -> None:
    """The same envelope, made of tones and of noise: what an embedding may not tell apart."""
    rng = np.random.default_rng(1)
    tones = sum(np.sin(2 * np.pi * f * T + rng.uniform(0, 6)) for f in range(110, 3_000, 110)) / 40
    spectrum = np.fft.rfft(NOISE) * np.interp(np.fft.rfftfreq(len(T), 1 / RATE), [0, 3_000, 3_200], [1, 1, 0])
    colour = np.fft.irfft(spectrum, len(T))
    assert sound_figures((tones + 1e-4 * NOISE).astype(np.float32), RATE).partials > 0.8
    assert abs(sound_figures(colour.astype(np.float32), RATE).partials) < 0.05
    changing = np.concatenate([np.sin(2 * np.pi * f * T[:1600]) for f in rng.uniform(200, 2_000, 60)])  # .1 s each
    assert sound_figures(0.3 * changing.astype(np.float32), RATE).partials < 0.3


@pytest.mark.parametrize("per_s", [1.0, 2.0])
def test_a_beat_has_a_pulse(per_s: float) -> None:
    since = T % (1 / per_s)
    beat = 0.3 * np.exp(-20 * since) * NOISE / 0.1
    loose = np.zeros_like(T)
    for start in np.random.default_rng(2).uniform(0, 6, round(6 * per_s)):
        loose += np.where(start <= T, np.exp(-20 * np.maximum(T - start, 0)), 0)
    strict, free = (sound_figures(a.astype(np.float32), RATE).pulse for a in (beat, 0.3 * loose * NOISE / 0.1))
    assert strict > 0.6 > 0.4 > free


def test_what_is_too_short_has_neither() -> None:
    short = sound_figures(NOISE[: RATE // 5], RATE)
    assert (short.partials, short.pulse) == (0, 0)
