"""How fast a stage trains and a cascade samples, with random weights: no data, no trained model needed.

    python -m benchmarks.diffusion_speed train --run paper --stage waveform-generator --batch 0 --compile
    python -m benchmarks.diffusion_speed generate --run paper --clips 4 --compile
    python -m benchmarks.diffusion_speed train --run tiny --stage waveform-generator --batch 2     small, on a CPU
    python -m benchmarks.diffusion_speed train --run tiny --stage waveform-generator --batch 4 --crate demo/crate
    torchrun --standalone --nproc-per-node 8 -m -- benchmarks.diffusion_speed train --crate CRATE --batch 8 ...
    python -m benchmarks.diffusion_speed generate --run tiny --clips 1 --seconds 2

`train`: samples/s, operations counted from the model, TFLOP/s, their share of the bf16 matrix rate measured on the same
device, and peak memory beside the arithmetic of `cratedig models`. `--batch 0` looks for the largest that fits. With
`--crate` the same steps once more by `cratedig train`'s own loop, with its loader, texts, accumulation and ranks: how
many samples/s are left, and which share of a step the model waited for data.
`generate`: seconds for the clips through the whole waveform path. Each stage runs `--measure` real steps of its
schedule and is multiplied up; `--full` runs them all.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from diffusion.data.batch import Batch
from diffusion.generation.cascade import CASCADES
from diffusion.generation.stage_model import StageModel
from diffusion.model.config import StageConfig
from diffusion.model.cost import stage_cost
from diffusion.model.kernels import CudaGraphs, compile_where_it_works, fast_kernels, fast_weights
from diffusion.model.unet import UNet
from diffusion.process.noise import noise_schedule
from diffusion.process.sampler import batch_noise, clip_estimate, sample
from diffusion.process.steps import sampling_times
from diffusion.training import trainer
from diffusion.training.losses import loss_of
from diffusion.training.run_log import RunLog
from diffusion.training.runs import named_run
from diffusion.training.train_job import CrateUse, train_stage

__all__ = ["main"]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_rate_tflop_s(device: torch.device) -> float:
    """The best of a few bf16 products, as the yardstick."""
    size = 8192 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = 0.0
    for _ in range(4):
        wait(device)
        start = time.perf_counter()
        for _ in range(10 if device.type == "cuda" else 1):
            a @ a
        wait(device)
        best = max(best, (10 if device.type == "cuda" else 1) * 2 * size**3 / (time.perf_counter() - start) / 1e12)
    return best


def synthetic(config: StageConfig, size: int, device: torch.device) -> Batch:
    length, unet = config.length(config.train_s), config.unet
    conditions: dict[str, torch.Tensor] = {}
    if unet.stacked_channels:
        conditions["stacked_BCT"] = torch.randn(size, unet.stacked_channels, length, device=device)
    if unet.aligned_channels:
        conditions["aligned_BCT"] = torch.randn(size, unet.aligned_channels, length // unet.compression, device=device)
    if unet.augmentation_embedding:
        conditions["augmentation_t_B"] = torch.rand(size, device=device)
    if unet.text_width:
        conditions["text_BLW"] = torch.randn(size, config.token_limit, unet.text_width, device=device)
        conditions["text_mask_BL"] = torch.ones(size, config.token_limit, dtype=torch.bool, device=device)
        conditions["keep_text_B"] = torch.rand(size, device=device) > 0.1
    clean = torch.randn(size, unet.signal_channels, length, device=device)
    return Batch([], [], clean, torch.randn_like(clean), torch.rand(size, device=device), conditions)


def train(config: StageConfig, size: int, device: torch.device, steps: int, args: argparse.Namespace) -> dict[str, Any]:
    """Forward, backward, clipping and Adam of `size` samples, `steps` times."""
    torch.manual_seed(0)
    with device:
        model = fast_weights(UNet(config.unet, gradient_checkpointing=args.gradient_checkpointing), device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    ema = [p.detach().clone() for p in model.parameters()]
    if args.compile:
        compile_where_it_works(model, device, say=print)
    batch = synthetic(config, size, device)
    seconds = []

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = loss_of(model, batch, config)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(ema, [p.detach() for p in model.parameters()], 1e-4)
        wait(device)

    def timed() -> None:
        wait(device)
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)

    timed()
    with file_lock(args.lock) if args.lock else nullcontext():
        for _ in range(steps + 1):
            timed()
        if args.kernels:
            print(kernel_table(step, device), flush=True)
    step_s = sorted(seconds[2:])[len(seconds[2:]) // 2]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    return {
        "batch": size,
        "first_step_s": round(seconds[0], 1),
        "step_s": round(step_s, 4),
        "samples_per_s": round(size / step_s, 3),
        "peak_gib": peak,
    }


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kernel_table(step: Callable[[], None], device: torch.device) -> str:
    """The kernels of one step that take most of its time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as found:
        step()
    return str(
        found.key_averages().table(sort_by=f"self_{device.type}_time_total", row_limit=25, max_name_column_width=90)
    )


