"""`cratedig mine`: plan, clips, labels, verify and report in one."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cratedig.mining.clips import add_reject_option, do_clips, retry_rejects
from cratedig.options import (
    add_clip_options,
    add_command,
    add_embedder_options,
    add_engine_options,
    add_label_options,
    clips_config,
    engine,
    label_options,
    warn_of_embedder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from beam_jobs.engine import Engine
    from pipeline.config import ClipsConfig

__all__ = ["add_parser", "mine"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "mine",
        help="a folder of music in, a captioned, verified dataset out",
        about="Cut every track into clips, embed them, give each captions that fit, write sharded Parquet, prove that "
        "nothing was lost and make a page to look at. Run it again to go on after an interruption.",
        example="  cratedig mine ~/Music --out crates/mine\n"
        "  cratedig mine songs.csv --out crates/caps --profile mulamcap --vocab rater_lf=rater-lf.parquet\n"
        "  cratedig mine 's3://bucket/music/**/*.flac' --out crates/s3 --dry-run",
        run=_run,
    )
    parser.add_argument(
        "input",
        help="folder, glob, audio file, or a list (CSV, JSON lines, M3U, text, Parquet; see docs/input.md)",
    )
    parser.add_argument(
        "--out", required=True, metavar="CRATE", help="folder of the dataset; taken up where it was left"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    parser.add_argument(
        "--drop-missing",
        action="store_true",
        help="take down the tracks that have left this input (cratedig takedown: they do not come back); default: kept",
    )
    parser.add_argument(
        "--all-labels",
        action="store_true",
        help="where the crate has grown, draw its other label runs again, too, with the settings that they have",
    )
    parser.add_argument("--no-report", action="store_true", help="leave out report/index.html")
    add_reject_option(parser)
    add_clip_options(parser)
    add_embedder_options(parser)
    add_label_options(parser)
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    return mine(args)


def mine(args: argparse.Namespace) -> int:
    """Everything from the input to the report."""
    started = time.monotonic()
    from cratedig.mining.plan import print_dry_run

    label_keywords = label_options(args)
    work = engine(args)
    config = clips_config(args, default_clip_s=10.0 if args.profile == "mulamcap" else 30.0)
    if args.dry_run:
        print_dry_run(args, config)
        return 0
    from beam_jobs.labels import check_labels
    from pipeline.crate.rejects import check_reject_share
    from pipeline.storage import Storage

    # What cannot work is said before anything is written.
    check_labels(label_keywords["profile"], label_keywords["vocabularies"], label_keywords["k"])
    check_reject_share({}, args.max_reject_share)
    held = ExitStack()

    def ready() -> None:
        warn_of_embedder(args.embedder, args.device)
        held.enter_context(Storage(args.out).lock())  # until all is done, not job by job

    with held:
        _mine(args, config, label_keywords, work, ready)
    print(f"done in {time.monotonic() - started:.0f} s: {Storage(args.out).url}")
    return 0


def _mine(
    args: argparse.Namespace,
    config: ClipsConfig,
    label_keywords: Mapping[str, Any],
    work: Engine,
    ready: Callable[[], None],
) -> None:
    from beam_jobs.labels import label_crate
    from cratedig.finish import finish, take_down_all
    from cratedig.mining.plan import open_plan
    from labeling.weak import weak_clips, weak_labels
    from pipeline.crate.rejects import check_reject_share
    from pipeline.errors import TooManyRejects

    crate, found = open_plan(args, config, ready=ready)
    files = label_keywords["vocabularies"]
    if args.drop_missing and found.gone:
        from pipeline.curation.takedown import known_tracks

        gone = [track.track_id for track in found.gone]
        crate = take_down_all(crate, known_tracks(crate), gone, reason="missing")
    del found  # it names every track
    retry_rejects(args, crate)
    from cratedig.view import JobView

    with work, JobView() as view:
        counts = do_clips(crate, args.embedder, args.device, work, view, args.max_reject_share)
        try:
            check_reject_share(counts, args.max_reject_share)
        except TooManyRejects:
            finish(crate, report=False)
            raise
        run = label_crate(
            crate,
            **label_keywords,
            embedder=args.embedder,
            device=args.device,
            engine=work,
            stage=view.watch,
            note=view.say,
        )
        if args.all_labels:
            from cratedig.mining.follow import label_the_others

            label_the_others(crate, run.name, files, work, view, embedder=args.embedder, device=args.device)
    weak = weak_clips(crate, args.embedder), weak_labels(crate, run, args.embedder)
    finish(crate, report=not args.no_report, run=run.name, vocabularies=files, weak=weak)
