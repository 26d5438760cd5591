"""`cratedig label`: captions for the clips of a crate, from their stored embeddings."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import (
    add_command,
    add_embedder_options,
    add_engine_options,
    add_label_options,
    add_part_option,
    engine,
    label_options,
)

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "label",
        help="label a crate, or label it again: another vocabulary, K, seed or profile",
        about="Find each clip's best captions and draw some of them by inverse frequency. Reads embeddings only; what "
        "an earlier run has searched is used again, so that another seed costs seconds. Runs stand side by side.",
        example="  cratedig label crates/mine --seed 1\n"
        "  cratedig label crates/mine --vocab llm_lf=captions.parquet --name mine-llm",
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate with finished clips")
    parser.add_argument(
        "--step",
        choices=("captions", "candidates", "count", "labels"),
        help="only this one, for a scheduler: embed the captions; search each clip's (by --part, too); count; draw (by "
        "--part, too). Afterwards once without --step (default: all)",
    )
    add_part_option(parser)
    add_label_options(parser)
    add_embedder_options(parser, default=None)
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from beam_jobs.labels import LABEL_STEPS, label_crate
    from cratedig.view import JobView
    from labeling.weak import said_of, weak_labels
    from pipeline.crate.crate import Crate
    from pipeline.crate.manifest import write_manifest
    from pipeline.errors import BadInput
    from pipeline.publishing.card import write_card

    asked = engine(args)
    if asked.part is not None and args.step not in ("candidates", "labels"):
        raise BadInput(f"--part {asked.part} goes with --step candidates or --step labels")
    crate = Crate.open(args.crate)
    with asked as work, JobView() as view:
        run = label_crate(
            crate,
            **label_options(args),
            embedder=args.embedder or crate.embedder_source,
            device=args.device,
            engine=work,
            steps=(args.step,) if args.step else LABEL_STEPS,
            stage=view.watch,
            note=view.say,
        )
        if work.part is None and args.step in (None, "labels"):
            for line in said_of(crate, weak_labels(crate, run, args.embedder or crate.embedder_source)):
                view.say(line)
    if args.step:
        print(f"step {args.step}{f', part {work.part},' if work.part else ''} of labels {run.name} is done")
        return 0
    write_manifest(crate)
    write_card(crate)
    print(f"labels {run.name} in {args.crate}; next: cratedig verify {args.crate}, cratedig report {args.crate}")
    return 0
