"""`cratedig verify`: the proof that nothing was lost."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import add_command

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "verify",
        help="prove that every planned track is written or rejected, and every file unchanged",
        about="Hash every shard again, compare its rows with the plan and its labels with its clips. An export: hash "
        "its files again and account for every clip of its crate. Exit code 1 where the proof does not hold, with each "
        "fault named. Writes nothing.",
        example="  cratedig verify crates/mine\n  cratedig verify exports/hf",
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate or of an export")


def _run(args: argparse.Namespace) -> int:
    from pipeline.crate.crate import Crate
    from pipeline.crate.verify import verify_crate
    from pipeline.curation.tables import stale_tables
    from pipeline.export.export import Export, is_export
    from pipeline.export.verify import verify_export
    from pipeline.storage import Storage

    if is_export(Storage(args.crate)):
        said = verify_export(Export.open(args.crate))
        print("\n".join(said.lines()))
        print("verified: nothing lost" if said.holds else "NOT verified")
        return 0 if said.holds else 1
    crate = Crate.open(args.crate)
    proof = verify_crate(crate)
    print("\n".join([*proof.lines(), *stale_tables(crate)]))
    for name, count in sorted(proof.reasons.items()):
        level, _, reason = name.partition(":")
        print(f"  left out, {level}: {reason} {count}")
    print("verified: nothing lost" if proof.holds else "NOT verified")
    return 0 if proof.holds else 1
