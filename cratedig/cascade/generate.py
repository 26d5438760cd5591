"""`cratedig generate`: a prompt to a 24 kHz wav, through a trained cascade."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  cratedig generate "slow solo piano" --from runs/tiny -o piano.wav
  cratedig generate "slow solo piano" "fast drums" --from runs/tiny -o clips/ --seed 7
  cratedig generate "slow solo piano" --from runs/gpu80 --solver dpm++2m --steps 40,waveform-generator=60
  cratedig generate --prompts prompts.txt --from runs/gpu80 -o clips/ --cascade spectrogram --keep-stages
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "generate",
        help="a prompt to audio, through a trained cascade",
        description="Generate 24 kHz audio from text with three trained stages, which are checked to fit each other "
        "before anything runs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompts", nargs="*", metavar="PROMPT")
    parser.add_argument("--prompts", dest="prompt_file", type=Path, metavar="FILE", help="one prompt a line")
    parser.add_argument(
        "--from", dest="run_folder", type=Path, default=Path("runs/tiny"), metavar="FOLDER",
        help="what `cratedig train` wrote (default: runs/tiny)",
    )  # fmt: skip
    parser.add_argument(
        "--stage", action="append", default=[], metavar="STAGE=FOLDER", help="a stage or checkpoint from elsewhere"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("out.wav"), help="a .wav for one prompt, else a folder")
    parser.add_argument("--cascade", choices=["waveform", "spectrogram"], default="waveform")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="to 0.01 s (default: 30)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the first prompt; then N+1, ... (default: 0)"
    )
    how = parser.add_argument_group(
        "sampling (default: as trained)", "Each takes a value for all stages, or STAGE=VALUE,STAGE=VALUE"
    )
    how.add_argument("--solver", metavar="NAME", help="ancestral (the paper's), ddim, dpm++2m, heun or unipc")
    how.add_argument("--steps", metavar="N", help="denoising steps")
    how.add_argument("--schedule", metavar="NAME", help="front_heavy, back_heavy, uniform (Table 8) or even_log_snr")
    how.add_argument("--guidance", metavar="W", help="classifier-free guidance; 1 is none")
    how.add_argument("--gamma", metavar="G", help="stochasticity of the ancestral steps, 0 to 1")
    how.add_argument("--augmentation", metavar="T", help="noise put on a refining stage's condition, 0 to 1")
    parser.add_argument("--batch", type=int, metavar="N", help="clips at once (default: what memory holds)")
    parser.add_argument("--keep-stages", action="store_true", help="also write what each stage made")
    parser.add_argument("--text-encoder", metavar="PATH", help="where the text encoder is, if it was moved")
    parser.add_argument("--compile", action="store_true", help="torch.compile: minutes to start, then faster")
    parser.add_argument("--cpu", action="store_true", help="no GPU even if there is one")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from cratedig.cascade.train import _quiet
    from pipeline.errors import BadInput

    prompts = _prompts(args)
    if args.batch is not None and args.batch < 1:
        raise BadInput(f"--batch {args.batch} must be at least 1")
    if not 0.1 <= args.seconds <= 3600:
        raise BadInput(f"--seconds {args.seconds:g} must lie between 0.1 and 3600")
    seconds = round(args.seconds, 2)  # whole frames of the mel, and whole samples at every rate
    if len(prompts) > 1 and args.out.suffix == ".wav":
        raise BadInput(f"{len(prompts)} prompts and one file {args.out}; give -o a folder")
    import torch

    from diffusion.generation.cascade import CASCADES, load_cascade
    from diffusion.generation.wav import write_results

    _quiet()
    device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
    folders = {stage: args.run_folder / stage for stage in CASCADES[args.cascade]} | _given_stages(args.stage)
    cascade = load_cascade(args.cascade, folders, device=device, text_encoder=args.text_encoder, compile=args.compile)
    for prompt in prompts:
        tokens = len(cascade.text.encoder.token_ends(prompt))
        if tokens > cascade.text.limit:
            print(f"cut: {prompt[:40]!r}... has {tokens} tokens, the model reads {cascade.text.limit} of them")
    sampling = cascade.sampling(
        {
            "solver": _per_stage("--solver", args.solver, str),
            "steps": _per_stage("--steps", args.steps, int),
            "schedule": _per_stage("--schedule", args.schedule, str),
            "guidance": _per_stage("--guidance", args.guidance, float),
            "gamma": _per_stage("--gamma", args.gamma, float),
            "augmentation_t": _per_stage("--augmentation", args.augmentation, float),
        }
    )
    seeds = [args.seed + i for i in range(len(prompts))]
    batch = args.batch or cascade.fitting_batch(seconds)
    with _Progress(cascade, sampling, len(prompts)) as progress:
        made = cascade.generate(prompts, seeds, seconds=seconds, sampling=sampling, batch=batch, on_step=progress.step)
        paths = write_results(made, cascade, sampling, args.out, keep_stages=args.keep_stages)
    for path in paths:
        print(path)
    return 0


def _prompts(args: argparse.Namespace) -> list[str]:
    from pipeline.errors import BadInput

    prompts = list(args.prompts)
    if args.prompt_file:
        try:
            lines = args.prompt_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{args.prompt_file} cannot be read as text ({error})") from error
        prompts += [line for line in lines if line.strip()]
    if not prompts:
        raise BadInput('no prompt; give one: cratedig generate "slow solo piano", or a file: --prompts FILE')
    if any(not prompt.strip() for prompt in prompts):
        raise BadInput('an empty prompt; say what to play, for example "slow solo piano"')
    return [" ".join(prompt.split()) for prompt in prompts]


def _per_stage(option: str, given: str | None, read: Callable[[str], Any]) -> dict[Any, Any]:
    """`VALUE` for all stages (under None), or `STAGE=VALUE,...`."""
    from diffusion.model.config import STAGES
    from pipeline.errors import BadInput

    found: dict[Any, Any] = {}
    for part in (given or "").split(",") if given else ():
        stage, equals, text = part.rpartition("=")
        if equals and stage not in STAGES:
            raise BadInput(f"{option} {part}: there is no stage {stage!r}; there are {', '.join(STAGES)}")
        try:
            found[stage or None] = read(text)
        except ValueError:
            raise BadInput(f"{option} {part}: expected a number, or STAGE=NUMBER,STAGE=NUMBER") from None
    return found


def _given_stages(given: list[str]) -> dict[Any, Path]:
    from diffusion.model.config import STAGES
    from pipeline.errors import BadInput

    folders = {}
    for text in given:
        stage, equals, folder = text.partition("=")
        if not equals or stage not in STAGES:
            raise BadInput(f"--stage {text}: expected STAGE=FOLDER with a stage of {', '.join(STAGES)}")
        folders[stage] = Path(folder)
    return folders


class _Progress:
    """A bar over all denoising steps on a terminal, nothing elsewhere."""

    def __init__(self, cascade: Any, sampling: Any, prompts: int) -> None:
        import sys

        self._total = prompts * sum(stage.calls(sampling[stage.config.stage]) for stage in cascade.stages)
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description:22}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=Console(stderr=True),
            )  # fmt: skip

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, stage: str, clips: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=stage, advance=clips)
