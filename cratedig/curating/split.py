"""`cratedig split`: which tracks are trained on, tuned by and tested on, without an artist on two sides."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate
    from pipeline.curation.split import Described, SplitResult

__all__ = ["add_parser"]

_BY = ("artist", "album", "track", "group")
_EXAMPLE = """\
  cratedig split crates/mine --by artist                  splits/artist.parquet: 90 % train, 5 % valid, 5 % test
  cratedig split crates/mine --by groups.csv --name mine  groups of your own: columns track_id (or path) and group
  cratedig train superres16 --crate crates/mine --split artist
  cratedig export hf crates/mine --split artist --out exports/hf"""
_LARGE = 0.2


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "split",
        help="deal tracks to train, valid and test by artist, album or group",
        about="Tracks that belong together stay together: those that share an artist, an album or a double (cratedig "
        "dedup) are one group, and a hash of the group says on which side it is. Where the crate has grown, tracks "
        "that the split knows keep their sides.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate")
    parser.add_argument(
        "--by",
        default="artist",
        metavar="WHAT",
        help="artist (with albums and doubles; default), album (with doubles), group (doubles alone), track, or a CSV "
        "or Parquet file with the columns track_id or path, and group",
    )
    parser.add_argument("--test", type=float, default=0.05, metavar="SHARE", help="of the groups (default: 0.05)")
    parser.add_argument("--valid", type=float, default=0.05, metavar="SHARE", help="of the groups (default: 0.05)")
    parser.add_argument("--name", default="", help="of the split (default: what it is by)")
    parser.add_argument(
        "--max-group", type=float, default=_LARGE, metavar="SHARE", help="of the tracks; an error where one group "
        "holds more, since the shares of the split cannot be kept then (default: 0.2)",
    )  # fmt: skip
    parser.add_argument("--anew", action="store_true", help="deal all tracks again, whatever the split had before")
    parser.add_argument("--dry-run", action="store_true", help="say what it would be, write nothing")


def _run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.crate.crate import Crate
    from pipeline.curation.split import described_tracks, make_split, write_split
    from pipeline.errors import BadInput

    crate = Crate.open(args.crate)
    crate.require_clips()
    tracks = described_tracks(crate)
    groups = None if args.by in _BY else _read_groups(crate, args.by, tracks)
    name = args.name or (args.by if groups is None else Path(args.by).stem)
    if not name.replace("-", "").replace("_", "").isalnum():
        raise BadInput(f"--name {name!r}: expected letters, digits, - and _")
    shares = {"test": args.test, "valid": args.valid}
    split = make_split(crate, tracks, by=args.by, shares=shares, name="" if args.anew else name, groups=groups)
    _say(crate, split, tracks)
    _check_largest(split, tracks, args.max_group)
    if args.dry_run:
        print("dry run: nothing was written")
        return 0
    with crate.storage.lock():
        write_split(crate, name, split.side_of, split.group_of)
    print(f"next: --split {name} of cratedig train and cratedig export")
    return 0


def _read_groups(crate: Crate, name: str, known: Mapping[str, Described]) -> dict[str, str]:
    """track_id -> group; what it names and the crate has not is counted and said."""
    from pathlib import Path

    from pipeline.errors import BadInput
    from pipeline.source.rows import open_table

    if not Path(name).exists() and "://" not in name:
        raise BadInput(f"--by {name!r} is neither {', '.join(_BY)} nor a file")
    table = open_table(name, known=lambda cells: len({"track_id", "path", "group"} & set(cells)))
    key = next((column for column in ("track_id", "path", "source_key") if column in table.columns), "")
    if not key or "group" not in table.columns:
        has = ", ".join(table.columns) or "none"
        raise BadInput(f"{name} has the columns {has}; expected track_id (or path, below the input's root) and group")
    by_key = {str(about.row["source_key"]): track for track, about in known.items()}
    found, unknown = dict[str, str](), 0
    for row in table.rows:
        said = str(row.values.get(key) or "")
        track = said if key == "track_id" else by_key.get(said, "")
        if row.fault or track not in known or not row.values.get("group"):
            unknown += 1
        elif found.setdefault(track, str(row.values["group"])) != str(row.values["group"]):
            raise BadInput(f"{name} row {row.number} puts track {track} into a second group; a track is in one")
    if unknown:
        print(f"{name}: {unknown} rows name no track of the crate, or no group", file=sys.stderr)
    if not found:
        raise BadInput(f"{name} names no track of {crate.storage.url}")
    return found


def _check_largest(split: SplitResult, known: Mapping[str, Described], most: float) -> None:
    """Raises BadInput where one group is too much of a crate; of 20 tracks any artist may be a fifth."""
    from pipeline.errors import BadInput

    share = len(split.largest) / max(len(known), 1)
    if share > most and len(known) > 20:
        artists = sorted({str(known[track].row.get("artist") or "") for track in split.largest} - {""})
        names = f" (of {', '.join(artists[:3])}{' ...' if len(artists) > 3 else ''})" if artists else ""
        raise BadInput(
            f"one group holds {len(split.largest)} of {len(known)} tracks{names}, {share:.0%}, more than --max-group "
            f"{most:g}: where credits tie too much together, --by album or a file of groups of your own tells them "
            f"apart; if it is so, --max-group {math.ceil(100 * share) / 100:g}"
        )


def _say(crate: Crate, split: SplitResult, known: Mapping[str, Described]) -> None:
    from collections import Counter

    from pipeline.curation.split import SIDES

    clips, tracks = Counter[str](), Counter[str]()
    tags: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
    for track, side in split.side_of.items():
        clips[side] += known[track].clips
        tracks[side] += 1
        tags[side].update(str(tag).casefold() for tag in known[track].row.get("tags") or ())
    print(f"{crate.storage.url}: {len(known)} tracks in {sum(split.groups.values())} groups")
    for side in SIDES:
        mix = ", ".join(f"{tag} {n / max(tracks[side], 1):.0%}" for tag, n in tags[side].most_common(5))
        print(f"  {side}: {split.groups[side]} groups, {tracks[side]} tracks, {clips[side]} clips"
              f"{f' ({mix})' if mix else ''}")  # fmt: skip
    share = len(split.largest) / max(len(known), 1)
    print(f"  largest group: {len(split.largest)} tracks, {share:.1%}")
    for what, count in sorted(split.fallback.items()):
        print(f"  {count} tracks name none of what was asked for and were grouped by {what}")
    if split.kept:
        print(f"  {split.kept} tracks were in the split before, {len(split.moved)} of them changed sides")
    for track, before, after in split.moved[:10]:
        print(f"    {track}: {before} to {after}, since a new track ties its group to another")
    for side in SIDES:
        if not tracks[side] and known:
            print(f"warning: {side} is empty: {sum(split.groups.values())} groups are few for these shares",
                  file=sys.stderr)  # fmt: skip
