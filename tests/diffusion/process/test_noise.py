"""Noise schedules against closed forms in float64 and against DDPM's own discrete product."""

import math

import numpy as np
import pytest
import torch

from diffusion.process.noise import NOISE_SCHEDULES, noise_from, noise_schedule
from pipeline.errors import BadInput


def test_cosine_ends_are_plus_and_minus_20_in_float32():
    schedule = noise_schedule("cosine")
    ends = schedule.log_snr(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(ends, torch.tensor([20.0, 0.0, -20.0]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", list(NOISE_SCHEDULES))
def test_float32_agrees_with_float64_everywhere(name):
    schedule = noise_schedule(name)
    ends = torch.logspace(-7, 0, 400, dtype=torch.float32)
    t = torch.cat([torch.zeros(1), ends, 1 - ends.clamp(max=0.5)])
    exact = schedule.log_snr(t.double())
    assert (schedule.log_snr(t).double() - exact).abs().max() < 2e-5
    alpha, sigma = schedule.alpha_sigma(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.log(alpha.double() ** 2 / sigma.double() ** 2), exact, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("name", list(NOISE_SCHEDULES))
def test_noise_only_grows(name):
    sigma = noise_schedule(name).alpha_sigma(torch.linspace(0, 1, 10_001, dtype=torch.float64))[1]
    assert torch.all(sigma.diff() > 0)


def test_cosine_is_equation_6():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    b = math.atan(math.exp(-10))
    a = math.atan(math.exp(10)) - b
    alpha, sigma = noise_schedule("cosine").alpha_sigma(t)
    torch.testing.assert_close(alpha, torch.cos(a * t + b), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(sigma, torch.sin(a * t + b), atol=1e-12, rtol=1e-9)


def test_linear_follows_the_product_of_ddpm_betas():
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    alpha = noise_schedule("linear").alpha_sigma(t)[0].numpy()
    # The continuous form leaves out the second order of ln(1 - beta): at most 7 % of alpha, where alpha is 0.006.
    assert np.abs(alpha - np.sqrt(kept)).max() < 2e-3
    assert alpha[-1] == pytest.approx(math.exp(-10.0501 / 2))
    assert noise_schedule("linear").alpha_sigma(torch.zeros(1, dtype=torch.float64))[1].item() ** 2 == pytest.approx(
        1e-4, rel=1e-4
    )


def test_as_printed_is_linear_in_variance_and_almost_clean_at_the_end():
    sigma = noise_schedule("linear_as_printed").alpha_sigma(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))[1]
    np.testing.assert_allclose(sigma.numpy() ** 2, [0.0001, 0.01005, 0.02], rtol=1e-9)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(BadInput, match="cosine, linear, linear_as_printed"):
        noise_schedule("quadratic")


@pytest.mark.parametrize("name", list(NOISE_SCHEDULES))
def test_the_noise_is_in_the_velocity(name):
    schedule = noise_schedule(name)
    t = torch.tensor([1e-3, 0.3, 0.999])
    clean, noise = torch.randn(2, 3, 1, 50).unbind()
    alpha, sigma = (value.view(-1, 1, 1) for value in schedule.alpha_sigma(t))
    x_t, velocity = alpha * clean + sigma * noise, alpha * noise - sigma * clean
    torch.testing.assert_close(noise_from("velocity", x_t, velocity, t, schedule), noise, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(noise_from("clean", x_t, clean, t, schedule), noise, atol=1e-2, rtol=1e-2)
