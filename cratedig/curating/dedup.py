"""`cratedig dedup`: which tracks of a crate are one recording."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate
    from pipeline.curation.doubles import Doubles

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig dedup crates/mine --dry-run      the groups, best track first
  cratedig dedup crates/mine                dedup/groups.parquet, which export, split and train read"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "dedup",
        help="find tracks that are one recording",
        about="Finds copies: equal files, equal samples, and the same recording after other codecs, rates, gain, a "
        "shift, filters or noise. Embeddings find candidates, a fingerprint of the sound and the waveform decide. "
        "Nothing is deleted: export and train leave out all but the best of a group, split keeps a group on one side. "
        "Other takes, mixes and speeds are other recordings.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate")
    parser.add_argument("--threshold", type=float, metavar="SHARE", help="bits that may differ (default: 0.3)")
    parser.add_argument("--cosine", type=float, metavar="X", help="embeddings this near are compared (default: 0.75)")
    parser.add_argument(
        "--keep", default="best", choices=("best", "first"), help="best (default): longest, highest rate, lossless, "
        "least clipped; first: by id",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what was found, write nothing")


def _run(args: argparse.Namespace) -> int:
    from pipeline.crate.crate import Crate
    from pipeline.curation.doubles import COSINE, ERROR, find_doubles, write_doubles
    from pipeline.errors import BadInput

    error = ERROR if args.threshold is None else args.threshold
    cosine = COSINE if args.cosine is None else args.cosine
    if not 0 <= error < 0.45:
        raise BadInput(f"--threshold {error:g}: expected 0 to 0.45; half the bits of any two songs differ")
    if not -1 <= cosine <= 1:
        raise BadInput(f"--cosine {cosine:g}: expected a cosine, such as {COSINE}")
    crate = Crate.open(args.crate)
    crate.require_clips()
    doubles = find_doubles(crate, cosine=cosine, error=error, keep=args.keep, say=_progress)
    if not args.dry_run:
        with crate.storage.lock():
            write_doubles(crate, doubles)
    _say(crate, doubles)
    print(
        "dry run: nothing was written" if args.dry_run else "groups: dedup/groups.parquet; pairs: dedup/pairs.parquet"
    )
    return 0


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say(crate: Crate, doubles: Doubles) -> None:
    from pipeline.curation.split import described_tracks

    spare = sum(len(members) - 1 for _, members in doubles.groups.values())
    print(f"{crate.storage.url}: {doubles.tracks} tracks, {doubles.clips} clips; {doubles.candidates} pairs of clips "
          "were compared")  # fmt: skip
    print(f"  {len(doubles.groups)} groups of doubles; {spare} tracks are copies of one that is kept")
    for rule, count in sorted(doubles.rules.items()):
        print(f"  {count} pairs by {rule}")
    if doubles.crowded:
        print(f"  {doubles.crowded} clips may have more neighbours than the 24 compared; see --cosine")
    if doubles.apart:
        print(f"  {doubles.apart} pairs of clips have the same notes, not the same waveform: other mixes, left apart")
    known = described_tracks(crate) if doubles.groups else {}
    for best, members in list(doubles.groups.values())[:20]:
        names = [str(known[track].row["source_key"]) for track in (best, *(m for m in members if m != best))]
        print(f"  keep {names[0]}; double: {', '.join(names[1:6])}{' ...' if len(names) > 6 else ''}")
    if len(doubles.groups) > 20:
        print(f"  ... and {len(doubles.groups) - 20} groups more")
