"""`cratedig merge`: finished crates of one configuration joined into a new one."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import add_command

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "merge",
        help="join finished crates of one configuration, without decoding",
        about="Copy the shards of several crates, made with the same settings and embedder, into a new crate. "
        "Candidates come along; labels are drawn anew with `cratedig label`, since counts, and the mean that is taken "
        "off for the bundled model, are over the whole crate. A track that stands in two of them with the same file "
        "is kept once; another file under the same key gets its crate's name before its key.",
        example="  cratedig merge crates/a crates/b --out crates/both && cratedig label crates/both",
        run=_run,
    )
    parser.add_argument("crates", nargs="+", metavar="CRATE", help="folders of finished crates")
    parser.add_argument("--out", required=True, metavar="CRATE", help="folder of the new crate")


def _run(args: argparse.Namespace) -> int:
    from cratedig.finish import finish
    from pipeline.crate.crate import Crate
    from pipeline.curation.merge import merge_crates
    from pipeline.storage import Storage

    crates = [Crate.open(name) for name in args.crates]
    merged, clashes = merge_crates(crates, Storage(args.out))
    finish(merged, report=False)
    if clashes["dropped"]:
        print(f"  {clashes['dropped']} tracks stand in an earlier one with the same file and were not joined twice")
    if clashes["renamed"]:
        print(
            f"  {clashes['renamed']} tracks have the key of another file there: their crate's name stands before it now"
        )
    print(f"{merged.tracks} tracks of {len(crates)} crates in {args.out}; next: cratedig label {args.out}")
    return 0
