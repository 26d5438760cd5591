"""`cratedig report`: the page of a crate, and its figures as JSON."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import add_command, slot_files

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig report demo/crate                          the newest labels; look at demo/crate/report/index.html
  cratedig report crates/mine --labels top --clips 24 another label run, more clips to listen to"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "report",
        help="a page to look at and listen to, and stats.json",
        about="Write stats.json and report/index.html into a crate: totals, what was left out and why, how evenly "
        "captions are used, similarity against shuffled pairs, and a sample of clips to play. The page is one file.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", metavar="CRATE", help="folder or URL of a crate")
    parser.add_argument("--labels", default="", metavar="RUN", help="label run (default: the newest finished one)")
    parser.add_argument("--clips", type=int, default=12, metavar="N", help="clips to listen to (default: 12)")
    parser.add_argument(
        "--vocab",
        action="append",
        default=[],
        metavar="SLOT=FILE",
        help="vocabulary of a slot that was not labelled from a bundled one: for texts and embeddings (optional)",
    )


def _run(args: argparse.Namespace) -> int:
    from labeling.report import write_report
    from pipeline.crate.crate import Crate

    vocabularies = slot_files(args.vocab)
    page = write_report(Crate.open(args.crate), args.labels, clips=args.clips, vocabularies=vocabularies)
    print(page)
    return 0
