"""`cratedig mulamcap`: the music of AudioSet in a folder of its clips, as lists to mine."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command

if TYPE_CHECKING:
    from pipeline.curation.mulamcap import Found
    from pipeline.source.listing import Listing

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig mulamcap audioset/ --segments balanced_train_segments.csv,eval_segments.csv \\
      --ontology ontology.json --out mulamcap
  cratedig mine mulamcap/train.parquet --out crates/mulamcap --profile mulamcap --clips-per-track 1 --short-clip pad"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "mulamcap",
        help="find AudioSet's music in a folder of its clips",
        about="Reads AudioSet's own lists and a folder of clips under any of the names that people give them (ID, YID, "
        "ID_START_END in seconds or milliseconds, [ID]-[START-END], a folder a label, Parquet with a column video_id), "
        "and writes train.parquet and test.parquet to mine, missing.csv, and mulamcap.json with what was found. Which "
        "clips are music is said by a set of labels; test is the evaluation list. The lists are yours to bring.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("folder", help="folder of clips, or anything else that cratedig mine lists")
    parser.add_argument("--segments", required=True, metavar="A,B", help="AudioSet's lists; one with eval in its name "
                        "is the test side")  # fmt: skip
    parser.add_argument("--ontology", metavar="FILE", help="AudioSet's ontology.json; checks and completes labels")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the lists")
    parser.add_argument(
        "--labels", default="appendix-d", metavar="WHICH", help="appendix-d (the paper's; default), subtree (Music and "
        "all below it), music (that label alone), or a CSV file with the columns mid and name",
    )  # fmt: skip
    parser.add_argument("--musiccaps", metavar="FILE", help="MusicCaps' CSV: its clips are marked and counted")
    parser.add_argument("--exclude-musiccaps", action="store_true", help="leave MusicCaps' clips out")
    parser.add_argument("--min-coverage", type=float, default=0.0, metavar="SHARE", help="exit 1 below it (default: 0)")
    parser.add_argument("--dry-run", action="store_true", help="say what was found, write nothing")


def _run(args: argparse.Namespace) -> int:
    from pipeline.curation.audioset import read_labels, read_ontology, read_segments
    from pipeline.curation.mulamcap import match, write_lists
    from pipeline.errors import BadInput
    from pipeline.source.listing import list_input
    from pipeline.storage import Storage

    if args.exclude_musiccaps and not args.musiccaps:
        raise BadInput(
            "--exclude-musiccaps needs --musiccaps FILE, MusicCaps' own CSV, which says which clips those are"
        )
    lists = [name.strip() for name in args.segments.split(",") if name.strip()]
    segments = read_segments(lists)
    ontology = read_ontology(args.ontology) if args.ontology else {}
    labels = read_labels(args.labels, ontology)
    musiccaps = _musiccaps(args.musiccaps) if args.musiccaps else frozenset[str]()
    listing = list_input(args.folder)
    found = match(listing.tracks, segments, labels, musiccaps=musiccaps, exclude_musiccaps=args.exclude_musiccaps)
    _say(found, listing)
    if args.labels == "subtree":
        _say_beyond(labels)
    if not args.dry_run:
        said = {"labels_from": args.labels, "exclude_musiccaps": args.exclude_musiccaps, "segments": len(segments)}
        write_lists(Storage(args.out), found, segments, labels, said, musiccaps=musiccaps)
        print(f"next: cratedig mine {args.out}/train.parquet --out CRATE --profile mulamcap --clips-per-track 1 "
              "--short-clip pad")  # fmt: skip
    if found.coverage < args.min_coverage:
        print(f"cratedig: {found.coverage:.1%} of the listed music is there, less than --min-coverage "
              f"{args.min_coverage:g}; missing.csv has the ids", file=sys.stderr)  # fmt: skip
        return 1
    return 0


def _musiccaps(name: str) -> frozenset[str]:
    from pathlib import Path

    from pipeline.errors import BadInput
    from pipeline.source.rows import open_table

    if not Path(name).is_file():
        raise BadInput(f"--musiccaps {name} is not there; give MusicCaps' own CSV, musiccaps-public.csv")
    table = open_table(name)
    if "ytid" not in table.columns:
        raise BadInput(f"--musiccaps {name} has the columns {', '.join(table.columns)}; expected ytid among them")
    return frozenset(str(row.values["ytid"]) for row in table.rows if not row.fault)


def _say(found: Found, listing: Listing) -> None:
    for split in sorted(found.listed):
        lacking = len(found.missing[split])
        print(f"{split}: {found.listed[split]} listed, {found.listed[split] - lacking} found, {lacking} missing")
    print(f"files: {found.files.total()}" + "".join(f", {n} {why}" for why, n in sorted(found.files.items())))
    for why, names in sorted(found.examples.items()):
        print(f"  {why}: {', '.join(names)}{' ...' if found.files[why] > len(names) else ''}")
    if listing.ignored:
        print("  not audio: " + ", ".join(f"{n} {what}" for what, n in sorted(listing.ignored.items())))
    empty = [name for name, (listed, there) in found.by_label.items() if listed and not there]
    if empty and found.paths:
        print(f"  {len(empty)} labels without a clip: {', '.join(empty[:8])}{' ...' if len(empty) > 8 else ''}")
    print(f"coverage: {found.coverage:.1%}")


def _say_beyond(labels: dict[str, str]) -> None:
    """What the subtree has and the paper's labels have not is mostly no music of its own."""
    from pipeline.curation.audioset import read_labels

    beyond = sorted(name for mid, name in labels.items() if mid not in read_labels("appendix-d", {}))
    print(f"  {len(beyond)} labels that the paper's list has not: {', '.join(beyond)}")
