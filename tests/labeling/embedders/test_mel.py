"""The fast log-mel equals `ClapFeatureExtractor`, also where single precision would not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.mel import hard_sounds, reference
from labeling.embedders.mel import LogMel

ClapFeatureExtractor = pytest.importorskip("transformers").ClapFeatureExtractor

BUNDLED = {
    "truncation": "rand_trunc",
    "sampling_rate": 24_000,
    "feature_size": 128,
    "hop_length": 469,
    "frequency_min": 30,
    "frequency_max": 11_500,
}
LAION = {"truncation": "rand_trunc", "frequency_min": 50}
FUSION = {"truncation": "fusion", "frequency_min": 50}
ODD = {
    "truncation": "rand_trunc",
    "sampling_rate": 16_000,
    "feature_size": 40,
    "hop_length": 333,
    "fft_window_size": 800,
    "frequency_max": 8_000,
    "max_length_s": 3,
}


@pytest.mark.parametrize("settings", [BUNDLED, LAION, FUSION, ODD], ids=["bundled", "laion", "fusion", "odd"])
def test_equals_the_extractor_on_hard_sounds(settings: dict[str, Any]) -> None:
    extractor = ClapFeatureExtractor(**settings)
    ours, theirs = LogMel.like(extractor), reference(extractor)
    for name, sound in hard_sounds(extractor.sampling_rate, extractor.nb_max_samples).items():
        expected = theirs(sound)
        found = ours(sound)
        assert found.dtype == np.float32
        assert found.shape == expected.shape == (ours.frames(len(sound)), settings.get("feature_size", 64))
        assert np.abs(found - expected).max() < 1e-4, name  # asked: 1e-3 dB


def test_silence_lies_on_the_floor() -> None:
    mel = LogMel.like(ClapFeatureExtractor(**BUNDLED))(np.zeros(240_000, np.float32))
    np.testing.assert_allclose(mel, -100.0, atol=1e-4)


def test_a_tone_peaks_in_its_band() -> None:
    extractor = ClapFeatureExtractor(**LAION)
    t = np.arange(480_000) / 48_000
    low = 50 * 3 / 200  # Slaney's mel is linear below 1 kHz, 27 steps for a factor of 6.4 above
    high = 15 + 27 * np.log(14) / np.log(6.4)
    for band in (30, 40, 50):
        mels = low + (band + 1) * (high - low) / 65
        frequency_hz = 1000 * 6.4 ** ((mels - 15) / 27)
        mel = LogMel.like(extractor)(np.sin(2 * np.pi * frequency_hz * t).astype(np.float32))
        assert set(mel[5:-5].argmax(axis=1)) == {band}


def test_a_batch_is_its_windows() -> None:
    rng = np.random.default_rng(0)
    mel = LogMel.like(ClapFeatureExtractor(**ODD))
    windows = rng.normal(size=(3, 48_000)).astype(np.float32)
    np.testing.assert_array_equal(mel.batch(windows), np.stack([mel(w) for w in windows]))
    assert mel.batch(windows[:0]).shape == (0, 145, 40)


def test_refuses_filters_of_another_fft_and_windows_too_short_to_mirror() -> None:
    with pytest.raises(ValueError, match="filters for 513 frequencies: an FFT of 512 has 257"):
        LogMel(np.ones((513, 4)), fft_size=512, hop=10)
    mel = LogMel(np.ones((257, 4)), fft_size=512, hop=10)
    with pytest.raises(ValueError, match="more than 256 samples, mono"):
        mel(np.zeros(256, np.float32))
    with pytest.raises(ValueError, match="mono"):
        mel(np.zeros((2, 1000), np.float32))
