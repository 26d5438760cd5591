"""How near few steps come to many: a trained generator sampled from the same noise by each solver, and by its student.

    python -m benchmarks.diffusion_fast --from runs/tiny --stage spectrogram-generator
    python -m benchmarks.diffusion_fast --from runs/tiny --stage spectrogram-generator --student runs/fast

The error is the root mean square distance from what 200 steps of Heun make of the same noise, in units of the standard
deviation of that. A student's own teacher is DDIM on a grid even in t, which is given beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.stage_model import StageModel
from diffusion.model.config import SamplingConfig
from diffusion.process.steps import EVEN

_PROMPTS = ("slow solo piano", "fast drums and bass", "a string quartet", "an electric guitar", "bells", "a flute solo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="run_folder", type=Path, required=True)
    parser.add_argument(
        "--stage", default="spectrogram-generator", choices=["spectrogram-generator", "waveform-generator"]
    )
    parser.add_argument("--student", type=Path, help="run of a student of the stage")
    parser.add_argument("--seconds", type=float, default=5.12)
    args = parser.parse_args()
    torch.manual_seed(0)
    teacher = StageModel.load(args.run_folder / args.stage)
    text = TextSource(load_text_encoder(teacher.encoder_source), teacher.config.token_limit)
    own = teacher.config.sampling

    def make(model: StageModel, settings: SamplingConfig) -> tuple[Tensor, float, int]:
        started = time.perf_counter()
        made = model.generate(
            range(len(_PROMPTS)), args.seconds, texts=_PROMPTS, text_source=text, sampling=settings
        )  # fmt: skip
        return made, time.perf_counter() - started, model.calls(settings)

    def chosen(**changes: object) -> SamplingConfig:
        return own.model_copy(update={"schedule": EVEN, "gamma": 0.0, **changes})

    reference, _, _ = make(teacher, chosen(solver="heun", steps=200))
    print("| sampler | grid | calls | seconds | error |\n|---|---|---|---|---|")

    def line(name: str, grid: str, model: StageModel, settings: SamplingConfig, truth: Tensor = reference) -> None:
        made, seconds, calls = make(model, settings)
        error = float((made - truth).square().mean().sqrt() / truth.std())
        print(f"| {name} | {grid} | {calls} | {seconds:.1f} | {error:.3f} |", flush=True)

    for steps in (8, 16, 32, 64):
        for solver in ("ddim", "dpm++2m", "unipc", "heun"):
            line(solver, EVEN, teacher, chosen(solver=solver, steps=steps // 2 if solver == "heun" else steps))
    if args.student:
        student = StageModel.load(args.student / args.stage)
        distill = student.config.sampling
        taught, _, calls = make(teacher, chosen(solver="ddim", schedule="uniform", steps=64))
        print(f"\nfrom the teacher's DDIM of 64 steps ({calls} calls of both halves), even in t:")
        for steps in (distill.steps or 8, 16, 32):
            line("ddim", "uniform", teacher, chosen(solver="ddim", schedule="uniform", steps=steps), taught)
        line("student", "uniform", student, distill, taught)


if __name__ == "__main__":
    main()
