"""`cratedig verify`: the proof that nothing was lost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate
    from pipeline.records import Proof

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "verify",
        help="prove that every planned track is written or rejected, and every file unchanged",
        about="Hash every shard again, compare its rows with the plan and its labels with its clips. An export: hash "
        "its files again and account for every clip of its crate. Exit code 1 where the proof does not hold, with each "
        "fault named. Writes nothing: shards are looked at in this process. With --workers or --runner workers look at "
        "them, and what they find lies in .proof of the crate until the proof is made.",
        example="  cratedig verify crates/mine\n  cratedig verify exports/hf\n"
        "  cratedig verify s3://bucket/crate --runner FlinkRunner --beam-options --flink_master=HOST:8081",
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate or of an export")
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from pipeline.crate.crate import Crate
    from pipeline.crate.verify import verify_crate
    from pipeline.curation.tables import stale_tables
    from pipeline.errors import BadInput
    from pipeline.export.export import Export, is_export
    from pipeline.export.verify import verify_export
    from pipeline.storage import Storage

    by_workers = args.workers is not None or args.runner != "local" or bool(args.beam_options)
    if is_export(Storage(args.crate)):
        if by_workers:
            raise BadInput(f"{args.crate} is an export, which one process verifies: leave out --workers and --runner")
        said = verify_export(Export.open(args.crate))
        print("\n".join(said.lines()))
        print("verified: nothing lost" if said.holds else "NOT verified")
        return 0 if said.holds else 1
    crate = Crate.open(args.crate)
    proof = _by_workers(crate, args) if by_workers else verify_crate(crate)
    print("\n".join([*proof.lines(), *stale_tables(crate)]))
    for name, count in sorted(proof.reasons.items()):
        level, _, reason = name.partition(":")
        print(f"  left out, {level}: {reason} {count}")
    print("verified: nothing lost" if proof.holds else "NOT verified")
    return 0 if proof.holds else 1


def _by_workers(crate: Crate, args: argparse.Namespace) -> Proof:
    from beam_jobs.verify import verify_by_job
    from cratedig.view import JobView

    with engine(args) as work, JobView() as view:
        return verify_by_job(crate, work, view.watch)
