"""`cratedig decontaminate`: which tracks of a crate stand in a set that models are evaluated on."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command

if TYPE_CHECKING:
    from pipeline.curation.contamination import Contamination, Heard

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig decontaminate crates/mine --against musiccaps --list musiccaps-public.csv --audio musiccaps/
  cratedig decontaminate crates/mine --against mtat --list clip_info_final.csv
  cratedig decontaminate crates/mine --against our-test-set.csv"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "decontaminate",
        help="find tracks that stand in an evaluation set",
        about="Looks for the tracks of an evaluation set by ids in names and metadata, by title and artist, and by "
        "sound where the set's audio is given. What is found stands in decontaminate/NAME.parquet: export and train "
        "leave those tracks out (--allow-contaminated takes them). The sets' lists are yours to bring.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate")
    parser.add_argument(
        "--against", required=True, metavar="SET", help="musiccaps, audioset-eval, mtat, song-describer, or a list "
        "(CSV, TSV, JSON lines, Parquet) with ytid, track_id, isrc, mbid, path, or title and artist",
    )  # fmt: skip
    parser.add_argument("--list", action="append", default=[], metavar="FILE", help="the set's list as it is published")
    parser.add_argument(
        "--audio", metavar="FOLDER", help="the set's audio: every clip of the crate is compared with it"
    )
    parser.add_argument("--threshold", type=float, metavar="SHARE", help="bits that may differ (default: 0.3)")
    parser.add_argument("--name", default="", help="of the table (default: the set's)")
    parser.add_argument("--dry-run", action="store_true", help="say what was found, write nothing")


def _run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline.crate.crate import Crate
    from pipeline.curation.contamination import find_contamination, hear, write_contamination
    from pipeline.curation.doubles import ERROR
    from pipeline.curation.evaluation import SETS, read_evaluation
    from pipeline.errors import BadInput
    from pipeline.source.listing import list_input

    known = args.against in SETS
    name = args.name or (args.against if known else Path(args.against).stem)
    error = ERROR if args.threshold is None else args.threshold
    if not name.replace("-", "").replace("_", "").isalnum():
        raise BadInput(f"--name {name!r}: expected letters, digits, - and _")
    if not 0 <= error < 0.45:
        raise BadInput(f"--threshold {error:g}: expected 0 to 0.45; half the bits of any two songs differ")
    if not known and not Path(args.against).is_file():
        raise BadInput(f"--against {args.against!r} is neither {', '.join(SETS)} nor a file")
    lists = args.list if known else [args.against, *args.list]
    if not lists and not args.audio:
        raise BadInput(f"--against {args.against} needs the set itself: its --list FILE, its --audio FOLDER, or both")
    crate = Crate.open(args.crate)
    crate.require_clips()
    evaluation = read_evaluation(args.against, lists)
    heard: Heard | None = None
    if args.audio:
        heard = hear(crate, list_input(args.audio).tracks, say=_progress)
    found = find_contamination(crate, evaluation, heard, error=error, say=_progress)
    if lists:
        print(f"{name}: {evaluation.rows} rows with {', '.join(evaluation.says) or 'nothing to look for'}")
    _say(found, heard)
    if args.dry_run:
        print("dry run: nothing was written")
        return 0
    with crate.storage.lock():
        write_contamination(crate, name, found)
    print(f"table: decontaminate/{name}.parquet; cratedig export and cratedig train leave these tracks out")
    return 0


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say(found: Contamination, heard: Heard | None) -> None:
    rules = "".join(f", {n} by {rule}" for rule, n in sorted(found.rules.items()))
    print(f"{len(found.found)} of {found.tracks} tracks stand in the set{rules}")
    for track, (rule, reference, error) in sorted(found.found.items())[:10]:
        print(f"  {track} is {reference} ({rule}{'' if error is None else f', {error:.1%} of bits differ'})")
    if len(found.found) > 10:
        print(f"  ... and {len(found.found) - 10} more")
    if heard is None:
        print("checked by id and name only: copies under other names are not found; give the set's --audio")
        return
    print(f"compared by sound with {len(heard.names)} files of the set")
    for name, why in heard.failed[:5]:
        print(f"  not listened to: {name} ({why})")
    if len(heard.failed) > 5:
        print(f"  ... and {len(heard.failed) - 5} files more")
