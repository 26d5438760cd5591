"""`cratedig clips`: the clips of a planned crate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cratedig.options import (
    add_command,
    add_embedder_options,
    add_engine_options,
    add_part_option,
    engine,
    warn_of_embedder,
)

if TYPE_CHECKING:
    from collections import Counter

    from beam_jobs.engine import Engine
    from cratedig.view import JobView
    from pipeline.crate.crate import Crate

__all__ = ["add_parser", "add_reject_option", "do_clips", "retry_rejects"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "clips",
        help="decode, cut, embed and write the clips of a planned crate",
        about="Do the shards of a planned crate that are not done. Nothing is labelled.",
        example="  cratedig plan ~/Music --out crates/mine && cratedig clips crates/mine --workers 8\n"
        "  cratedig clips /shared/crate --part 3/64      # one task of 64; afterwards once without --part, then label",
        run=_run,
    )
    parser.add_argument("crate", help="folder that `cratedig plan` began")
    add_reject_option(parser)
    add_part_option(parser)
    add_embedder_options(parser, default=None)
    add_engine_options(parser)


def add_reject_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-reject-share",
        type=float,
        default=0.2,
        metavar="X",
        help="the run fails, and labels nothing, when more of the tracks, or of the clips, were rejected (default: "
        "0.2); up to 0.5 it also stops early when the first 20 tracks were all rejected for the same reason",
    )
    parser.add_argument(
        "--retry-rejects",
        action="store_true",
        help="do the shards with rejected tracks again, after mending the files; labels are made anew",
    )


def retry_rejects(args: argparse.Namespace, crate: Crate) -> None:
    """What --retry-rejects asks for, and what it did."""
    if args.retry_rejects:
        reopened = crate.retry_rejects()
        print(
            f"shards with rejected tracks, done again: {len(reopened)}" + ("; labels are removed" if reopened else "")
        )


def do_clips(
    crate: Crate, embedder: str, device: str, work: Engine, view: JobView, max_reject_share: float
) -> Counter[str]:
    """Do the shards of clips that are not done; returns the counts of all.

    Tracks that met an outage of their source in an earlier run are among what is not done. Raises TooManyRejects early
    where the first tracks show that the rest is not worth waiting for, and Outage where tracks are left that met one.
    """
    from beam_jobs.clips import ClipsJob
    from beam_jobs.engine import run_job
    from pipeline.crate.manifest import shard_counts
    from pipeline.crate.rejects import FirstTracks, check_outages
    from pipeline.remote import absolute
    from pipeline.source.fetch import OUTAGE

    if reopened := crate.retry_rejects(OUTAGE):
        view.say(f"{len(reopened)} shards have tracks whose source did not answer; they are done again")
    job = ClipsJob(
        root=crate.storage.url,
        pours=crate.pour_shards,
        embedder=absolute(embedder) if Path(embedder).is_dir() else embedder,
        device=device,
    )
    first, show = FirstTracks(crate, max_reject_share), view.watch(job)

    def on_tick(ended: bool) -> None:
        show(ended)
        if not ended:
            first.check()

    run_job(job, work, on_tick)
    first.check(now=True)
    counts = shard_counts(crate)
    if counts[f"track:{OUTAGE}"]:
        check_outages(crate, OUTAGE)
    return counts


def do_part(crate: Crate, embedder: str, device: str, work: Engine, view: JobView) -> int:
    """Do the engine's part of the clips; returns how many shards that were. Rejects are judged over all, later."""
    from beam_jobs.clips import ClipsJob
    from beam_jobs.engine import run_job

    job = ClipsJob(root=crate.storage.url, pours=crate.pour_shards, embedder=embedder, device=device)
    return run_job(job, work, view.watch(work.share(job)))


def _run(args: argparse.Namespace) -> int:
    from cratedig.view import JobView
    from labeling.weak import said_of, weak_clips
    from pipeline.crate.crate import Crate
    from pipeline.crate.rejects import check_reject_share
    from pipeline.errors import BadInput
    from pipeline.publishing.card import write_card

    work = engine(args)
    crate = Crate.open(args.crate)
    crate.require_settled()
    if work.part is not None:
        if args.retry_rejects:
            raise BadInput("--retry-rejects is about the whole crate; give it once, without --part")
        with JobView() as view:
            done = do_part(crate, args.embedder or crate.embedder_source, args.device, work, view)
        print(f"part {work.part}: {done} shards done; when all parts are: cratedig clips {args.crate}")
        return 0
    retry_rejects(args, crate)
    name = args.embedder or crate.embedder_source
    warn_of_embedder(name, args.device)
    with JobView() as view:
        counts = do_clips(crate, name, args.device, work, view, args.max_reject_share)
        for line in said_of(crate, weak_clips(crate, name)):
            view.say(line)
    if crate.storage.exists("README.md"):
        write_card(crate)  # the one that is there names the rows of the crate before it grew
    print(f"{counts['clips']} clips of {counts['tracks']} tracks in {args.crate}; next: cratedig label {args.crate}")
    check_reject_share(counts, args.max_reject_share)
    return 0
