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
        about="Hash every shard again, compare its rows with the plan and its labels with its clips. Exit code 1 where "
        "the proof does not hold, with each fault named. Writes nothing.",
        example="  cratedig verify crates/mine",
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate")


def _run(args: argparse.Namespace) -> int:
    from pipeline.crate.crate import Crate
    from pipeline.crate.verify import verify_crate

    proof = verify_crate(Crate.open(args.crate))
    print("\n".join(proof.lines()))
    for name, count in sorted(proof.reasons.items()):
        level, _, reason = name.partition(":")
        print(f"  left out, {level}: {reason} {count}")
    print("verified: nothing lost" if proof.holds else "NOT verified")
    return 0 if proof.holds else 1
