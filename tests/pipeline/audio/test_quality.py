"""Numbers of sounds that are known, and what is left out for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio.quality import FULL_SCALE, FULL_SCALE_OF_CODEC, ChannelMeter, judge, judge_mix, measure, mix_to_mono
from pipeline.config import QualityConfig
from pipeline.records import Quality
from tests.audio_files import tone

RATE = 16_000


def measured(audio_CT: NDArray[np.float32], full_scale: float = FULL_SCALE) -> tuple[NDArray[np.float32], Quality]:
    """In two parts, as a track comes in blocks."""
    mono_T, meter = np.empty(audio_CT.shape[1], np.float32), ChannelMeter(full_scale)
    for part in (slice(0, 70), slice(70, None)):
        meter.add(list(audio_CT[:, part]))
        mix_to_mono(list(audio_CT[:, part]), mono_T[part])
    return mono_T, measure(mono_T, meter, RATE, silence_dbfs=-60)


def fault(audio_CT: NDArray[np.float32], **changes: float) -> str | None:
    found = judge(*measured(audio_CT), QualityConfig(**changes))
    return found and found[0]


def test_a_half_scale_sine_measures_as_the_book_says() -> None:
    _, quality = measured(tone(2.0, RATE, amplitude=0.5))
    assert quality.peak == pytest.approx(0.5, abs=1e-4)
    assert quality.rms_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert (quality.clipped_share, quality.silent_share) == (0.0, 0.0)


def test_mono_is_the_mean_of_all_channels() -> None:
    audio_CT = np.array([[0.5, 0.25], [-0.5, 0.25], [0.75, 1.0]], np.float32)
    for channels, expected in ((1, [0.5, 0.25]), (2, [0.0, 0.25]), (3, [0.25, 0.5])):
        mono_T = np.empty(2, np.float32)
        mix_to_mono(list(audio_CT[:channels]), mono_T)
        np.testing.assert_allclose(mono_T, expected, rtol=1e-6)


def test_peak_and_clipping_are_seen_in_one_channel_that_the_mix_hides() -> None:
    left_1T = tone(1.0, RATE, amplitude=0.9)
    left_1T[0, :800] = 1.0
    _, quality = measured(np.concatenate([left_1T, -left_1T]))
    assert quality.peak == 1.0
    assert quality.clipped_share == 800 / RATE
    assert quality.rms_dbfs == -200


def test_a_damaged_number_is_no_level() -> None:
    audio_CT = tone(1.0, RATE).repeat(2, 0)
    audio_CT[0, 100] = 1e30
    mono_T, quality = measured(audio_CT)
    assert judge(mono_T, quality, QualityConfig()) == ("not-finite", "samples of up to 5e+29, where full scale is 1")
    assert fault(1e4 * tone(1.0, RATE)) == "clipped"


def test_channels_that_cancel_are_out_of_phase_and_silence_is_silent() -> None:
    noise_CT = np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)

    def said(audio_CT: NDArray[np.float32]) -> str | None:
        mono_T, meter = audio_CT.mean(axis=0), ChannelMeter()
        meter.add(list(audio_CT))
        quality = measure(mono_T, meter, RATE, silence_dbfs=-60)
        found = judge_mix(mono_T, quality, meter, QualityConfig())
        return found and " ".join(found)

    opposite_CT = np.stack([noise_CT[0], -noise_CT[0]])
    assert said(opposite_CT) == "out-of-phase channels at -20.0 dBFS cancel to -200.0 dBFS in the mono mix"
    assert (said(opposite_CT + 1e-3 * noise_CT) or "").startswith("out-of-phase")
    assert said(noise_CT) is said(0 * noise_CT) is said(noise_CT[:1]) is None
    assert said(np.stack([noise_CT[0], 0 * noise_CT[0]])) is None, "sound on one side only"
    assert said(1e-4 * opposite_CT) is None, "what cancels was silent before"


def test_silent_frames_are_counted() -> None:
    audio_1T = tone(2.0, RATE)
    audio_1T[:, : RATE // 2] = 0
    assert measured(audio_1T)[1].silent_share == 0.25
    assert fault(audio_1T) is None
    assert fault(audio_1T, max_silent_share=0.2) == "silent"


@pytest.mark.parametrize(
    ("value", "reason"), [(0.0, "silent"), (0.0005, "silent"), (0.3, "constant"), (-1.0, "constant")]
)
def test_digital_silence_is_silent_and_an_offset_is_constant(value: float, reason: str) -> None:
    assert fault(np.full((2, RATE), value, np.float32)) == reason


def test_an_offset_under_a_sound_is_kept() -> None:
    assert fault(tone(1.0, RATE, amplitude=0.1) + np.float32(0.3)) is None


def test_a_square_wave_at_full_scale_is_clipped_and_a_loud_sine_is_not() -> None:
    assert fault(np.sign(tone(1.0, RATE, hz=441.3))) == "clipped"
    assert fault(tone(1.0, RATE, amplitude=0.999)) is None
    assert fault(tone(1.0, RATE, amplitude=1.1)) == "clipped"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_enough(bad: float) -> None:
    audio_CT = np.repeat(tone(1.0, RATE), 2, axis=0)
    audio_CT[1, 77] = bad
    mono_T, quality = measured(audio_CT)
    assert judge(mono_T, quality, QualityConfig()) == ("not-finite", "1 of 16000 samples are NaN or infinite")


def test_full_scale_of_codecs_that_do_not_reach_it() -> None:
    audio_1T = np.full((1, 100), 32124 / 32768, np.float32)
    assert measured(audio_1T, FULL_SCALE_OF_CODEC["pcm_mulaw"])[1].clipped_share == 1.0
    assert measured(audio_1T)[1].clipped_share == 0.0


def test_a_clip_shorter_than_a_frame_is_measured_too() -> None:
    assert measured(tone(0.01, RATE))[1].silent_share == 0.0
