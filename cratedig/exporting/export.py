"""`cratedig export`: a crate in the layout that another trainer reads, at its rate and with its channels."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from cratedig.exporting.formats import FORMATS, Format
from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate
    from pipeline.export.export import Export
    from pipeline.export.spec import ExportSpec

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "export",
        help="write a crate as other people's trainers read it",
        description="Write the clips of a crate with their text as one trainer or another reads them. Each format has "
        "its own help. Run it again to go on after an interruption; cratedig verify DIR proves the result.",
        epilog="example:\n  cratedig export hf crates/mine --out exports/hf\n  cratedig export hf --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    formats = parser.add_subparsers(title="formats", metavar="FORMAT", required=True)
    for known in FORMATS:
        _add_format(formats, known)
    _add_reroot(formats)


def _add_format(subparsers: Any, known: Format) -> None:
    parser = add_command(
        subparsers, known.name, help=known.help, about=known.about, example=known.example, run=lambda a: _run(a, known)
    )
    parser.add_argument("crate", help="folder of a crate with labels")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the export; taken up where it was left")
    parser.add_argument("--dry-run", action="store_true", help="say what it would be, write nothing")
    _add_text_options(parser, known)
    if known.layout != "captions":
        _add_audio_options(parser, known)
    _add_choice_options(parser)
    _add_reader_options(parser, known)
    if known.layout == "hf":
        parser.add_argument("--with-embeddings", action="store_true", help="the crate's embeddings as a column")
        _add_token_options(parser)
    add_engine_options(parser)


def _add_text_options(parser: argparse.ArgumentParser, known: Format) -> None:
    group = parser.add_argument_group("text")
    group.add_argument("--labels", default="", metavar="RUN", help="label run (default: the only one)")
    group.add_argument(
        "--captions",
        default=known.captions,
        choices=("one", "all", "joined"),
        help=f"one: the best sentence; all: each of them; joined: sentences and tags in one text (default: "
        f"{known.captions})",
    )
    group.add_argument(
        "--text-slots",
        default="",
        metavar="A,B",
        help="slots that texts come from (default: sentences, else the prompt, tags, metadata)",
    )
    group.add_argument(
        "--redact", default="", metavar="A,B", help="fields left empty: title, artist, album, isrc, tags, source"
    )


def _add_audio_options(parser: argparse.ArgumentParser, known: Format) -> None:
    group = parser.add_argument_group("audio")
    wants = f"{known.rate_hz} Hz, {'stereo' if known.channels == 2 else 'mono'}" if known.rate_hz else "the crate's"
    group.add_argument(
        "--audio",
        metavar="COLUMN",
        help="audio, audio_16k: as the crate holds it; source: cut again from the source files, whose hashes are "
        "checked (default: the crate's where it is enough for the rate and channels wanted, else source)",
    )
    group.add_argument("--rate", type=int, metavar="HZ", help=f"(default: {wants})")
    group.add_argument("--channels", type=int, choices=(1, 2), help=f"(default: {known.channels or 1})")
    group.add_argument(
        "--codec", default=known.codec, choices=("flac", "wav", "opus"), help=f"(default: {known.codec})"
    )
    group.add_argument(
        "--whole-tracks", action="store_true", help="one example a track with the captions of all its clips (source)"
    )
    group.add_argument(
        "--drop-missing",
        action="store_true",
        help="leave out and count clips whose source is gone or changed, instead of stopping",
    )


def _add_token_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("codec tokens")
    group.add_argument(
        "--tokens",
        default="",
        metavar="FOLDER",
        help="also a column of integer codes [codebooks, frames] by the EncodecModel or DacModel in this folder "
        "(transformers, safetensors); the audio then has the codec's rate and channels, from the sources where the "
        "crate has less",
    )
    group.add_argument("--codebooks", type=int, metavar="K", help="keep the first K (default: all)")
    group.add_argument("--device", default="auto", help="of the codec: auto, cpu, cuda, cuda:1 (default: auto)")


def _add_reader_options(parser: argparse.ArgumentParser, known: Format) -> None:
    if known.layout == "folder":
        parser.add_argument(
            "--index",
            default=",".join(known.index),
            metavar="A,B",
            help="lists to write: stable-audio, audiocraft, ace-step, ace-step-1.5, audioldm, tangoflux, "
            f"musicgen-trainer, lhotse (default: {','.join(known.index) or 'none'})",
        )
    if known.layout in ("wds", "folder"):
        parser.add_argument(
            "--root", default="", metavar="PATH", help="where the trainer will find it (default: --out)"
        )
        parser.add_argument(
            "--timing",
            default="clip",
            choices=("clip", "track"),
            help="stable-audio-tools' seconds_start and seconds_total: of the clip (default), or of its track",
        )


def _add_reroot(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "reroot",
        help="write the lists of an export again after it was moved",
        about="Paths in lists are absolute, because trainers want them so. No audio is written.",
        example="  cratedig export reroot /data/musicgen\n  cratedig export reroot exports/musicgen --root /mnt/data",
        run=_reroot,
    )
    parser.add_argument("dir", help="folder of the export, where it is now")
    parser.add_argument("--root", default="", metavar="PATH", help="where the trainer will find it (default: DIR)")


def _reroot(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from pipeline.export.export import Export
    from pipeline.export.finish import finish_export

    export = Export.open(args.dir)
    finished = finish_export(replace(export, spec=export.spec.model_copy(update={"root": args.root})))
    print(f"{len(finished.files)} files of {finished.storage.url} name {args.root or finished.storage.url}")
    return 0


def _add_choice_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which clips")
    group.add_argument(
        "--split",
        default="none",
        metavar="NAME",
        help="a split of the crate, a Parquet or CSV file (track_id, split), or hash:test=.05,valid=.05 (default: "
        "none, all is train)",
    )
    group.add_argument(
        "--licence-allow",
        default="",
        metavar="A,B",
        help="only these, such as CC0-1.0,CC-BY-4.0; unknown is one, too",
    )
    group.add_argument("--require-licence", action="store_true", help="leave out clips whose licence is not known")
    group.add_argument("--allow-duplicates", action="store_true", help="keep tracks that cratedig dedup would not")
    group.add_argument("--allow-contaminated", action="store_true", help="keep tracks that are in an evaluation set")


def _run(args: argparse.Namespace, known: Format) -> int:
    from pipeline.crate.crate import Crate, read_run
    from pipeline.curation.tables import looked_at, stale_tables
    from pipeline.export.select import check_split
    from pipeline.export.texts import Slots

    crate = Crate.open(args.crate)
    crate.require_clips()
    spec = _spec(args, known, crate)
    check_split(crate, spec)
    looks_at = looked_at(crate, spec.split, spec.allow_duplicates, spec.allow_contaminated)
    for line in stale_tables(crate, looks_at):
        print(f"warning: {line}", file=sys.stderr)
    Slots.of_run(read_run(crate, spec.labels), spec.labels, spec.text_slots)
    if args.dry_run:
        from pipeline.export.estimate import estimate_export

        print("\n".join(estimate_export(crate, spec).lines()))
        return 0
    from beam_jobs.export import export_crate
    from cratedig.view import JobView

    missing = "drop" if getattr(args, "drop_missing", False) else "stop"
    with engine(args) as work, JobView() as view:
        export = export_crate(
            crate, args.out, spec, engine=work, missing_sources=missing, watch=view.watch,
            tokens=getattr(args, "tokens", ""), device=getattr(args, "device", "cpu"),
        )  # fmt: skip
    say_result(export)
    return 0


def _spec(args: argparse.Namespace, known: Format, crate: Crate) -> ExportSpec:
    """Raises BadInput for options that contradict each other, or ask for what the crate has not."""
    from pydantic import ValidationError

    from pipeline.crate.dataset import the_label_run
    from pipeline.errors import BadInput
    from pipeline.export.resolve import choose_audio
    from pipeline.export.spec import ExportSpec

    values: dict[str, Any] = {
        "layout": known.layout,
        "labels": the_label_run(crate, args.labels),
        "captions": args.captions,
        "text_slots": _listed(args.text_slots),
        "redact": _listed(args.redact),
        "split": args.split,
        "licence_allow": _licences(args.licence_allow),
        "require_licence": args.require_licence,
        "allow_duplicates": args.allow_duplicates,
        "allow_contaminated": args.allow_contaminated,
        "with_embeddings": getattr(args, "with_embeddings", False),
        "index": _listed(getattr(args, "index", "")),
        "root": getattr(args, "root", ""),
        "timing": getattr(args, "timing", "clip"),
    }
    codec = None
    if tokens := getattr(args, "tokens", ""):
        from pipeline.export.tokens.codec import read_codec

        codec = read_codec(tokens, args.codebooks)
    elif getattr(args, "codebooks", None) is not None:
        raise BadInput("--codebooks needs --tokens FOLDER, the codec whose codebooks they are")
    if known.layout != "captions":
        whole = args.whole_tracks and args.audio is None
        audio = choose_audio(
            crate,
            audio="source" if whole else args.audio,
            rate_hz=args.rate or (codec.rate_hz if codec else None),
            channels=args.channels or (codec.channels if codec else None),
            wants_hz=known.rate_hz,
            wants_channels=known.channels,
            reader="this codec" if codec else known.name,
        )
        values |= {"audio": audio.audio, "rate_hz": audio.rate_hz, "channels": audio.channels}
        values |= {"codec": args.codec, "whole_tracks": args.whole_tracks, "tokens": codec}
    try:
        return ExportSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))} = {first['input']!r}: " if first["loc"] else ""
        raise BadInput(place + str(first["msg"]).removeprefix("Value error, ")) from error


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _licences(text: str) -> tuple[str, ...]:
    from pipeline.errors import BadInput
    from pipeline.source.licence import spdx

    found = []
    for given in _listed(text):
        if not spdx(given) and given != "unknown":
            raise BadInput(
                f"--licence-allow {given!r} is no SPDX identifier; expected such as CC0-1.0,CC-BY-4.0, or unknown"
            )
        found.append(spdx(given) or given)
    return tuple(sorted(found))


def say_result(export: Export) -> None:
    """What was written, what was left out, and three examples as they lie in the files."""
    from pipeline.export.card import licence_notes, named
    from pipeline.export.proof_reading import read_back

    counts, spec = Counter(export.counts), export.spec
    unit = "tracks" if spec.whole_tracks else "clips"
    print(f"{counts['clips']} {unit}, {counts['milliseconds'] / 3.6e6:.2f} hours, in {export.storage.url}")
    for why, count in named(counts, "dropped:").items():
        print(f"  left out, {why}: {count} clips")
    if count := counts["above-source-rate"]:
        print(f"  {count} {unit} come from sources below {spec.rate_hz} Hz: nothing is in them above what those hold")
    if count := counts["mono-source"]:
        print(f"  {count} {unit} come from mono sources: both their channels are alike")
    for note in licence_notes(counts):
        print(f"  licence: {note}")
    for line in read_back(export):
        print(f"  {line}")
    print(f"next: cratedig verify {export.storage.url}")
