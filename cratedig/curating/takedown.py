"""`cratedig takedown`: tracks out of a crate for good, and not back in under another name."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate
    from pipeline.curation.takedown import Known
    from pipeline.export.export import Export

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig takedown crates/mine --artist "Somebody" --reason artist --dry-run
  cratedig takedown crates/mine --path "album/03 song.mp3" --reason licence --yes
  cratedig takedown crates/mine --list other-crate/removed.parquet --reason upstream --yes
  cratedig takedown crates/mine --track t11c098e8147f16574608 --reason request --exports exports/hf exports/wds
  cratedig takedown exports/hf --list removed.parquet       an export whose crate is elsewhere
  cratedig takedown crates/mine --resume        finish one that was interrupted"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "takedown",
        help="take tracks out of a crate for good",
        about="Take tracks out: audio, captions, names, in clips, rejects, labels, candidates, plan, page and encoded "
        "texts. All files with the same bytes go together. What is left is an id and hashes in removed.parquet, which "
        "keep the track from being mined again, under this name or another. The other clips and their captions stay as "
        "they are, byte for byte; labels drawn later are drawn by the new counts. Safe to kill: --resume finishes it.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate, or of an export that is apart from its crate")
    which = parser.add_argument_group("which tracks (each may be given several times)")
    for option, what in (
        ("--track", "track id"),
        ("--source-sha256", "sha256 of the file that the track was cut from"),
        ("--artist", "artist, as the list or the file has it; capitals do not matter"),
        ("--path", "the track's name below the input's root (source_key)"),
        ("--ytid", "id of a video, as it stands in the track's name"),
        ("--list", "file of ids: removed.parquet of another crate, CSV or Parquet with a column track_id or "
                   "source_sha256, or text with one id a line"),
    ):  # fmt: skip
        which.add_argument(option, action="append", default=[], metavar="X", help=what)
    parser.add_argument(
        "--exports", nargs="+", default=[], metavar="DIR", help="exports of the crate that lose its removed tracks, too"
    )
    parser.add_argument("--reason", default="", metavar="CODE", help="a word for the list, such as artist, licence")
    parser.add_argument("--date", default="", metavar="DAY", help="for the list (default: none; no clock is asked)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken out, write nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--resume", action="store_true", help="finish a takedown that was interrupted")


def _run(args: argparse.Namespace) -> int:
    from cratedig.finish import follow_takedown, take_down_all
    from pipeline.crate.crate import Crate
    from pipeline.crate.removed import JOURNAL, read_removed
    from pipeline.curation.choose import choose
    from pipeline.curation.takedown import known_tracks, with_copies
    from pipeline.errors import BadInput
    from pipeline.export.export import Export, is_export
    from pipeline.storage import Storage

    if is_export(Storage(args.crate)):
        return _from_export(args)
    crate = Crate.open(args.crate)
    exports = [Export.open(folder) for folder in args.exports]  # a wrong one is said before anything is taken out
    if crate.storage.exists(JOURNAL):
        if args.dry_run:
            raise BadInput(f"a takedown of {args.crate} was begun and not finished; finish it: --resume")
        print("a takedown that was interrupted is finished first")
        crate = follow_takedown(crate)
        _follow(crate, exports)
    if args.resume:
        _follow(crate, exports)
        print(f"nothing is left to do; {crate.removed} tracks are taken down in all")
        return 0
    if not args.reason and not args.dry_run:
        raise BadInput("a takedown needs --reason, a word such as artist, licence, request")
    known = known_tracks(crate)
    chosen = choose(
        known,
        tracks=args.track,
        hashes=args.source_sha256,
        artists=args.artist,
        keys=args.path,
        ytids=args.ytid,
        lists=args.list,
        removed={removal.track_id for removal in read_removed(crate.storage)},
    )
    all_names = with_copies(known, chosen)
    _say(crate, known, sorted(chosen), sorted(all_names))
    if args.dry_run:
        print("dry run: nothing was written")
        return 0
    if not all_names:
        _follow(crate, exports)
        return 0
    if not args.yes and not _agreed():
        print("nothing was written")
        return 1
    take_down_all(crate, known, all_names, reason=args.reason, date=args.date)
    _follow(Crate.open(args.crate), exports)
    return 0


def _follow(crate: Crate, exports: list[Export]) -> None:
    """The crate's exports lose every track that it has lost."""
    from pipeline.crate.manifest import hash_by_markers
    from pipeline.crate.removed import read_removed
    from pipeline.export.export import shard_hashes
    from pipeline.export.takedown import remove_tracks

    removed = [removal.track_id for removal in read_removed(crate.storage)]
    for export in exports:
        hash_of, content = shard_hashes(crate, export.spec), hash_by_markers(crate)
        left = remove_tracks(export, removed, hash_of=hash_of, content_hash=content)
        print(f"{left.storage.url}: {left.counts.get('clips', 0)} clips left")


def _from_export(args: argparse.Namespace) -> int:
    """An export alone: its tracks are known by id."""
    from pipeline.curation.choose import read_list
    from pipeline.errors import BadInput
    from pipeline.export.export import Export
    from pipeline.export.takedown import remove_tracks

    if args.artist or args.path or args.ytid or args.source_sha256:
        raise BadInput(f"{args.crate} is an export, whose tracks are known by id alone: give --track or --list")
    ids = {*args.track, *(track for file in args.list for track in read_list(file)[0])}
    if args.dry_run:
        raise BadInput("a dry run of a takedown needs the crate; an export can only be asked for")
    left = remove_tracks(Export.open(args.crate), ids)
    print(
        f"{left.storage.url}: {left.counts.get('clips', 0)} clips left, {left.counts['dropped:removed']} removed in all"
    )
    return 0


def _say(crate: Crate, known: dict[str, Known], chosen: list[str], every: list[str]) -> None:
    clips, seconds = sum(known[t].clips for t in every), sum(known[t].seconds for t in every)
    print(f"{crate.storage.url}: {len(every)} tracks, {clips} clips, {seconds / 3600:.2f} hours to be taken out")
    if len(every) > len(chosen):
        print(f"  {len(every) - len(chosen)} of them have the bytes of the others under another name")
    for track in every[:20]:
        print(f"  {track} {known[track].track.key}")
    if len(every) > 20:
        print(f"  ... and {len(every) - 20} more")


def _agreed() -> bool:
    from pipeline.errors import BadInput

    if not sys.stdin.isatty():
        raise BadInput("a takedown cannot be undone; say --yes where nobody can be asked")
    return input("take them out for good? [y/N] ").strip().casefold() in ("y", "yes")
