"""A student of few steps: on a Gaussian, where each round's answer is known; and as a run that resumes to the bit."""

import shutil

import numpy as np
import pytest
import torch

from cratedig.cascade import train as train_command
from diffusion.data.batch import Batch
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import latest_checkpoint, read_checkpoint
from diffusion.model.config import DistillConfig, SamplingConfig, StageConfig
from diffusion.process.noise import noise_schedule
from diffusion.process.sampler import sample
from diffusion.process.steps import step_times
from diffusion.training.distill import Distillation, student_stage, two_steps_in_one
from diffusion.training.run_log import read_losses
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput
from tests.diffusion.small import small_run, small_stage

STD = 0.3
SCHEDULE = noise_schedule("cosine")


def best(x, t_B):
    """The clean estimate of N(0, STD^2) (B, 1, T): the posterior mean."""
    alpha, sigma = (z.view(-1, 1, 1) for z in SCHEDULE.alpha_sigma(t_B))
    return alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * x


def ddim(estimate, x_1, steps):
    """What the product's sampler makes of an estimate."""

    def noise(x, t_B):
        alpha, sigma = (z.view(-1, 1, 1) for z in SCHEDULE.alpha_sigma(t_B))
        return (x - alpha * estimate(x, t_B)) / sigma

    times = step_times("waveform-generator", "uniform", steps)
    return sample(noise, x_1, times, SCHEDULE, draw_noise=lambda: None, solver="ddim")


@pytest.mark.parametrize("count", [1, 4, 32])
def test_one_step_of_the_target_ends_where_two_of_the_teacher_do(count):
    x_1 = torch.randn(3, 1, 50, generator=torch.Generator().manual_seed(0))

    def twice_as_far(x, t_B):
        return two_steps_in_one(best, x, t_B, 1 / count, SCHEDULE)

    torch.testing.assert_close(ddim(twice_as_far, x_1, count), ddim(best, x_1, 2 * count), atol=3e-3, rtol=0)


class _Linear(torch.nn.Module):
    """v = c(t) x, or the noise, with a number for each of 64 times: enough for a Gaussian, and nothing else."""

    def __init__(self, predicts="velocity"):
        super().__init__()
        t = torch.arange(1, 65) / 64
        alpha, sigma = (value.double() for value in SCHEDULE.alpha_sigma(t.double()))
        clean = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        gain = (1 - alpha * clean) / sigma if predicts == "noise" else (alpha - clean) / sigma
        self.gain = torch.nn.Parameter(gain.float())

    def forward(self, x, t_B, **conditions):
        return self.gain[(t_B * 64).round().long() - 1].view(-1, 1, 1) * x


def estimate_of(model):
    def estimate(x, t_B):
        alpha, sigma = (z.view(-1, 1, 1) for z in SCHEDULE.alpha_sigma(t_B))
        return alpha * x - sigma * model(x, t_B)

    return estimate


@pytest.mark.parametrize("predicts", ["velocity", "noise"])
def test_four_rounds_on_a_gaussian_keep_what_64_steps_made(predicts):
    """64 steps of DDIM turn noise of std 1 into std 0.2997; four steps without distillation miss by a third. A teacher
    of the noise is learned as one of the velocity in a round before."""
    stage = small_stage("waveform-generator", noise="cosine")
    stage = stage.model_copy(update={"sampling": stage.sampling.model_copy(update={"clip": "none"})})
    converts = predicts == "noise"
    student, steps = student_stage(stage, 4), 1200 + 300 * converts
    config = DistillConfig(from_steps=64, steps=4, teacher_predicts=predicts, converts=converts)
    model, exact = _Linear(predicts), _Linear()
    teaching = Distillation(model, stage.model_copy(update={"predicts": predicts}), student, config, steps)
    counts = [*([64] * converts), 32, 16, 8, 4]
    assert [teaching.student_steps(step) for step in range(0, steps, 300)] == counts
    assert [teaching.student_steps(step) for step in range(299, steps, 300)] == counts
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x_1 = torch.randn(1, 1, 2_000, generator=generator)
    before = ddim(estimate_of(exact), x_1, 64), ddim(estimate_of(exact), x_1, 4)
    for step in range(steps):
        draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
        clean, noise = STD * draw(64, 1, 32), draw(64, 1, 32)
        batch = Batch([], [], clean, noise, torch.rand(64, generator=generator), {})
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step % 300 / 300) + 1e-4
        optimizer.zero_grad()
        teaching.loss(model, batch, step).backward()
        optimizer.step()
        teaching.follow(step + 1, model.state_dict())
    fast = ddim(estimate_of(model), x_1, 4)
    error = lambda made: float((made - before[0]).std() / before[0].std())  # noqa: E731
    assert error(fast) < 0.03
    assert error(before[1]) > 5 * error(fast)
    assert float(fast.std()) == pytest.approx(float(before[0].std()), rel=0.03)


