"""`cratedig clips`: the clips of a planned crate."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import add_command, add_embedder_options, add_engine_options, engine, warn_of_embedder

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    from cratedig.mining.mine import add_reject_option

    parser = add_command(
        subparsers,
        "clips",
        help="decode, cut, embed and write the clips of a planned crate",
        about="Do the shards of a planned crate that are not done. Nothing is labelled.",
        example="  cratedig plan ~/Music --out crates/mine && cratedig clips crates/mine --workers 8",
        run=_run,
    )
    parser.add_argument("crate", help="folder that `cratedig plan` began")
    add_reject_option(parser)
    add_embedder_options(parser, default=None)
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from beam_jobs.clips import ClipsJob
    from beam_jobs.engine import run_job
    from cratedig.mining.mine import retry_rejects
    from cratedig.view import JobView
    from pipeline.crate.crate import Crate
    from pipeline.crate.manifest import shard_counts
    from pipeline.crate.rejects import check_reject_share

    crate = Crate.open(args.crate)
    retry_rejects(args, crate)
    name = args.embedder or crate.embedder_source
    warn_of_embedder(name, args.device)
    with JobView() as view:
        job = ClipsJob(root=args.crate, shard_count=crate.plan.shards, embedder=name, device=args.device)
        run_job(job, engine(args), view.watch(job))
    counts = shard_counts(crate)
    print(f"{counts['clips']} clips of {counts['tracks']} tracks in {args.crate}; next: cratedig label {args.crate}")
    check_reject_share(counts, args.max_reject_share)
    return 0
