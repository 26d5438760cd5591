"""How near few steps come to many: a trained generator sampled from the same noise by each solver, and by its student.

    python -m benchmarks.diffusion_fast --from runs/tiny
    python -m benchmarks.diffusion_fast --from runs/tiny --student runs/fast --crate UNSEEN

The error is the root mean square distance from what 200 steps of Heun make of the same noise, in units of the standard
deviation of that. A student's own teacher is DDIM on a grid even in t, with the guidance that is built into it.

With a crate that neither was trained on, what is heard: `right` is the share of the other clips' words that fit a clip
less than its own, by the bundled model; `distance` the kernel distance from the crate's clips. A mel is made audible
without a model, on both sides.

B clips, D dimensions.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.data.crate_data import CrateClips
from diffusion.data.example import audio_needed
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import read_checkpoint
from diffusion.model.config import SamplingConfig
from diffusion.process.invert import invert_mel
from diffusion.process.steps import EVEN
from diffusion.training.demos import truth
from labeling.embedders.by_name import load_embedder
from labeling.evaluation.kernel import kernel_distance

_PROMPTS = ("slow solo piano", "fast drums and bass", "a string quartet", "an electric guitar", "bells", "a flute solo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="run_folder", type=Path, required=True)
    parser.add_argument(
        "--stage", default="spectrogram-generator", choices=["spectrogram-generator", "waveform-generator"]
    )
    parser.add_argument("--student", type=Path, help="run of a student of the stage")
    parser.add_argument("--crate", help="labelled clips that neither was trained on, for what is heard")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=5.12)
    args = parser.parse_args()
    torch.manual_seed(0)
    teacher = StageModel.load(args.run_folder / args.stage)
    student = StageModel.load(args.student / args.stage) if args.student else None
    text = TextSource(load_text_encoder(teacher.encoder_source), teacher.config.token_limit)
    if args.crate:
        distill = read_checkpoint(args.student / args.stage).config.distill if args.student else None
        _heard(args, teacher, student, (distill and distill.guidance) or teacher.config.sampling.guidance, text)
    else:
        _errors(args, teacher, student, text)


def _errors(args: argparse.Namespace, teacher: StageModel, student: StageModel | None, text: TextSource) -> None:
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
    if student is not None:
        built_in = read_checkpoint(args.student / args.stage).config.distill
        guided = {"guidance": built_in.guidance if built_in and built_in.guidance else own.guidance}
        taught, _, calls = make(teacher, chosen(solver="ddim", schedule="uniform", steps=64, **guided))
        print(f"\nfrom the teacher's DDIM of 64 steps ({calls} calls of both halves), even in t, {guided}:")
        for steps in (student.config.sampling.steps or 8, 16, 32):
            line("ddim", "uniform", teacher, chosen(solver="ddim", schedule="uniform", steps=steps, **guided), taught)
        line("student", "uniform", student, student.config.sampling, taught)


def _heard(
    args: argparse.Namespace, teacher: StageModel, student: StageModel | None, built_in: float, text: TextSource
) -> None:
    stage, judge = teacher.config.model_copy(update={"crop_s": args.seconds}), load_embedder("bundled")
    clips = CrateClips(args.crate, audio_needed(stage).rates_hz)
    loader = ClipLoader([ClipSource(clips, clips.split(0.0).train)], stage, seed=0, text_drop=0.0)
    examples = [loader.example(n) for n in range(args.clips)]
    words = [text.draw(example.texts, example.text_uniform) or "music" for example in examples]
    words_BD = judge.embed_text(words)

    def heard(value_BCT: Tensor) -> NDArray[np.float32]:
        audible = invert_mel(value_BCT.float(), stage.mel) if stage.makes_mel and stage.mel else value_BCT[:, 0]
        rate = judge.card.sample_rate_hz
        clips_BT = audible.float().numpy()
        return judge.embed_clips(
            [np.asarray(soxr.resample(c, stage.target_rate_hz, rate), np.float32) for c in clips_BT]
        )

    real_BD = heard(truth(examples, stage))

    def line(name: str, calls: object, made_BD: NDArray[np.float32]) -> None:
        fit = made_BD @ words_BD.T
        own = np.diag(fit)
        right = (own[:, None] > fit).sum(axis=1).mean() / (len(fit) - 1)
        distance = f"{kernel_distance(real_BD, made_BD):.4f}" if made_BD is not real_BD else "0"
        print(f"| {name} | {calls} | {own.mean():.3f} | {right:.3f} | {distance} |", flush=True)

    print("| sampler | calls | similarity | right | distance |\n|---|---|---|---|---|")
    line("the crate's clips", "", real_BD)
    own, ddim = teacher.config.sampling, {"solver": "ddim", "schedule": "uniform", "gamma": 0.0}
    tried = []
    if student is not None:
        tried.append((f"student, guidance {built_in:g} built in", student, student.config.sampling))
        ancestral = student.config.sampling.model_copy(update={"solver": "ancestral"})
        tried.append(("the same, ancestral", student, ancestral))
    tried.append(("as the teacher is sampled", teacher, own))
    for guidance in dict.fromkeys((own.guidance, built_in)):
        for steps in (16, 8, 4):
            settings = own.model_copy(update={**ddim, "steps": steps, "guidance": guidance})
            tried.append((f"ddim, guidance {guidance:g}", teacher, settings))
    for name, model, settings in tried:
        made = model.generate(range(len(words)), args.seconds, texts=words, text_source=text, sampling=settings)
        line(name, model.calls(settings) * (1 if settings.guidance == 1 else 2), heard(made))


if __name__ == "__main__":
    main()