def test_the_rate_begins_anew_in_each_round_and_ends_at_0():
    distill = DistillConfig(from_steps=16, steps=4, converts=True)
    config = small_run("waveform-generator", "", total_steps=90, warmup_steps=30, peak_lr=1.0).with_changes(
        distill=distill
    )
    rates = [config.learning_rate(step) for step in range(90)]
    assert [distill.round_at(step, 90) for step in (0, 29, 30, 89)] == [
        (0, 0, 30),
        (0, 0, 30),
        (1, 30, 60),
        (2, 60, 90),
    ]
    assert rates[:30] == rates[30:60] == rates[60:]
    assert rates[0] == pytest.approx(1 / 3)  # a tenth of a round warms up
    assert rates[2] > 0.95
    assert rates[29] < 0.01
    assert [DistillConfig(from_steps=8, steps=1).round_at(step, 10)[0] for step in range(10)] == [0] * 4 + [1] * 3 + [
        2
    ] * 3


def test_guidance_leads_at_its_times_alone():
    stage = small_stage("waveform-generator", predicts="velocity")
    led = stage.sampling.model_copy(update={"guided_from": 0.3, "guided_to": 0.6})
    student = student_stage(stage.model_copy(update={"sampling": led}), 2)

    class Says(torch.nn.Module):
        def forward(self, x, t_B, text_BLW=None, **given):
            return torch.zeros_like(x) if text_BLW is None else torch.ones_like(x)

    teaching = Distillation(Says(), stage, student, DistillConfig(from_steps=8, steps=2, guidance=3.0), 10)
    teaching._clip = None
    t_B, x = torch.tensor([0.25, 0.5, 0.75]), torch.zeros(3, 1, 4)
    clean = teaching._estimate({"text_BLW": torch.zeros(3, 1, 1)})(x, t_B)
    _, sigma = SCHEDULE.alpha_sigma(t_B)
    torch.testing.assert_close(clean[:, 0, 0], -sigma * torch.tensor([1.0, 3.0, 1.0]))


def test_guidance_is_taken_in_by_the_first_teacher_alone():
    stage = small_stage("waveform-generator", predicts="noise")
    config = DistillConfig(from_steps=8, steps=2, guidance=3.0)

    class Says(torch.nn.Module):
        def forward(self, x, t_B, text_BLW=None, **given):
            return torch.zeros_like(x) if text_BLW is None else torch.ones_like(x)

    teaching = Distillation(Says(), stage, student_stage(stage, 2), config, 10)
    t_B, x = torch.tensor([0.5]), torch.zeros(1, 1, 4)
    alpha, sigma = SCHEDULE.alpha_sigma(t_B)
    teaching._clip = None
    given = {"text_BLW": torch.zeros(1, 1, 1)}
    torch.testing.assert_close(teaching._estimate(given)(x, t_B), -(3.0 * sigma / alpha).view(1, 1, 1).expand(1, 1, 4))
    assert teaching.follow(5, {})
    assert not teaching.follow(6, {})
    torch.testing.assert_close(teaching._estimate(given)(x, t_B), -sigma.view(1, 1, 1).expand(1, 1, 4))  # v = 1


def test_a_students_stage_samples_in_its_steps():
    teacher = small_stage("spectrogram-generator")
    student = student_stage(teacher, 4)
    assert StageConfig.model_validate(student.model_dump()) == student
    model = StageModel(student, None, None, "", 0, None)
    assert model.calls(student.sampling) == 4
    assert (student.sampling.guidance, student.sampling.solver) == (1.0, "ddim")
    seen = [
        student_stage(teacher.model_copy(update={"predicts": p}), 4).predicts for p in ("noise", "velocity", "clean")
    ]
    assert seen == ["velocity", "velocity", "clean"]


