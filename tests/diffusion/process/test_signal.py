"""Mel against librosa, FFT upsampling against scipy and a sine, blur and noise against their formulas."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from scipy.signal import resample

from diffusion.model.config import BlurConfig, MelConfig
from diffusion.process.augment import add_noise, blur
from diffusion.process.mel import log_mel, mel_filters, mel_power
from diffusion.process.noise import noise_schedule
from diffusion.process.upsample import fft_upsample
from pipeline.errors import BadInput

MEL = MelConfig()


def music(length, rate, seed=0):
    t = np.arange(length) / rate
    random = np.random.default_rng(seed)
    tones = sum(np.sin(2 * np.pi * f * t + p) for f, p in zip((110, 440, 1234), random.uniform(0, 6, 3), strict=True))
    return (0.2 * tones + 0.01 * random.standard_normal(length)).astype(np.float32)


def test_mel_is_librosas():
    librosa = pytest.importorskip("librosa")
    audio = music(16_000, 16_000)
    expected = librosa.feature.melspectrogram(
        y=audio, sr=16_000, n_fft=1024, hop_length=160, n_mels=80, fmin=0, fmax=8_000, power=2.0, norm=None,
        center=True, pad_mode="reflect",
    )  # fmt: skip
    window_sum = np.hanning(1025)[:-1].sum()
    ours = mel_power(torch.from_numpy(audio)[None], MEL)[0].numpy()
    assert expected.shape == (80, 101)
    np.testing.assert_allclose(ours, expected[:, :100] / window_sum**2, rtol=2e-3, atol=1e-9)
    np.testing.assert_allclose(
        mel_filters(MEL), librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=80, fmax=8_000, norm=None), atol=1e-5
    )


def test_mel_has_100_frames_a_second_within_minus_one_and_one():
    loud = torch.from_numpy(np.sign(music(480_000, 16_000)))[None]
    mel = log_mel(torch.cat([loud, torch.zeros_like(loud)]), MEL)
    assert mel.shape == (2, 80, 3_000)
    assert mel.max() <= 1
    assert torch.all(mel[1] == -1)


def test_a_full_scale_sine_reads_minus_six_decibels_in_its_band():
    t = torch.arange(16_000) / 16_000
    mel = log_mel(torch.sin(2 * torch.pi * 500 * t)[None], MEL)[0, :, 50]
    decibels = (mel.max() + 1) / 2 * 90 - 90
    assert -8 < decibels < -4
    assert abs(int(mel.argmax()) - int(np.argmax(mel_filters(MEL)[:, 32]))) == 0  # 500 Hz is bin 32


@pytest.mark.parametrize(("low", "high", "length"), [(3_200, 16_000, 640), (16_000, 24_000, 320), (3_200, 16_000, 33)])
def test_upsampling_is_scipys_fourier_method(low, high, length):
    audio = np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    length_high = length * high // low
    ours = fft_upsample(torch.from_numpy(audio), low, high)
    np.testing.assert_allclose(ours.numpy(), resample(audio, length_high, axis=1), atol=1e-5)


def test_upsampling_keeps_a_sine():
    low = torch.sin(2 * torch.pi * 100 * torch.arange(3_200) / 3_200)[None]
    high = torch.sin(2 * torch.pi * 100 * torch.arange(16_000) / 16_000)[None]
    torch.testing.assert_close(fft_upsample(low, 3_200, 16_000), high, atol=5e-4, rtol=0)


def test_upsampling_refuses_what_is_not():
    with pytest.raises(BadInput, match="whole number"):
        fft_upsample(torch.zeros(1, 7), 16_000, 24_000)
    with pytest.raises(BadInput, match="not upsampling"):
        fft_upsample(torch.zeros(1, 30), 24_000, 16_000)


def test_blur_with_ten_taps_shifts_nothing_and_keeps_the_sum():
    impulse = torch.zeros(2, 1, 31)
    impulse[:, 0, 15] = 1
    out = blur(impulse, torch.tensor([0.1, 3.0]), BlurConfig(dimensions=1, taps=10, std_min=0.1, std_max=5))
    torch.testing.assert_close(out[0], impulse[0])
    assert out[1, 0].argmax() == 15
    assert out[1].sum().item() == pytest.approx(1)
    assert out[1, 0].nonzero().flatten().tolist() == list(range(11, 21))


def test_two_dimensional_blur_is_scipys():
    config = BlurConfig(dimensions=2, taps=5, std_min=0.2, std_max=1)
    mel = torch.randn(2, 8, 12)
    out = blur(mel, torch.tensor([0.5, 1.0]), config)
    for i, std in enumerate((0.5, 1.0)):
        weights = np.exp(-0.5 * (np.arange(-2, 3) / std) ** 2)
        weights /= weights.sum()
        expected = correlate1d(correlate1d(mel[i].numpy(), weights, axis=1, mode="nearest"), weights, axis=0,
                               mode="nearest")  # fmt: skip
        np.testing.assert_allclose(out[i].numpy(), expected, atol=1e-5)


def test_noise_keeps_variance_and_leaves_time_zero_almost_alone():
    schedule = noise_schedule("cosine")
    clean, noise = torch.randn(3, 1, 4_000), torch.randn(3, 1, 4_000)
    noisy = add_noise(clean, torch.tensor([0.0, 0.5, 1.0]), noise, schedule)
    torch.testing.assert_close(noisy[0], clean[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(noisy[1], (clean[1] + noise[1]) / 2**0.5, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(noisy[2], noise[2], atol=1e-3, rtol=0)
