"""`python -m labeling.recipe`: the steps that make the bundled model and the demo music."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from pipeline.errors import CratedigError
from pipeline.process import Terminated, sigterm_interrupts

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labeling.recipe", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)

    render = steps.add_parser("render", help="compose and render windows into mel shards (resumes where it stopped)")
    render.add_argument("out", type=Path)
    render.add_argument("--split", default="train", help="train and seen: FluidR3; unseen: TimGM6mb, other rooms")
    render.add_argument("--windows", type=int, default=12_000)
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--workers", type=int, default=1)

    recorded = steps.add_parser(
        "recorded", help="cut windows from recorded music that nothing is known of, for `train --recorded`"
    )
    recorded.add_argument("out", type=Path)
    recorded.add_argument("music", type=Path, nargs="+", help="folders of tracks that are in no figure of the card")

    teach = steps.add_parser(
        "teach", help="what a sentence encoder says of the bundled captions, for `train --teacher`"
    )
    teach.add_argument("out", type=Path, help="an .npz file")
    teach.add_argument("encoder", type=Path, help="a folder that transformers loads, such as all-MiniLM-L6-v2's")

    train = steps.add_parser("train", help="train a model folder on mel shards (resumes where it stopped)")
    train.add_argument("out", type=Path)
    train.add_argument("--data", type=Path, required=True)
    train.add_argument("--steps", type=int, default=4000)
    train.add_argument("--batch", type=int, default=48)
    train.add_argument("--learning-rate", type=float, default=1.3e-3)
    train.add_argument("--ramp", type=float, default=0.4)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--init", type=Path, help="a model folder of this recipe to start from")
    train.add_argument("--average", type=float, default=0.998, help="decay of the running average that is kept")
    train.add_argument("--recorded", type=Path, help="recordings that nothing is known of, from `recorded`")
    train.add_argument("--recorded-tracks", type=int, default=0, help="a step, two windows of each")
    train.add_argument("--tone-share", type=float, default=0.0, help="of composed windows in a recording's tone")
    train.add_argument("--same-track", type=float, default=0.0, help="weight: two windows of a track lie together")
    train.add_argument("--same-facts", type=float, default=0.0, help="weight: and agree about facts")
    train.add_argument("--moments", type=float, default=0.0, help="weight: recordings lie where composed windows do")
    train.add_argument("--teacher", type=Path, help="a sentence encoder's geometry of captions, from `teach`")
    train.add_argument("--teacher-weight", type=float, default=0.3)
    train.add_argument("--device", default="auto")
    train.add_argument("--threads", type=int, default=0)
    train.add_argument("--writers", type=int, default=0, help="processes that write captions, beside a GPU")

    evaluate = steps.add_parser("evaluate", help="figures on test shards; several folders give mean and spread")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("tests", type=Path, nargs="+")
    evaluate.add_argument("--train", type=Path, help="training shards: the plain classifier and the hub calibration")
    evaluate.add_argument("--limit", type=int, default=0, help="windows of each test folder; 0 for all")
    evaluate.add_argument("--json", type=Path)

    calibrate = steps.add_parser(
        "calibrate",
        help="measure what is taken off clips before captions are chosen: the mean over recorded music",
    )
    calibrate.add_argument("model", type=Path)
    calibrate.add_argument("music", type=Path, nargs="+", help="folders of tracks that are in no figure of the card")
    calibrate.add_argument(
        "--hears", type=Path, help="the JSON that benchmarks.real_music --facts writes; without it every fact is kept"
    )
    calibrate.add_argument(
        "--composed", type=Path, help="rendered windows: probes trained on them hear facts, not their words alone"
    )

    publish = steps.add_parser("publish", help="write the shipped folder with its card")
    publish.add_argument("trained", type=Path)
    publish.add_argument("out", type=Path)
    publish.add_argument("--figures", type=Path, required=True, help="what `evaluate --json` wrote")
    publish.add_argument("--windows", type=int, required=True, help="of training data")
    publish.add_argument("--samples", type=int, required=True, help="seen in training, with repeats")
    publish.add_argument("--training", required=True, help="how, in a few words, for the card")
    publish.add_argument("--recordings", default="", help="that took part in training, for the card")
    publish.add_argument("--recorded", type=Path, help="Markdown on recorded music, for the card")

    demo = steps.add_parser("demo-music", help="compose, render and encode the demo tracks with their facts")
    demo.add_argument("out", type=Path)

    music = steps.add_parser("music", help="compose short pieces with what is true of each, to mine and train on")
    music.add_argument("out", type=Path)
    music.add_argument("--pieces", type=int, default=2400, help="of ten seconds (default: 2400)")
    music.add_argument("--seed", type=int, default=0)
    music.add_argument("--workers", type=int, default=1)
    return parser


def _evaluate(args: argparse.Namespace) -> None:
    from labeling.recipe.judging.evaluate import as_json, as_table, evaluate

    runs = [evaluate(args.model, test, train=args.train, limit=args.limit, seed=k) for k, test in enumerate(args.tests)]
    print(as_table(runs))
    if args.json:
        args.json.write_text(as_json(runs) + "\n")


def _calibrate(args: argparse.Namespace) -> None:
    from labeling.recipe.judging.calibrate import calibrate

    hears = json.loads(args.hears.read_text(encoding="utf-8")) if args.hears else None
    print(f"{args.model}/scoring.json: {calibrate(args.model, args.music, hears, args.composed)} clips")


def _publish(args: argparse.Namespace) -> None:
    from labeling.recipe.publish import publish

    size = publish(
        args.trained,
        args.out,
        figures=args.figures,
        windows=args.windows,
        samples=args.samples,
        training=args.training,
        recorded=args.recorded.read_text() if args.recorded else "",
        recordings=args.recordings,
    )
    print(f"{args.out}: {size / 1e6:.1f} MB")


def _demo_music(args: argparse.Namespace) -> None:
    from labeling.recipe.rendering.demo_music import write_demo_music

    for name in write_demo_music(args.out):
        print(f"{name}: {(args.out / name).stat().st_size / 1000:.0f} kB", flush=True)


def _music(args: argparse.Namespace) -> None:
    from labeling.recipe.training.composed_music import write_composed_music

    for done in write_composed_music(args.out, args.pieces, args.seed, workers=args.workers):
        if done % 100 == 0 or done == args.pieces:
            print(f"{done} of {args.pieces} pieces", flush=True)


def _train(args: argparse.Namespace) -> None:
    from labeling.recipe.training.train import TrainConfig, train

    config = TrainConfig(
        steps=args.steps,
        batch=args.batch,
        learning_rate=args.learning_rate,
        ramp=args.ramp,
        average=args.average,
        seed=args.seed,
        recorded_tracks=args.recorded_tracks,
        tone_share=args.tone_share,
        same_track_weight=args.same_track,
        same_facts_weight=args.same_facts,
        moments_weight=args.moments,
        teacher_weight=args.teacher_weight if args.teacher else 0.0,
    )
    train(
        config,
        args.data,
        args.out,
        init=args.init,
        recorded=args.recorded,
        teacher=args.teacher,
        device=args.device,
        threads=args.threads,
        writers=args.writers,
    )


def _recorded(args: argparse.Namespace) -> None:
    from labeling.recipe.training.recorded_windows import write_recorded_windows

    print(f"{args.out}: {write_recorded_windows(args.out, args.music)} windows")


def _teach(args: argparse.Namespace) -> None:
    from labeling.recipe.training.teacher import write_teacher

    print(f"{args.out}: {write_teacher(args.out, args.encoder)} captions")


def _render(args: argparse.Namespace) -> None:
    from labeling.recipe.training.data import render_shards

    for done, seconds in render_shards(
        args.out, split=args.split, windows=args.windows, run_seed=args.seed, workers=args.workers
    ):
        print(f"{done} of {args.windows} windows, {seconds:.0f} s", flush=True)


def main(argv: list[str] | None = None) -> int:
    """One step; the exit status is 2 for what the user can mend, 128 + the signal's number for Ctrl-C and SIGTERM."""
    args = _parser().parse_args(argv)
    steps = {
        "render": _render,
        "recorded": _recorded,
        "teach": _teach,
        "train": _train,
        "evaluate": _evaluate,
        "calibrate": _calibrate,
        "publish": _publish,
        "demo-music": _demo_music,
        "music": _music,
    }
    try:
        with sigterm_interrupts():
            steps[args.step](args)
    except KeyboardInterrupt as interrupt:
        print("error: interrupted; give the same command again", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)
    except CratedigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
