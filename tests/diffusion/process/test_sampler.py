"""The sampler where the truth is known: Gaussian data, and diffusers' DDPM as oracle."""

import itertools

import numpy as np
import pytest
import torch

from diffusion.model.config import SamplingConfig
from diffusion.process.noise import noise_schedule
from diffusion.process.sampler import batch_noise, clip_estimate, guided, sample
from diffusion.process.solvers import calls
from diffusion.process.steps import EVEN, sampling_times, step_times


def gaussian_denoiser(schedule, mean_D, covariance_DD):
    """E[eps | x_t] for x ~ N(mean, covariance): sigma (alpha^2 C + sigma^2 I)^-1 (x_t - alpha mean)."""

    def model(x_BD, t_B):
        alpha, sigma = schedule.alpha_sigma(t_B[:1].double())
        total = alpha**2 * covariance_DD + sigma**2 * torch.eye(len(mean_D), dtype=torch.float64)
        return sigma * torch.linalg.solve(total, (x_BD - alpha * mean_D).T).T

    return model


@pytest.mark.parametrize("noise", ["cosine", "linear"])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_gaussian_data_comes_back_with_its_mean_and_covariance(noise, gamma):
    schedule = noise_schedule(noise)
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(20_000, 2, generator=generator, dtype=torch.float64)  # noqa: E731
    times = step_times("waveform-generator", "front_heavy")
    x = sample(gaussian_denoiser(schedule, mean, covariance), draw(), times, schedule, draw_noise=draw, gamma=gamma)
    # Standard errors at 20,000 samples: mean 0.005, covariance 0.005; the rest is the discretisation.
    assert (x.mean(0) - mean).abs().max() < 0.03
    assert (torch.cov(x.T) - covariance).abs().max() < 0.03


def test_one_step_is_equation_4():
    schedule = noise_schedule("cosine")
    times = np.array([0.0, 0.4, 0.7, 1.0])
    seen = []

    def model(x, t):
        seen.append((x.clone(), t[0].item()))
        return 0.3 * x

    noise = torch.tensor([[0.5], [-1.0]], dtype=torch.float64)
    x_1 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    result = sample(model, x_1, times, schedule, draw_noise=lambda: noise, gamma=0.25)
    x_t = x_1
    for n in (3, 2):
        t, s = torch.tensor(times[n]), torch.tensor(times[n - 1])
        (a_t, s_t), (a_s, s_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        gone = 1 - torch.exp(schedule.log_snr(t) - schedule.log_snr(s))
        spread = (gone * s_s**2).sqrt() ** 0.75 * (gone * s_t**2).sqrt() ** 0.25
        x_t = a_s / a_t * x_t - gone * a_s / a_t * s_t * 0.3 * x_t + spread * noise
        torch.testing.assert_close(seen[4 - n][0], x_t, rtol=1e-6, atol=1e-9)
    alpha, sigma = schedule.alpha_sigma(torch.tensor(times[1]))
    torch.testing.assert_close(result, (x_t - sigma * 0.3 * x_t) / alpha, rtol=1e-6, atol=1e-9)
    assert [t for _, t in seen] == pytest.approx([1.0, 0.7, 0.4])


class DiscreteDdpm:
    """The alpha products of diffusers' scheduler as a schedule in t = (i + 1) / N, clean at t = 0."""

    def __init__(self, kept):
        self.kept = torch.cat([torch.ones(1, dtype=torch.float64), kept.double()])

    def _at(self, t):
        return self.kept[(t * (len(self.kept) - 1)).round().long()]

    def log_snr(self, t):
        return torch.log(self._at(t)) - torch.log1p(-self._at(t))

    def alpha_sigma(self, t):
        return self._at(t).sqrt(), (1 - self._at(t)).sqrt()


@pytest.mark.parametrize(("gamma", "variance"), [(0.0, "fixed_small"), (1.0, "fixed_large")])
@pytest.mark.parametrize("clip", [False, True])
def test_diffusers_ddpm_takes_the_same_steps(gamma, variance, clip):
    diffusers = pytest.importorskip("diffusers", reason="the oracle is a test-only extra")
    oracle = diffusers.DDPMScheduler(
        num_train_timesteps=50, beta_start=1e-3, beta_end=0.2, variance_type=variance, clip_sample=clip
    )
    x_1 = torch.randn(2, 1, 64, generator=torch.Generator().manual_seed(1))
    model = lambda x, t: torch.tanh(x) * 0.9  # noqa: E731

    generator = torch.Generator().manual_seed(7)
    expected = x_1
    for i in reversed(range(50)):
        expected = oracle.step(model(expected, None), i, expected, generator=generator).prev_sample

    generator = torch.Generator().manual_seed(7)
    result = sample(
        model,
        x_1,
        np.arange(51) / 50,
        DiscreteDdpm(oracle.alphas_cumprod),
        draw_noise=lambda: torch.randn(2, 1, 64, generator=generator),
        gamma=gamma,
        clip=clip_estimate("static", 1.0) if clip else None,
    )
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4)