def product(args: argparse.Namespace, size: int, alone: float) -> dict[str, Any]:
    """Steps of `cratedig train`, the first three left out; `alone` is what a device does without loader and text."""
    rows: list[tuple[float, float]] = []

    class Timed(RunLog):
        def step(self, step: int, loss: float, norm: float, lr: float, seconds: float, waited_s: float = 0.0) -> None:
            rows.append((seconds, waited_s))
            super().step(step, loss, norm, lr, seconds, waited_s)

    config = named_run(args.run, args.stage)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    accumulated = max(1, config.global_batch // (size * world))
    steps = args.steps + 3
    config = config.with_changes(
        device_batch=size, global_batch=size * world * accumulated, total_steps=steps, checkpoint_every=steps,
        demo_every=0, compile=args.compile, gradient_checkpointing=args.gradient_checkpointing, log_every=steps,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out, mock.patch.object(trainer, "RunLog", Timed):
        train_stage(config, [CrateUse(args.crate)], Path(out) / args.stage, cpu=args.cpu)
    seconds, waited = (sum(column) for column in zip(*rows[3:], strict=True))
    rate = config.global_batch * args.steps / seconds
    return {
        "ranks": world,
        "accumulated": accumulated,
        "samples_per_s": round(rate, 3),
        "of_the_devices_alone": _short(rate / (world * alone)),
        "waited_for_data": _short(waited / seconds),
    }


def largest(config: StageConfig, device: torch.device, args: argparse.Namespace) -> int:
    """Doubles, then halves the gap, until memory says no."""

    def fits(size: int) -> bool:
        try:
            train(config, size, device, 1, args)
        except torch.OutOfMemoryError:
            return False
        finally:
            torch.cuda.empty_cache()
        return True

    low = 1
    while fits(2 * low):
        low *= 2
    high = 2 * low
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def train_report(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    config = named_run(args.run, args.stage).stage
    cost = stage_cost(config)
    size = args.batch or largest(config, device, args)
    torch.cuda.reset_peak_memory_stats() if device.type == "cuda" else None
    found = train(config, size, device, args.steps, args)
    rate, matrix = found["samples_per_s"] * cost.train_tflop, matrix_rate_tflop_s(device)
    per_sample = cost.checkpointed_gib if args.gradient_checkpointing else cost.activations_gib
    return {
        "stage": args.stage,
        **found,
        **({"product": product(args, size, found["samples_per_s"])} if args.crate else {}),
        "tflop_per_sample": _short(cost.train_tflop),
        "tflop_per_s": _short(rate),
        "matrix_tflop_per_s": _short(matrix),
        "share_of_matrix_rate": _short(rate / matrix),
        "arithmetic_gib": _short(cost.fixed_gib + size * per_sample),
    }


def _short(value: float) -> float:
    """Three digits: a CPU's TFLOP/s are far from a GPU's."""
    return float(f"{value:.3g}")


def generate_report(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    report: dict[str, Any] = {}
    total = 0.0
    for stage in CASCADES[args.cascade]:
        config = named_run(args.run, stage).stage
        torch.manual_seed(0)
        with device:
            model = fast_weights(UNet(config.unet).eval().requires_grad_(False), device)
        if device.type == "cuda":
            model = model.to(torch.bfloat16)
        if args.compile:
            compile_where_it_works(model, device, say=print)
        graphs = CudaGraphs(model) if args.cuda_graphs else None
        stage_model = StageModel(config, model, None, "", 0, Path(), graphs)
        batch = synthetic(config.model_copy(update={"crop_s": None, "clip_s": args.seconds}), args.clips, device)
        given = {name: value for name, value in batch.conditions.items() if name != "keep_text_B"}
        denoise = stage_model.denoiser(given, config.sampling.guidance)
        times = sampling_times(config.stage, config.sampling, noise_schedule(config.noise))
        draw = batch_noise(range(args.clips), tuple(batch.clean_BCT.shape[1:]), device)
        clip = clip_estimate(config.sampling.clip, config.sampling.clip_percentile, config.clip_limit)
        schedule, steps = noise_schedule(config.noise), len(times) - 1

        def run(grid: Any, denoise: Any = denoise, draw: Any = draw, clip: Any = clip, schedule: Any = schedule,
                gamma: float = config.sampling.gamma) -> float:  # fmt: skip
            wait(device)
            start = time.perf_counter()
            sample(denoise, draw(), grid, schedule, draw_noise=draw, gamma=gamma, clip=clip)
            wait(device)
            return time.perf_counter() - start

        first_s = run(times[[0, -3, -2, -1]])  # warm up
        count = steps if args.full else min(args.measure, steps)
        seconds = run(times if args.full else times[-count - 1 :] * 1.0) * steps / count
        report[stage] = {
            "steps": steps, "first_calls_s": round(first_s, 1), "ms_per_step": round(1e3 * seconds / steps, 2),
            "seconds": round(seconds, 2),
        }  # fmt: skip
        print(f"{stage}: {report[stage]}", flush=True)
        total += seconds
        del model, stage_model, denoise, given, batch
    report |= {"clips": args.clips, "clip_s": args.seconds, "total_s": round(total, 1)}
    if (args.run, args.clips, args.seconds) == ("paper", 4, 30.0):
        report["paper_s_on_four_tpu_v4"] = {"waveform": 142.3, "spectrogram": 65.9}[args.cascade]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("train")
    one.add_argument("--stage", default="waveform-generator")
    one.add_argument("--batch", type=int, default=0, help="0 for the largest that fits")
    one.add_argument("--steps", type=int, default=10)
    one.add_argument("--gradient-checkpointing", action="store_true")
    one.add_argument(
        "--lock", type=Path, help="a file: several stages may compile at the same time, and are timed in turn"
    )
    one.add_argument("--kernels", action="store_true", help="the kernels of a step that take most of its time")
    one.add_argument("--crate", type=Path, help="and the product's own loop, on this crate")
    two = commands.add_parser("generate")
    two.add_argument("--cascade", choices=list(CASCADES), default="waveform")
    two.add_argument("--clips", type=int, default=4)
    two.add_argument("--seconds", type=float, default=30.0)
    two.add_argument("--measure", type=int, default=20, help="steps to time a stage")
    two.add_argument("--full", action="store_true")
    two.add_argument("--cuda-graphs", action="store_true")
    for command in (one, two):
        command.add_argument("--run", default="paper")
        command.add_argument("--compile", action="store_true")
        command.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    fast_kernels(device)
    report = train_report(args, device) if args.what == "train" else generate_report(args, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(json.dumps({"device": name, "run": args.run, "compile": args.compile, **report}, indent=1))


if __name__ == "__main__":
    main()
