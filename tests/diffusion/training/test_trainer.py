"""Training: it learns, resumes to the bit, is the same on two processes, and stops when the loss is bad."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from diffusion.data.batch import make_batch, more_draws
from diffusion.data.crate_data import CrateClips
from diffusion.data.example import audio_needed
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.model.checkpoint import list_checkpoints, read_checkpoint
from diffusion.model.config import STAGES
from diffusion.process.noise import noise_schedule
from diffusion.training.losses import loss_of, losses_by_level
from diffusion.training.run_log import RunLog, read_losses
from diffusion.training.train_job import CrateUse, train_stage
from diffusion.training.trainer import Trainer, step_positions
from pipeline.errors import BadInput, RunFailed
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run, small_stage
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    return make_crate(tmp_path_factory.mktemp("crate"), shards=3, tracks=2, clips=2, clip_s=0.8)


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap")))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(config, crate, out, **options):
    return train_stage(config, [CrateUse(crate)], out, cpu=True, **options)


@pytest.fixture(scope="module")
def whole(crate, clap, tmp_path_factory):
    """Eight steps without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    train(small_run("waveform-cascader", clap), crate, out)
    return out


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_learns(stage, crate, clap, tmp_path):
    config = small_run(stage, clap, total_steps=30, cosine_steps=30, checkpoint_every=30, peak_lr=5e-3)
    trainer = train(config, crate, tmp_path)
    losses = [row["loss"] for row in read_losses(tmp_path)]
    assert len(losses) == 30
    found = read_checkpoint(tmp_path)
    assert found.step == 30
    assert found.config.stage == config.stage
    assert (found.text_encoder is not None) == config.stage.uses_text
    held_out = found.state["held_out_loss"]
    if config.stage.loss_weight == "simple":
        assert held_out["zero"] == pytest.approx(1, abs=0.02)
    if config.stage.predicts == "noise" and config.stage.loss_weight == "simple":
        assert losses[0] == pytest.approx(1, abs=0.02)  # the exit convolution starts at zero
    assert held_out["model"] < 0.95 * held_out["zero"]
    assert held_out["model"] == trainer.held_out_loss(trainer.model)


def test_a_crop_is_drawn_several_times_over_the_whole_range(crate):
    stage = small_stage("super-resolution")
    clips = CrateClips(crate, audio_needed(stage).rates_hz, text=False)
    loader = ClipLoader([ClipSource(clips, clips.split(0.0).train)], stage, seed=0, text_drop=0.0)
    batch = make_batch([loader.example(i) for i in range(3)], stage, None, "cpu")
    assert more_draws(batch, 1, 0) is batch
    more = more_draws(batch, 4, 0)
    torch.testing.assert_close(more.t_B.view(4, 3).sort(0).values.diff(dim=0), torch.full((3, 3), 0.25))
    for name, value in more.conditions.items():
        assert torch.equal(value, torch.cat([batch.conditions[name]] * 4))
    assert torch.equal(more.clean_BCT[9:], batch.clean_BCT)
    assert torch.equal(more.noise_BCT[:3], batch.noise_BCT)
    assert torch.corrcoef(more.noise_BCT.flatten(1)).fill_diagonal_(0).abs().max() < 0.1
    assert torch.equal(more_draws(batch, 4, 0).noise_BCT, more.noise_BCT)
    assert not torch.equal(more_draws(batch, 4, 1).noise_BCT, more.noise_BCT)


def test_several_draws_resume_to_the_bit(crate, clap, tmp_path):
    config = small_run("waveform-cascader", clap, draws=3, total_steps=4)
    train(config, crate, tmp_path / "whole")
    train(config.with_changes(total_steps=2), crate, tmp_path / "two")
    train(config, crate, tmp_path / "two")
    whole, two = (read_losses(tmp_path / name) for name in ("whole", "two"))
    assert [row["loss"] for row in whole] == [row["loss"] for row in two]
    assert len(whole) == 4


@pytest.mark.parametrize("predicts", ["noise", "velocity", "clean"])
def test_the_true_answer_has_no_loss(predicts, crate):
    """Of either prediction, in either measure; and what an answer of zero costs is known."""
    stage = small_stage("super-resolution", predicts=predicts)
    clips = CrateClips(crate, audio_needed(stage).rates_hz, text=False)
    loader = ClipLoader([ClipSource(clips, clips.split(0.0).train)], stage, seed=0, text_drop=0.0)
    batch = make_batch([loader.example(i) for i in range(4)], stage, None, "cpu")
    alpha, sigma = (value[:, None, None] for value in noise_schedule(stage.noise).alpha_sigma(batch.t_B))
    truth = {"noise": batch.noise_BCT, "velocity": alpha * batch.noise_BCT - sigma * batch.clean_BCT,
             "clean": batch.clean_BCT}[predicts]  # fmt: skip
    weight = {"clean": 1 / sigma.clamp(min=0.3).square()}.get(predicts, torch.ones_like(sigma))
    for of_noise in (False, True):
        assert loss_of(lambda x, t, **_: truth, batch, stage, of_noise=of_noise) == 0
    zero = loss_of(lambda x, t, **_: torch.zeros_like(x), batch, stage)
    assert zero == pytest.approx(float((weight * truth.square()).mean()), rel=1e-5)
    off = loss_of(lambda x, t, **_: truth + 1, batch, stage, of_noise=True)
    assert off == pytest.approx(1.0 if predicts == "noise" else float((weight * alpha.square()).mean()), rel=1e-5)


