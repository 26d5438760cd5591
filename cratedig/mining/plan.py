"""`cratedig plan`: which tracks make which shard, fixed before any work."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from cratedig.options import add_clip_options, add_command, add_embedder_options, clips_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config import ClipsConfig
    from pipeline.crate.crate import Crate
    from pipeline.crate.growth import Compared
    from pipeline.source.listing import Listing

__all__ = ["add_parser", "open_plan", "print_dry_run"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "plan",
        help="list the input and fix which tracks make which shard",
        about="List the input, order it by stable ids and fix the shards; nothing is decoded. With --dry-run nothing "
        "is written either: a few tracks are decoded to estimate hours, clips and bytes.",
        example="  cratedig plan ~/Music --out crates/mine\n  cratedig plan songs.csv --dry-run",
        run=_run,
    )
    parser.add_argument(
        "input",
        help="folder, glob, audio file, or a list (CSV, JSON lines, M3U, text, Parquet; see docs/input.md)",
    )
    parser.add_argument("--out", metavar="CRATE", help="folder of the dataset (not needed with --dry-run)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    add_clip_options(parser)
    add_embedder_options(parser)


def _run(args: argparse.Namespace) -> int:
    from pipeline.errors import BadInput

    config = clips_config(args)
    if args.dry_run:
        print_dry_run(args, config)
        return 0
    if not args.out:
        raise BadInput("plan needs --out CRATE, or --dry-run to write nothing")
    crate, _ = open_plan(args, config)
    print(f"next: cratedig clips {crate.storage.url}")
    return 0


def open_plan(
    args: argparse.Namespace, config: ClipsConfig, *, ready: Callable[[], None] = lambda: None
) -> tuple[Crate, Compared]:
    """List the input and begin its crate, or pour what is new into the one that stands; and what was compared.

    ready: called when all that can be refused by reading a few files was not, and before anything is written.
    """
    from labeling.embedders.by_name import embedder_card
    from pipeline.crate.crate import Crate
    from pipeline.crate.growth import pour
    from pipeline.installation import deciding_versions
    from pipeline.source.listing import list_input
    from pipeline.storage import Storage

    listing = list_input(args.input)
    card = embedder_card(args.embedder)
    crate = Crate.begin(Storage(args.out), config, card, embedder_source=args.embedder)
    ready()
    shards = len(crate.shards)
    crate, found = pour(crate, listing, tracks_per_shard=args.tracks_per_shard)
    _print_listing(listing, found, len(crate.shards) - shards)
    now, then = deciding_versions(), crate.made_with
    if others := [f"{name} {old}, now {now.get(name, 'none')}" for name, old in then.items() if now.get(name) != old]:
        print(f"warning: begun with {'; '.join(others)}: what is made now may have other last bits", file=sys.stderr)
    return crate, found


def print_dry_run(args: argparse.Namespace, config: ClipsConfig) -> None:
    """What would be done, with an estimate from a few tracks."""
    from dataclasses import replace

    from pipeline.crate.crate import Crate
    from pipeline.crate.growth import Compared, compare
    from pipeline.crate.plan import shard_count
    from pipeline.estimate import estimate
    from pipeline.source.listing import list_input
    from pipeline.storage import Storage

    listing = list_input(args.input)
    compared = Compared(new=listing.tracks)
    if args.out and (storage := Storage(args.out)).exists("crate.json"):
        compared = compare(Crate.open(storage.url), listing)
    _print_listing(listing, compared, shard_count(len(compared.new), args.tracks_per_shard))
    if not compared.new:
        print("dry run: nothing was written")
        return
    found = estimate(replace(listing, tracks=compared.new), config)
    print(
        f"estimate from {found.sampled} tracks: {found.hours:.2f} h of audio, {found.clips:,} clips of "
        f"{config.clip_s:g} s ({found.clips * config.clip_s / 3600:.2f} h), {_size(found.bytes)}"
    )
    print(f"about {found.worker_seconds:.0f} s of one worker for decoding and encoding, embedding not counted")
    for reason, count in sorted(found.rejects.items()):
        print(f"  left out in the sample: {reason} {count}")
    print("dry run: nothing was written")


def _print_listing(listing: Listing, found: Compared, shards: int) -> None:
    new = "" if len(found.new) == len(listing.tracks) else f", {len(found.new):,} of them new,"
    print(f"input {listing.source}: {len(listing.tracks):,} tracks{new} in {shards:,} shards")
    for line in found.lines():
        print(f"  {line}")
    if listing.columns:
        print("  read as " + ", ".join(f"{field}: {column}" for field, column in listing.columns.items()))
    if listing.unused_columns:
        seen = ", ".join(f"{column!r} ({field}?)" for column, field in listing.unused_columns.items())
        print(f"  columns that look like known ones and are only kept in extra: {seen}")
    if listing.ignored:
        seen = ", ".join(f"{kind} {count}" for kind, count in sorted(listing.ignored.items()))
        print(f"  no tracks, ignored: {seen}")
    if listing.repeated_rows:
        print(f"  rows that repeat an earlier row, ignored: {listing.repeated_rows}")
    for reason, count in sorted(Counter(reject.reason for reject in listing.rejects).items()):
        first = next(reject.detail for reject in listing.rejects if reject.reason == reason)
        print(f"  rows left out, {reason}: {count} (such as {first})")
    for note in listing.notes:
        print(f"  note: {note}")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