def test_the_loss_of_a_student_that_gives_the_clean_sample():
    """The optimal denoiser of a Gaussian is exact where no step is left: 1 to 0 of a point mass at 0."""
    stage = small_stage("waveform-generator", noise="cosine", predicts="clean")

    class Zero(torch.nn.Module):
        def forward(self, x, t_B, **given):
            return torch.zeros_like(x)

    teaching = Distillation(Zero(), stage, student_stage(stage, 2), DistillConfig(from_steps=8, steps=2), 10)
    batch = Batch([], [], torch.zeros(3, 1, 8), torch.randn(3, 1, 8), torch.tensor([0.1, 0.5, 0.9]), {})
    assert float(teaching.loss(Zero(), batch, 0)) == pytest.approx(0, abs=1e-10)
    assert float(teaching.loss(lambda x, t, **_: torch.ones_like(x), batch, 0)) > 1


@pytest.mark.parametrize(("start", "end"), [(64, 7), (8, 8), (8, 16), (12, 4)])
def test_steps_that_cannot_be_halved_are_refused(start, end):
    with pytest.raises(ValueError, match=r"halved to"):
        DistillConfig(from_steps=start, steps=end)


def distil(clap, crate, out, run, **changes):
    config = small_run("waveform-generator", clap, **{"total_steps": 6, "checkpoint_every": 2, **changes})
    return train_stage(
        config, [CrateUse(crate)], out, cpu=True, init_from=run, distill=DistillConfig(from_steps=8, steps=2)
    )


@pytest.mark.slow
def test_a_run_of_two_rounds_resumes_to_the_bit(run, crate, clap, tmp_path):
    distil(clap, crate, tmp_path / "whole", run)
    found = read_checkpoint(tmp_path / "whole")
    assert (found.config.distill.rounds, found.config.distill.guidance, found.config.text_drop) == (3, 3.0, 0.0)
    first = read_checkpoint(tmp_path / "whole" / "checkpoints" / "step-00000004")
    assert all(np.isfinite(line["loss"]) for line in read_losses(tmp_path / "whole"))
    distil(clap, crate, tmp_path / "parts", run)
    for step in ("00000006", "00000004"):
        shutil.rmtree(tmp_path / "parts" / "checkpoints" / f"step-{step}", ignore_errors=True)
    distil(clap, crate, tmp_path / "parts", run)
    for name in ("ema", "teacher"):
        ours, theirs = found.tensors(name), read_checkpoint(tmp_path / "parts").tensors(name)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert any(not torch.equal(first.tensors("teacher")[key], value)
               for key, value in read_checkpoint(run / "waveform-generator").tensors("ema").items())  # fmt: skip
    assert latest_checkpoint(tmp_path / "parts" / "checkpoints").name == "step-00000006"
    made = StageModel.load(tmp_path / "parts").generate(
        [0], 0.64, sampling=SamplingConfig(**found.config.stage.sampling.model_dump())
    )
    assert torch.isfinite(made).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distill-from", "{run}", "--lora", "4"], "give neither"),
        (["--distill-from", "{run}", "--distill-steps", "7"], "can't be halved to 7"),
        (["--distill-from", "/nowhere"], "is not a checkpoint"),
        (["--distill-from", "{run}", "--distill-guidance", "-1"], "--distill-guidance -1: Input should be greater"),
    ],
)
def test_the_command_refuses(run, crate, tmp_path, words, message):
    import argparse

    parser = argparse.ArgumentParser()
    train_command.add_parser(parser.add_subparsers())
    given = [word.format(run=run) for word in words]
    line = ["train", "waveform-generator", "--crate", str(crate), "--out", str(tmp_path), "--cpu", *given]
    args = parser.parse_args(line)
    with pytest.raises(BadInput, match=message):
        args.run(args)


@pytest.mark.slow
def test_what_no_student_can_have_is_refused(run, crate, clap, tmp_path):
    with pytest.raises(BadInput, match="spectrogram-vocoder reads no text, so nothing guides it; leave --distill-gui"):
        train_stage(
            small_run("spectrogram-vocoder", clap), [CrateUse(crate)], tmp_path / "mel", cpu=True, init_from=run,
            distill=DistillConfig(from_steps=8, steps=2, guidance=2.0),
        )  # fmt: skip
    distil(clap, crate, tmp_path / "student", run, total_steps=3)
    with pytest.raises(BadInput, match="total_steps: 3, now 6"):
        distil(clap, crate, tmp_path / "student", run, total_steps=6)


@pytest.mark.slow
def test_a_stage_without_guidance_wastes_no_round(run, crate, clap, tmp_path):
    trainer = train_stage(
        small_run("spectrogram-vocoder", clap, total_steps=2), [CrateUse(crate)], tmp_path, cpu=True, init_from=run,
        distill=DistillConfig(from_steps=8, steps=2),
    )  # fmt: skip
    assert (trainer.config.distill.converts, trainer.config.distill.rounds) == (False, 2)