def test_an_error_near_the_clean_end_shows_in_that_tenth_alone(crate):
    stage = small_stage("super-resolution", predicts="noise")
    clips = CrateClips(crate, audio_needed(stage).rates_hz, text=False)
    loader = ClipLoader([ClipSource(clips, clips.split(0.0).train)], stage, seed=0, text_drop=0.0)
    batch = make_batch([loader.example(i) for i in range(4)], stage, None, "cpu")

    def off_below_a_tenth(x, t, **_):
        return batch.noise_BCT + 2 * (t < 0.1)[:, None, None]

    assert losses_by_level(off_below_a_tenth, batch, stage) == pytest.approx([4] + [0] * 9, abs=1e-6)


@pytest.mark.parametrize("stop_at", [3, 6])
def test_resumed_losses_are_the_uninterrupted_runs_bit_for_bit(stop_at, whole, crate, clap, tmp_path):
    train(small_run("waveform-cascader", clap, total_steps=stop_at), crate, tmp_path)
    train(small_run("waveform-cascader", clap), crate, tmp_path)
    assert read_losses(tmp_path) == read_losses(whole)
    assert (tmp_path / "held-out.jsonl").read_text() == (whole / "held-out.jsonl").read_text()
    ours, theirs = read_checkpoint(tmp_path), read_checkpoint(whole)
    for name in ("model", "ema", "optimizer"):
        expected = theirs.tensors(name)
        for key, value in ours.tensors(name).items():
            assert torch.equal(value, expected[key]), (name, key)


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from diffusion.training.train_job import CrateUse, train_stage
from tests.diffusion.small import small_run, small_stage
crate, clap, out, stage = sys.argv[1:5]
changes = eval(sys.argv[5]) if len(sys.argv) > 5 else {}
train_stage(small_run(stage, clap, **changes), [CrateUse(Path(crate))], Path(out), cpu=True)
"""


def script(*args, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, args)], env=environment, cwd=ROOT, **options)


def test_killed_and_continued_is_uninterrupted(whole, crate, clap, tmp_path):
    long = "{'total_steps': 4000}"
    process = script(crate, clap, tmp_path, "waveform-cascader", long)
    deadline = time.monotonic() + 120
    while len(read_losses_safely(tmp_path)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in list_checkpoints(tmp_path / "checkpoints"):
        if read_checkpoint(path).step > 6:  # it may have run on for a few steps: take up an earlier one
            import shutil

            shutil.rmtree(path)
    train(small_run("waveform-cascader", clap), crate, tmp_path)
    assert read_losses(tmp_path) == read_losses(whole)


def read_losses_safely(out):
    try:
        return read_losses(out)
    except ValueError:  # a line half written
        return []


def test_ranks_share_a_step_and_together_take_what_one_would(clap):
    config = small_run("waveform-cascader", clap, global_batch=8, device_batch=2)
    alone = [p for batch in step_positions(5, config, 0, 1) for p in batch]
    both = [p for rank in (0, 1) for batch in step_positions(5, config, rank, 2) for p in batch]
    assert alone == list(range(40, 48))
    assert sorted(both) == alone
    assert len(step_positions(5, config, 0, 1)) == 4
    assert len(step_positions(5, config, 1, 2)) == 2


def test_two_processes_have_the_losses_of_one(whole, crate, clap, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611", str(file),
        str(crate), clap, str(tmp_path / "out"), "waveform-cascader", "{'device_batch': 2}",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = [row["loss"] for row in read_losses(tmp_path / "out")]
    assert ours == pytest.approx([row["loss"] for row in read_losses(whole)], rel=1e-4)


def test_accumulation_is_the_larger_batch(whole, crate, clap, tmp_path):
    train(small_run("waveform-cascader", clap, device_batch=1), crate, tmp_path)
    ours = [row["loss"] for row in read_losses(tmp_path)]
    assert ours == pytest.approx([row["loss"] for row in read_losses(whole)], rel=1e-4)


def test_a_bad_loss_stops_with_step_clips_and_last_checkpoint(crate, clap, tmp_path, monkeypatch):
    step = Trainer._step

    def poisoned(self, batches):
        if self.step == 4:
            with torch.no_grad():
                self.plain_model.exit.bias.fill_(float("nan"))
        return step(self, batches)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(RunFailed, match=r"step 4: loss nan.*t00.*step-00000003"):
        train(small_run("waveform-cascader", clap), crate, tmp_path)
    report = json.loads((tmp_path / "failed-step.json").read_text())
    assert report["step"] == 4
    assert len(report["clip_ids"]) == 4
    assert not torch.isnan(read_checkpoint(tmp_path).tensors("model")["exit.bias"]).any()


def test_an_exploding_loss_stops_too(crate, clap, tmp_path):
    with pytest.raises(RunFailed, match=r"a loss below 0\.5"):
        train(small_run("waveform-cascader", clap, loss_limit=0.5), crate, tmp_path)


def test_what_does_not_belong_together_is_refused(whole, crate, clap, tmp_path):
    with pytest.raises(BadInput, match=r"peak_lr: 0\.\d+, now 0\.5"):
        train(small_run("waveform-cascader", clap, peak_lr=0.5), crate, whole)
    with pytest.raises(BadInput, match="waveform-cascader, not of waveform-generator"):
        train(small_run("waveform-generator", clap), crate, whole)
    other = str(make_tiny_clap(tmp_path / "other", seed=5))
    with pytest.raises(BadInput, match="text encoder"):
        train(small_run("waveform-cascader", other), crate, whole)
    lines = []
    assert train(small_run("waveform-cascader", clap), crate, whole, say=lines.append) is None
    assert "all 8 steps are done" in lines[0]
    more = make_crate(tmp_path / "more", shards=1, tracks=3, clip_s=0.8)
    with pytest.raises(BadInput, match="other data"):
        train(small_run("waveform-cascader", clap, total_steps=20), more, whole)


def test_the_sidecar_trains_the_same(whole, crate, clap, tmp_path):
    import shutil

    own = shutil.copytree(crate, tmp_path / "crate")
    lines = []
    train(small_run("waveform-cascader", clap), own, tmp_path / "out", encode_text=True, say=lines.append)
    assert any("encoded" in line for line in lines)
    assert (own / "text").is_dir()
    # Encoded in batches: the same to float16's rounding, which the oldest torch makes visible.
    for step, alone in zip(read_losses(tmp_path / "out"), read_losses(whole), strict=True):
        assert step == pytest.approx(alone, rel=1e-5)


def test_the_average_is_judged_in_the_models_precision(crate, clap, tmp_path):
    """Where both have the same weights, in bf16, the two columns that a user compares are equal."""
    AcceleratorState._reset_state(reset_partial_state=True)  # the other tests' is float32, and a process has one
    trainer = train(small_run("super-resolution", clap, precision="bf16", total_steps=2), crate, tmp_path / "out")
    trainer.averaged_model.load_state_dict(trainer.plain_model.state_dict())
    held = [trainer.held_out_loss(model) for model in (trainer.model, trainer.ema)]
    assert held[0] == pytest.approx(held[1], rel=1e-6)
    assert trainer.by_level(trainer.model) == pytest.approx(trainer.by_level(trainer.ema), rel=1e-6)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_learning_rate_and_average():
    config = small_run("waveform-cascader", "x", peak_lr=1.0, warmup_steps=10, cosine_steps=110, ema_warmup=False)
    assert [config.learning_rate(s) for s in (0, 9, 10, 60, 110)] == pytest.approx([0.1, 1, 1, 0.5, 0])
    from diffusion.training.trainer import _average

    averaged, current = [torch.tensor([1.0])], [torch.tensor([3.0])]
    _average(config.with_changes(ema_decay=0.75))(averaged, current, 5)
    assert averaged[0].item() == 1.5
    _average(config.with_changes(ema_decay=0.99, ema_warmup=True))(averaged, current, 8)
    assert averaged[0].item() == pytest.approx(1.5 + 0.5 * 1.5)


class _NoTracker:
    """An accelerator whose trackers cannot start."""

    is_main_process = True

    def __init__(self, error):
        self.error = error

    def init_trackers(self, *args, **options):
        raise self.error


def test_wandb_without_a_login_says_what_to_do(tmp_path):
    usage_error = type("UsageError", (Exception,), {"__module__": "wandb.errors"})
    log = RunLog(tmp_path, _NoTracker(usage_error("no key")), 0, small_run("super-resolution", "bundled"))
    with pytest.raises(RunFailed, match=r"no key.*wandb login.*WANDB_MODE=offline"):
        log.__enter__()
    log = RunLog(tmp_path, _NoTracker(ValueError("ours")), 0, small_run("super-resolution", "bundled"))
    with pytest.raises(ValueError, match="ours"):
        log.__enter__()


def test_a_run_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match=r"file/run cannot be written.*--out"):
        RunLog(tmp_path / "file" / "run", _NoTracker(None), 0, small_run("super-resolution", "bundled"))
