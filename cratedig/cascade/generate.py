"""`cratedig generate`: a prompt to a 24 kHz wav, through a trained cascade."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  cratedig generate "slow solo piano" -o piano.wav
  cratedig generate "slow solo piano" --from runs/tiny -o piano.wav
  cratedig generate "slow solo piano" "fast drums" --from runs/tiny -o clips/ --seed 7
  cratedig generate "slow solo piano" --from runs/gpu80 --solver dpm++2m --steps 40,waveform-generator=60
  cratedig generate "slow solo piano" --negative "drums, noise" --from runs/gpu80 --guidance 5
  cratedig generate "slow solo piano" --audio take.mp3 --seconds 30           goes on where take.mp3 ends
  cratedig generate "slow solo piano" --audio take.mp3 --redraw 4-6,9-10      new in those seconds alone
  cratedig generate "fast solo piano" --audio take.mp3 --strength 0.6         a variation of all of it
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
        "--from", dest="run_folder", type=Path, metavar="FOLDER",
        help="what `cratedig train` or `export-model` wrote (default: runs/tiny; where that is not, the small cascade "
        "that comes with cratedig)",
    )  # fmt: skip
    parser.add_argument(
        "--stage", action="append", default=[], metavar="STAGE=FOLDER", help="a stage or checkpoint from elsewhere"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("out.wav"), help="a .wav for one prompt, else a folder")
    parser.add_argument("--cascade", choices=["waveform", "spectrogram"],
                        help="default: waveform, where it is there")  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="S", help="to 0.01 s (default: 30, or as long as --audio)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the first prompt; then N+1, ... (default: 0)"
    )
    parser.add_argument("--negative", default="", metavar="TEXT", help="what guidance leads away from")
    from_audio = parser.add_argument_group("from a file of audio, whose rate may be any (default: it is continued)")
    from_audio.add_argument("--audio", type=Path, metavar="FILE")
    from_audio.add_argument("--redraw", metavar="S-S,...", help="these seconds are new, the others stand")
    from_audio.add_argument("--strength", type=float, metavar="T", help="all is new, begun from the file with noise "
                            "of this time, 0 to 1")  # fmt: skip
    how = parser.add_argument_group(
        "sampling (default: as trained)", "Each takes a value for all stages, or STAGE=VALUE,STAGE=VALUE"
    )
    how.add_argument("--solver", metavar="NAME", help="ancestral (the paper's), ddim, dpm++2m, heun or unipc")
    how.add_argument("--steps", metavar="N", help="denoising steps")
    how.add_argument("--schedule", metavar="NAME", help="front_heavy, back_heavy, uniform (Table 8) or even_log_snr")
    how.add_argument("--guidance", metavar="W", help="classifier-free guidance; 1 is none")
    how.add_argument("--gamma", metavar="G", help="stochasticity of the ancestral steps, 0 to 1")
    how.add_argument("--walks", metavar="N", help="ancestral steps taken N times each: what is new follows what stands")
    how.add_argument("--augmentation", metavar="T", help="noise put on a refining stage's condition, 0 to 1")
    parser.add_argument("--batch", type=int, metavar="N", help="clips at once (default: what memory holds)")
    parser.add_argument("--keep-stages", action="store_true", help="also write what each stage made")
    parser.add_argument("--text-encoder", metavar="PATH", help="where the text encoder is, if it was moved")
    parser.add_argument("--compile", action="store_true", help="torch.compile: minutes to start once, then faster")
    parser.add_argument("--cuda-graphs", action="store_true", help="launch a GPU's kernels together")
    parser.add_argument("--cpu", action="store_true", help="no GPU even if there is one")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from cratedig.cascade.chosen import chosen_cascade, chosen_run
    from cratedig.cascade.train import _quiet
    from pipeline.errors import BadInput

    prompts = _prompts(args)
    if args.batch is not None and args.batch < 1:
        raise BadInput(f"--batch {args.batch} must be at least 1")
    if args.seconds is not None and not 0.1 <= args.seconds <= 3600:
        raise BadInput(f"--seconds {args.seconds:g} must lie between 0.1 and 3600")
    if len(prompts) > 1 and args.out.suffix == ".wav":
        raise BadInput(f"{len(prompts)} prompts and one file {args.out}; give -o a folder")
    import torch

    from diffusion.generation.cascade import CASCADES, load_cascade
    from diffusion.generation.held import read_audio
    from diffusion.generation.wav import write_results

    _quiet()
    held, seconds = _held(args)
    device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
    run = chosen_run(args.run_folder)
    name = chosen_cascade(args.cascade, run)
    folders = {stage: run / stage for stage in CASCADES[name]} | _given_stages(args.stage)
    cascade = load_cascade(
        name, folders, device=device, text_encoder=args.text_encoder, compile=args.compile,
        cuda_graphs=args.cuda_graphs,
    )  # fmt: skip
    if held is not None and cascade.stereo:
        held = replace(held, stereo_TC=read_audio(args.audio, stereo=True))
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
            "walks": _per_stage("--walks", args.walks, int),
            "augmentation_t": _per_stage("--augmentation", args.augmentation, float),
        }
    )
    negatives = [" ".join(args.negative.split())] * len(prompts)
    if negatives[0] and all(sampling[s.config.stage].guidance == 1 for s in cascade.stages if s.config.uses_text):
        raise BadInput("--negative does nothing with a guidance of 1; give more: --guidance 3")
    more = {"negative": negatives[0], "held": held and held.about()}
    seeds = [args.seed + i for i in range(len(prompts))]
    batch = args.batch or cascade.fitting_batch(seconds)
    with _Progress(cascade, sampling, len(prompts)) as progress:
        made = cascade.generate(
            prompts, seeds, seconds=seconds, sampling=sampling, batch=batch, negatives=negatives, held=held,
            on_step=progress.step,
        )  # fmt: skip
        paths = write_results(made, cascade, sampling, args.out, keep_stages=args.keep_stages, more=more)
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


def _held(args: argparse.Namespace) -> tuple[Any, float]:
    """What the clips hold on to, or None, and how long they are: whole frames of the mel, and samples at every rate."""
    from pipeline.errors import BadInput

    if args.audio is None:
        if args.redraw or args.strength is not None:
            raise BadInput("--redraw and --strength are of a file; give it: --audio FILE")
        return None, round(args.seconds or 30.0, 2)
    if args.redraw and args.strength is not None:
        raise BadInput("--redraw keeps the rest of the file, --strength keeps nothing of it; give one of them")
    from diffusion.generation.held import RATE_HZ, Held, read_audio

    audio = read_audio(args.audio)
    has_s = len(audio) / RATE_HZ
    if not args.redraw and args.strength is None:
        seconds = round(args.seconds or 30.0, 2)
        return Held.continued(audio, seconds), seconds
    seconds = round(args.seconds or int(has_s * 100) / 100, 2)
    if not 0.1 <= seconds <= 3600:
        raise BadInput(f"{args.audio} has {has_s:.2f} s; expected 0.1 to 3600")
    if args.strength is not None:
        return Held.varied(audio, args.strength), seconds
    return Held.redrawn(audio, _spans(args.redraw), seconds), seconds


def _spans(text: str) -> list[tuple[float, float]]:
    """`4-6,9.5-10` in seconds."""
    from pipeline.errors import BadInput

    try:
        return [(float(start), float(end)) for start, end in (part.split("-") for part in text.split(","))]
    except ValueError:
        raise BadInput(f"--redraw {text}: expected ranges of seconds like 4-6,9.5-10") from None


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
