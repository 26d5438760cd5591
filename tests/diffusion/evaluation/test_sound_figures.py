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
