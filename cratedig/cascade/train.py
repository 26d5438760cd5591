"""`cratedig train`: one stage of the cascade, or all five, from one or more crates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_STAGES = (
    "waveform-generator", "waveform-cascader", "spectrogram-generator", "spectrogram-vocoder", "super-resolution",
)  # fmt: skip

_EPILOG = """\
examples:
  cratedig train all --crate demo/crate --run tiny            all five stages on two CPU cores, in minutes
  cratedig train waveform-generator --crate CRATE --run gpu80 --encode-text
  cratedig train waveform-generator --crate BIG --crate CURATED=0.05 --run paper
  cratedig train waveform-generator --init-from runs/gpu80 --crate BIG --crate CURATED=0.2 --run gpu80 --lr 1e-5 \
      --steps 20000 --out runs/tuned                           --lora 16 for a few matrices only
  cratedig train waveform-generator --distill-from runs/gpu80 --crate CRATE --run gpu80 --steps 60000 --out runs/fast
                                                              8 steps instead of 1000
  accelerate launch -m cratedig train waveform-cascader --crate CRATE --run paper      several GPUs

The same command continues where a run was stopped or killed. Results: runs/RUN/STAGE (checkpoints, losses.jsonl,
demos, TensorBoard). Then: cratedig generate "slow solo piano" --from runs/RUN -o out.wav
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a stage of the diffusion cascade on a crate",
        description="Train one of the five diffusion models of Noise2Music, or all five in turn.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", metavar="STAGE", choices=[*_STAGES, "all"], help=", ".join(_STAGES) + ", or all")
    parser.add_argument(
        "--crate", action="append", required=True, metavar="CRATE[=WEIGHT]", help="dataset; again for a mixture"
    )
    parser.add_argument("--labels", metavar="NAME", help="label run of the crates (default: the only one)")
    parser.add_argument("--split", default="", metavar="NAME", help="split of the crates, see cratedig split "
                        "(default: 2 %% of the tracks are held out, by hash)")  # fmt: skip
    parser.add_argument("--allow-duplicates", action="store_true", help="train on what cratedig dedup would leave out")
    parser.add_argument("--allow-contaminated", action="store_true", help="train on what is in an evaluation set")
    parser.add_argument(
        "--run",
        dest="run_name",
        default="tiny",
        metavar="NAME",
        help="paper, gpu80, gpu24, small or tiny (default: tiny)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: runs/NAME; each stage has a folder in it")
    tune = parser.add_argument_group("fine-tuning: the network and schedules are those of what it begins with")
    tune.add_argument(
        "--init-from", type=Path, metavar="CHECKPOINT", help="its averaged weights; or a run, or an export"
    )
    tune.add_argument("--lora", type=int, default=0, metavar="RANK", help="train matrices of this rank beside the "
                      "attention alone, 4 to 64; stages that read text")  # fmt: skip
    fewer = parser.add_argument_group("distillation: a student that samples in few steps, without guidance")
    fewer.add_argument("--distill-from", type=Path, metavar="CHECKPOINT", help="the trained stage, or its run")
    fewer.add_argument("--distill-steps", type=int, default=8, metavar="N", help="of the student (default: 8)")
    fewer.add_argument("--teacher-steps", type=int, default=64, metavar="N", help="N x 2, 4, 8, ... (default: 64)")
    fewer.add_argument("--distill-guidance", type=float, metavar="W", help="built in (default: as the teacher is "
                       "sampled with); few steps lose contrast, more guidance gives it back")  # fmt: skip
    text = parser.add_argument_group("text")
    text.add_argument("--text-encoder", metavar="NAME_OR_PATH", help="bundled, a ClapModel folder, or a T5 encoder")
    text.add_argument(
        "--encode-text", action="store_true", help="encode all texts first, by all ranks; goes on after a stop"
    )
    text.add_argument("--text-cache", type=Path, metavar="FOLDER", help="where encoded texts lie, seen by all ranks "
                      "(default: CRATE/text; of a crate at a URL: ~/.cache/cratedig)")  # fmt: skip
    change = parser.add_argument_group("changes to the named run (a run is continued only with the same ones)")
    change.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="steps in total; may grow when a run is continued, but for tiny, whose rate has come to 0 by then",
    )
    change.add_argument("--batch", type=int, metavar="N", help="global batch")
    change.add_argument("--device-batch", type=int, metavar="N", help="samples a device takes at once")
    change.add_argument("--lr", type=float, metavar="X", help="peak learning rate")
    change.add_argument("--seed", type=int, metavar="N")
    change.add_argument("--precision", choices=["fp32", "bf16"])
    change.add_argument("--compile", action=argparse.BooleanOptionalAction, help="torch.compile")
    change.add_argument("--stereo", action="store_true", help="super-resolution makes left and right, from crates "
                        "mined with --stereo; the other stages are mono")  # fmt: skip
    change.add_argument("--gradient-checkpointing", action=argparse.BooleanOptionalAction, help="less memory, slower")
    run = parser.add_argument_group("while it runs")
    run.add_argument("--checkpoint-every", type=int, metavar="STEPS")
    run.add_argument("--keep", type=int, metavar="N", help="checkpoints to keep")
    run.add_argument("--demo-every", type=int, metavar="STEPS", help="sample held-out prompts; 0 for never")
    run.add_argument("--score-every", type=int, metavar="STEPS", help="generate eight held-out clips and score them by "
                     "the bundled model, at checkpoints; 0 for never (default: as --demo-every)")  # fmt: skip
    run.add_argument("--loader-threads", type=int, metavar="N")
    run.add_argument("--cpu", action="store_true", help="no GPU even if there is one")
    run.add_argument("--wandb", action="store_true", help="log to Weights & Biases too (pip install wandb)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from pipeline.errors import BadInput
    from pipeline.installation import install_command

    if find_spec("accelerate") is None or find_spec("tensorboard") is None:
        raise BadInput(f"training needs accelerate and tensorboard: {install_command('train')}")
    if args.wandb and find_spec("wandb") is None:
        raise BadInput("--wandb needs wandb: pip install wandb")
    from cratedig.cascade.scores import score_trainer
    from diffusion.model.config import STEREO_STAGE
    from diffusion.training.demos import make_demos
    from diffusion.training.runs import named_run
    from diffusion.training.stopping import Stopped
    from diffusion.training.train_job import CrateUse, train_stage
    from diffusion.training.trainer import Trainer
    from labeling.embedders.by_name import load_embedder

    _quiet()
    distill = _distill(args) if args.distill_from else None
    crates = [
        CrateUse(path, weight, args.labels, args.split, args.allow_duplicates, args.allow_contaminated)
        for path, weight in map(_crate, args.crate)
    ]
    out: Path = args.out or Path("runs") / args.run_name
    for stage in _STAGES if args.stage == "all" else (args.stage,):
        config = _changed(named_run(args.run_name, stage), args)
        if args.stereo and stage in (args.stage, STEREO_STAGE):
            config = config.with_changes(stage=config.stage.in_stereo())

        def demos(trainer: Trainer) -> None:
            def due(every: int) -> bool:
                return bool(every) and (trainer.step % every == 0 or trainer.step == trainer.config.total_steps)

            if due(trainer.config.demo_every):
                make_demos(trainer, out)
            if due(trainer.config.demo_every if args.score_every is None else args.score_every):
                scores = score_trainer(trainer, load_embedder("bundled", device=str(trainer.accelerator.device)))
                if scores:
                    _say(
                        f"{trainer.stage.stage}: step {trainer.step}  "
                        + "  ".join(f"{k} {v:.3f}" for k, v in scores.items())
                    )

        try:
            train_stage(
                config,
                crates,
                out / stage,
                init_from=args.distill_from or args.init_from,
                lora_rank=args.lora,
                distill=distill,
                encode_text=args.encode_text,
                text_cache=args.text_cache,
                cpu=args.cpu,
                wandb=args.wandb,
                on_checkpoint=demos,
                say=_say,
            )
        except Stopped as stopped:
            _say(f"{stage}: stopped, with a checkpoint; the same command continues")
            return 128 + stopped.signal
    _say(f'done: {out}. Listen: cratedig generate "slow solo piano" --from {out} -o out.wav')
    return 0


def _distill(args: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from diffusion.model.config import DistillConfig
    from pipeline.errors import BadInput

    if args.init_from or args.lora:
        raise BadInput("--distill-from begins with the teacher's weights, and trains all; give neither --init-from nor "
                       "--lora")  # fmt: skip
    try:
        return DistillConfig(from_steps=args.teacher_steps, steps=args.distill_steps, guidance=args.distill_guidance)
    except ValidationError as error:
        first = error.errors()[0]["msg"].removeprefix("Value error, ")
        given = f"--teacher-steps {args.teacher_steps} --distill-steps {args.distill_steps}"
        if args.distill_guidance is not None:
            given += f" --distill-guidance {args.distill_guidance:g}"
        raise BadInput(f"{given}: {first}") from error


def _say(line: str) -> None:
    """Once, however many processes there are."""
    import os

    if os.environ.get("RANK", "0") == "0":
        print(line, flush=True)


def _changed(config: Any, args: argparse.Namespace) -> Any:
    names = {
        "text_encoder": args.text_encoder,
        "total_steps": args.steps,
        "global_batch": args.batch,
        "device_batch": args.device_batch,
        "peak_lr": args.lr,
        "seed": args.seed,
        "precision": args.precision,
        "compile": args.compile,
        "gradient_checkpointing": args.gradient_checkpointing,
        "checkpoint_every": args.checkpoint_every,
        "keep_checkpoints": args.keep,
        "demo_every": args.demo_every,
        "loader_threads": args.loader_threads,
    }
    if args.distill_from and args.lr is None:
        names["peak_lr"] = config.peak_lr / 2  # a student begins with what its teacher knows
    changes = {name: value for name, value in names.items() if value is not None}
    if args.batch is not None and args.device_batch is None:
        changes["device_batch"] = min(config.device_batch, args.batch)
    if args.steps is not None and config.cosine_steps == config.total_steps:
        changes["cosine_steps"] = args.steps  # the rate falls to 0 at the last step, wherever that is
    return config.with_changes(**changes)


def _crate(text: str) -> tuple[str, float]:
    """`CRATE` or `CRATE=WEIGHT`."""
    from pipeline.errors import BadInput

    path, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        value = float(weight)
    except ValueError:
        return text, 1.0  # a folder with an equals sign in its name
    if value <= 0:
        raise BadInput(f"--crate {text}: the weight must be above 0")
    return path, value


def _quiet() -> None:
    """transformers draws a progress bar for each model it loads; ours has its own."""
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
