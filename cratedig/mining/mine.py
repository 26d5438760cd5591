"""`cratedig mine`: plan, clips, labels, verify and report in one."""

from __future__ import annotations

import argparse
import time
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
    from collections.abc import Mapping

    from pipeline.crate.crate import Crate

__all__ = ["add_parser", "finish", "mine"]


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
    from cratedig.mining.plan import open_plan, print_dry_run

    label_keywords = label_options(args)
    config = clips_config(args, default_clip_s=10.0 if args.profile == "mulamcap" else 30.0)
    if args.dry_run:
        print_dry_run(args, config)
        return 0
    from beam_jobs.labels import check_labels, label_crate
    from pipeline.crate.rejects import check_reject_share
    from pipeline.errors import TooManyRejects

    # What cannot work is said before anything is written.
    check_labels(label_keywords["profile"], label_keywords["vocabularies"], label_keywords["k"])
    check_reject_share({}, args.max_reject_share)
    work = engine(args)
    crate = open_plan(args, config, ready=lambda: warn_of_embedder(args.embedder, args.device))
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
    finish(crate, report=not args.no_report, run=run.name)
    print(f"done in {time.monotonic() - started:.0f} s: {crate.storage.url}")
    return 0


def finish(crate: Crate, *, report: bool, run: str = "") -> None:
    """Manifest, dataset card, proof and page. Raises VerifyFailed where the proof does not hold."""
    from pipeline.crate.card import write_card
    from pipeline.crate.manifest import write_manifest
    from pipeline.crate.verify import verify_crate
    from pipeline.errors import VerifyFailed

    write_manifest(crate)
    write_card(crate)
    proof = verify_crate(crate)
    print("\n".join(proof.lines()))
    _print_reasons(proof.reasons)
    if not proof.holds:
        raise VerifyFailed(f"{crate.storage.url} does not hold what its plan promised: {proof.faults[0]}")
    if report:
        from labeling.report import write_report

        print(f"page: {write_report(crate, run, proof=proof)}")


def _print_reasons(reasons: Mapping[str, int]) -> None:
    for name, count in sorted(reasons.items()):
        level, _, reason = name.partition(":")
        print(f"  left out, {level}: {reason} {count}")