def test_guidance_is_a_weighted_sum():
    model = guided(lambda x, t: (x, 10 * x), 5.0)
    assert model(torch.tensor([1.0]), torch.zeros(1)).item() == 5 - 40


def test_guidance_leads_between_two_times_alone():
    model = guided(lambda x, t: (x, 10 * x), 5.0, plain=lambda x, t: x, between=(0.2, 0.6))
    for t, expected in ((0.1, 1.0), (0.2, -35.0), (0.6, -35.0), (0.7, 1.0)):
        assert model(torch.tensor([1.0]), torch.full((1,), t, dtype=torch.float64)).item() == expected


def test_dynamic_clipping_scales_by_the_percentile_sample_by_sample():
    clip = clip_estimate("dynamic", 0.9)
    quiet = torch.linspace(-0.5, 0.5, 10)
    loud = torch.arange(1.0, 11.0)
    out = clip(torch.stack([quiet, loud])[:, None])
    torch.testing.assert_close(out[0, 0], quiet)
    torch.testing.assert_close(out[1, 0], loud.clamp(max=9) / 9)
    assert clip_estimate("none", 0.9) is None
    assert clip_estimate("dynamic", 1.0, limit=4.0)(torch.tensor([[8.0, 2.0]])).tolist() == [[4.0, 1.0]]


def test_a_samples_noise_does_not_depend_on_its_batch():
    alone, both = batch_noise([5], (3,), "cpu"), batch_noise([4, 5], (3,), "cpu")
    for _ in range(2):
        assert torch.equal(alone()[0], both()[1])


def two_notes_denoiser(schedule):
    """E[eps | x_t] for x either near -1 or near 1: a mixture of N(-1, .3^2) and N(1, .3^2)."""

    def model(x, t_B):
        alpha, sigma = schedule.alpha_sigma(t_B[:1].double())
        variance = (0.3 * alpha) ** 2 + sigma**2
        right = torch.sigmoid(2 * alpha * x / variance)
        return sigma * (x - alpha * (2 * right - 1)) / variance

    return model


@pytest.mark.parametrize("noise", ["cosine", "linear"])
@pytest.mark.parametrize(("solver", "order"), [("ddim", 1), ("dpm++2m", 2), ("heun", 2), ("unipc", 2)])
def test_a_solver_converges_to_the_odes_solution_at_its_order(noise, solver, order):
    schedule = noise_schedule(noise)
    model = two_notes_denoiser(schedule)
    x_1 = torch.randn(500, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def at(solver, steps):
        settings = SamplingConfig(solver=solver, schedule=EVEN, steps=steps)
        times = sampling_times("waveform-generator", settings, schedule)
        asked = []
        x = sample(
            model, x_1, times, schedule, draw_noise=lambda: 1 / 0, solver=settings.solver, on_step=asked.append
        )  # no noise is drawn
        assert asked[-1] == calls(settings.solver, steps)
        return x

    truth = at("heun", 1_000)
    errors = [float((at(solver, steps) - truth).abs().mean()) for steps in (40, 80, 160)]
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine > 0.8 * 2**order
    assert errors[0] < {1: 0.1, 2: 0.03}[order]


def test_diffusers_solver_takes_the_same_steps_as_dpm_2m():
    diffusers = pytest.importorskip("diffusers", reason="the oracle is a test-only extra")
    oracle = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, algorithm_type="dpmsolver++", solver_order=2,
        final_sigmas_type="zero", lower_order_final=True, timestep_spacing="linspace",
    )  # fmt: skip
    oracle.set_timesteps(20)
    x_1 = torch.randn(2, 1, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model = lambda x, t: torch.tanh(x) * 0.9  # noqa: E731
    expected = x_1
    for t in oracle.timesteps:
        expected = oracle.step(model(expected, t), t, expected).prev_sample
    kept = oracle.alphas_cumprod[oracle.timesteps.flip(0)].double()  # of t_1 ... t_N, clean before t_1

    class Discrete:
        def log_snr(self, t):
            return torch.cat([torch.tensor([40.0], dtype=torch.float64), torch.log(kept) - torch.log1p(-kept)])

        def alpha_sigma(self, t):
            one = torch.ones(1, dtype=torch.float64)
            return torch.cat([one, kept.sqrt()]), torch.cat([0 * one, (1 - kept).sqrt()])

    result = sample(model, x_1, np.arange(21) / 20, Discrete(), draw_noise=lambda: 1 / 0, solver="dpm++2m")
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
