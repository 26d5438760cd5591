"""`cratedig evaluate model`: what a trained cascade makes of an evaluation set's prompts."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cratedig.evaluating.shared import add_encoder_options, add_out_options, cache, figure, sound_words, write_page
from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from cratedig.evaluating.generated import GenerateSettings
    from cratedig.evaluating.scores import Scored
    from diffusion.evaluation.prompt_sets import PromptSet
    from diffusion.generation.cascade import Cascade

__all__ = ["add_model_options", "add_parser", "device_of", "open_reference", "settings_of"]

_EXAMPLE = """\
  cratedig evaluate model runs/gpu80 --set musiccaps --list musiccaps-public.csv --reference crates/mine
  cratedig evaluate model runs/gpu80 --set audioset --list eval_segments.csv --audio audioset-eval/
  cratedig evaluate model runs/tiny --set prompts.txt --prompts 16 --seconds 7.68 --reference demo/crate"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "model",
        help="how good is a trained cascade",
        about="Generates 30 s for each prompt of a set and judges the middle 10 s at 16 kHz, before super-resolution, "
        "as the paper does: similarity to the prompts against shuffled pairs, and distance from a reference. What is "
        "generated is kept: the same command goes on where it was stopped, and judges anew without generating.",
        example=_EXAMPLE,
        run=_run,
    )
    add_model_options(parser)
    parser.add_argument(
        "--audio", metavar="FOLDER", help="the set's own audio, named by its ids: what the paper measures against"
    )
    add_out_options(parser, "RUN/evaluation/SET")
    add_encoder_options(parser)
    add_engine_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="what cratedig train wrote, such as runs/tiny")
    group = parser.add_argument_group("prompts")
    group.add_argument(
        "--set", required=True, metavar="SET", help="musiccaps, mtat, audioset, or a file: a prompt a line, or a table "
        "with a column prompt, caption or text",
    )  # fmt: skip
    group.add_argument("--list", action="append", default=[], metavar="FILE", help="the set's list as it is published")
    group.add_argument("--ontology", default="", metavar="FILE", help="AudioSet's ontology.json, for other --label-set")
    group.add_argument(
        "--label-set", default="appendix-d", metavar="NAME_OR_CSV",
        help="labels that count as music: appendix-d (the paper's, default), subtree, or a CSV with mid, name",
    )  # fmt: skip
    group.add_argument("--prompts", type=int, metavar="N", help="so many of them, by a hash (default: all)")
    group.add_argument(
        "--reference", default="", metavar="SET", help="real music for distances: a crate, CRATE#SPLIT/PART, audio"
    )
    how = parser.add_argument_group("generation")
    how.add_argument("--cascade", choices=["waveform", "spectrogram"], default="waveform")
    how.add_argument("--seconds", type=float, default=30.0, metavar="S", help="generated a prompt (default: 30)")
    how.add_argument("--middle", type=float, default=10.0, metavar="S", help="judged of it (default: 10)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    how.add_argument("--batch", type=int, default=4, metavar="N", help="clips at once (default: 4)")
    how.add_argument("--text-encoder", metavar="PATH", help="where the text encoder is, if it was moved")


def device_of(args: argparse.Namespace) -> str:
    if args.device != "auto":
        return str(args.device)
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def settings_of(args: argparse.Namespace) -> tuple[GenerateSettings, Cascade]:
    """The run's latest checkpoints up to 16 kHz with their own sampling, and those stages, loaded."""
    from cratedig.evaluating.generated import GenerateSettings
    from diffusion.evaluation.prompted import JUDGED, checkpoint_of, load_judged
    from pipeline.errors import BadInput

    if not args.run_folder.is_dir():
        raise BadInput(f"{args.run_folder} is no folder; give what cratedig train wrote, such as runs/tiny")
    if not 0.5 <= args.seconds <= 600 or not 0.5 <= args.middle <= 600:
        raise BadInput(f"--seconds {args.seconds:g} --middle {args.middle:g}: expected 0.5 to 600")
    if args.batch < 1 or (args.prompts is not None and args.prompts < 2):
        raise BadInput(f"--batch {args.batch} --prompts {args.prompts}: expected a batch of 1 and 2 prompts at least")
    seconds = round(args.seconds, 2)
    folders = {stage: checkpoint_of(args.run_folder, stage) for stage in JUDGED[args.cascade]}
    cascade = load_judged(args.cascade, folders, text_encoder=args.text_encoder)
    settings = GenerateSettings(
        cascade=args.cascade,
        folders=folders,
        sampling=cascade.sampling({}),
        seed=args.seed,
        seconds=seconds,
        middle_s=min(args.middle, seconds),
        batch=args.batch,
        text_encoder=args.text_encoder,
    )
    return settings, cascade


def open_reference(args: argparse.Namespace) -> Any:
    from labeling.evaluation.clip_sets import open_set

    return open_set(args.reference, clip_s=min(args.middle, args.seconds)) if args.reference else None


def _run(args: argparse.Namespace) -> int:
    from cratedig.cascade.train import _quiet
    from cratedig.evaluating.generated import generate_set
    from cratedig.evaluating.paper import PAPER, what_differs
    from cratedig.evaluating.scores import open_judge, score_generated
    from cratedig.view import JobView
    from diffusion.evaluation.prompt_sets import read_prompts
    from labeling.evaluation.page import render
    from pipeline.storage import Storage

    _quiet()
    prompts = read_prompts(args.set, args.list, args.ontology, args.label_set).some(args.prompts)
    settings, _ = settings_of(args)
    default = args.out == "RUN/evaluation/SET"
    out = Storage(args.run_folder / "evaluation" / prompts.name if default else args.out)
    truth = _truth(args.audio, prompts) if args.audio else None
    device, reference, names = device_of(args), open_reference(args), args.encoder or ["bundled"]
    if reference is None and args.audio:
        from labeling.evaluation.clip_sets import open_set

        reference = open_set(args.audio, clip_s=settings.middle_s)
    with engine(args) as work, JobView() as view:
        made = generate_set(prompts, settings, out, device=device, engine=work, watch=view.watch)
        judges = [
            open_judge(name, reference, cache(args), device=args.device, engine=work, watch=view.watch)
            for name in names
        ]
        scored = score_generated(
            made.folder, [p.text for p in prompts.prompts], judges, cache(args), clip_s=settings.middle_s,
            device=args.device, engine=work, watch=view.watch, truth=truth,
        )  # fmt: skip
    differs = what_differs(
        prompts.name, prompts=len(prompts.prompts), encoders=[d.encoder.name for d in scored.distances] or names,
        reference=args.reference or args.audio or "", truth=bool(truth), seconds=settings.seconds,
    )  # fmt: skip
    paper = PAPER.get(prompts.name)
    page = render(
        "model.html.j2", folder=Path(__file__).parent, what="model", title=f"{args.run_folder.name} on {prompts.name}",
        scored=scored, prompts=prompts, settings=settings, made=made, paper=paper, differs=differs,
        listen=_listen(made.folder, prompts, scored), left_out={**prompts.left_out, **scored.left_out},
    )  # fmt: skip
    result = {
        "scored": scored.as_dict(), "prompts": len(prompts.prompts), "left_out_prompts": dict(prompts.left_out),
        "settings": settings.identity(), "paper": asdict(paper) if paper else None, "differs": differs,
    }  # fmt: skip
    where = write_page(out, page, result)
    _say(scored, made.seconds_a_clip)
    for line in differs:
        print(f"beside the paper: {line}")
    print(f"page: {where}; audio: {made.folder}")
    return 0


def _truth(folder: str, prompts: PromptSet) -> dict[int, str]:
    """Number of a prompt -> its real audio, by the id in the file's name."""
    from pipeline.curation.audioset import named_clip
    from pipeline.errors import BadInput
    from pipeline.source.listing import list_input

    starts = {prompt.id: 0.0 for prompt in prompts.prompts}
    numbers = {prompt.id: number for number, prompt in enumerate(prompts.prompts)}
    found: dict[int, str] = {}
    for track in list_input(folder).tracks:
        stem = track.key.rpartition("/")[2].rpartition(".")[0]
        named = None if stem in numbers else named_clip(track.key, starts)
        which = stem if stem in numbers else named.ytid if named else ""
        if which in numbers:
            found.setdefault(numbers[which], track.path)
    if not found:
        raise BadInput(
            f"--audio {folder}: no file is named by an id of the set, such as {prompts.prompts[0].id}; rename them, or "
            "give real music as --reference"
        )
    return found


def _listen(folder: str, prompts: PromptSet, scored: Scored, most: int = 6) -> list[dict[str, Any]]:
    """The best and the worst by the first judge that reads text."""
    import io

    import soundfile

    from diffusion.evaluation.prompted import prompt_file
    from labeling.evaluation.page import mp3
    from pipeline.storage import Storage

    if not scored.matched:
        return []
    order = sorted(scored.matched[0].by_prompt, key=lambda pair: -pair[1])
    chosen = order if len(order) <= 2 * most else order[:most] + order[-most:]
    heard = []
    for number, cosine in chosen:
        samples, rate = soundfile.read(io.BytesIO(Storage(folder).read_bytes(prompt_file(number))), dtype="float32")
        heard.append({"prompt": prompts.prompts[number].text, "cosine": cosine, "mp3": mp3(samples, rate)})
    return heard


def _say(scored: Scored, seconds_a_clip: float) -> None:
    for m in scored.matched:
        real = "" if m.truth is None else f"; real audio {figure(m.truth, 3)}, to real audio {figure(m.audio, 3)}"
        print(
            f"{m.judge}: similarity {figure(m.similarity.mean, 3)} ({figure(m.similarity.low, 3)} to "
            f"{figure(m.similarity.high, 3)}), shuffled {figure(m.shuffled, 3)}; rank {figure(m.rank.mean, 3)}{real}"
        )
    for d in scored.distances:
        print(
            f"{d.encoder.name}: Fréchet {figure(d.frechet)} ({figure(d.frechet_by_chance)} by chance), kernel "
            f"{figure(d.kernel, 5)}, coverage {figure(d.coverage, 3)}"
        )
        for note in d.notes:
            print(f"  note: {note}")
    gone = ", ".join(f"{n} {name.replace(':', ' ')}" for name, n in sorted(scored.left_out.items()))
    print(
        f"{scored.clips} clips judged{f' ({gone} left out)' if gone else ''}, {seconds_a_clip:.2f} s each to generate; "
        f"{sound_words(asdict(scored.sound))}"
    )
