"""`cratedig evaluate sets`: how far one set of audio is from another."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cratedig.evaluating.shared import add_encoder_options, add_out_options, cache, figure, write_page
from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from beam_jobs.engine import Engine
    from cratedig.view import JobView
    from labeling.evaluation.clip_sets import ClipSet
    from labeling.evaluation.compare import Comparison, Side

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig evaluate sets crates/mine generated/                      what was generated, against a crate
  cratedig evaluate sets crates/mine#artists/train crates/mine#artists/test
  cratedig evaluate sets reference.npz generated/ --encoder models/vggish --encoder bundled"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "sets",
        help="distance between two sets of audio",
        about="Fréchet distance, its extrapolation to infinitely many clips, kernel distance, precision and coverage "
        "of a SET against a REFERENCE, by one encoder or several, with the strangest clips to listen to. A set is a "
        "crate (CRATE#SPLIT/PART for one side of a split), a folder, glob or list of audio, or an .npz of statistics "
        "(fadtk's too).",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("reference", metavar="REFERENCE", help="what is taken as good")
    parser.add_argument("set", metavar="SET", help="what is judged")
    parser.add_argument(
        "--clip-seconds", type=float, metavar="S", help="into which files are cut (default: a crate's, else 10)"
    )
    parser.add_argument(
        "--rate", type=int, default=0, metavar="HZ", help="bring both sets to this rate first (default: the encoder's)"
    )
    parser.add_argument("--small", action="store_true", help="also sets too small for a covariance")
    add_out_options(parser, "evaluation/sets")
    add_encoder_options(parser)
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from cratedig.view import JobView
    from labeling.encoders.by_name import encoder_card
    from labeling.evaluation.clip_sets import CrateSet, FileSet, files_config, open_set
    from labeling.evaluation.compare import compare_sets
    from labeling.evaluation.encoded import file_name
    from labeling.evaluation.moments import write_moments
    from labeling.evaluation.page import players, render
    from pipeline.errors import BadInput
    from pipeline.storage import Storage

    if args.rate and not 4_000 <= args.rate <= 192_000:
        raise BadInput(f"--rate {args.rate}: expected 4000 to 192000 Hz")
    if args.clip_seconds is not None and not 0.5 <= args.clip_seconds <= 600:
        raise BadInput(f"--clip-seconds {args.clip_seconds:g}: expected 0.5 to 600")
    sources = [args.reference, args.set]
    sets = {source: None if source.endswith(".npz") else open_set(source) for source in sources}
    clip_s = args.clip_seconds or next((s.crate.config.clip_s for s in sets.values() if isinstance(s, CrateSet)), 10.0)
    for source, found_set in sets.items():
        if isinstance(found_set, FileSet):
            sets[source] = replace(found_set, config=files_config(clip_s))
    found: list[tuple[Comparison, list[Side]]] = []
    with engine(args) as work, JobView() as view:
        for name in args.encoder or ["bundled"]:
            card = encoder_card(name)
            sides = [_side(args, source, sets[source], name, work, view) for source in sources]
            found.append(
                (compare_sets(sides[0], sides[1], card, _per(name), small=args.small, through_hz=args.rate), sides)
            )
    out = Storage(args.out)
    comparisons = [comparison for comparison, _ in found]
    audio: dict[str, str] = {}
    for source, which in ((args.set, "clip"), (args.reference, "nearest")):
        wanted = [getattr(o, which) for c in comparisons for o in c.outliers]
        clips = sets[source]
        audio |= players(clips, wanted) if clips is not None and wanted else {}
    left_out = [(side.name, *row) for side in found[0][1] for row in side.left_out]
    page = render(
        "sets.html.j2",
        what="sets",
        title=f"{_short(args.set)} against {_short(args.reference)}",
        reference=args.reference,
        judged=args.set,
        comparisons=comparisons,
        audio=audio,
        left_out=left_out[:200],
    )
    statistics = [
        (f"{which}-{file_name(c.encoder.name)}.npz", write_moments(side.moments, c.encoder.as_dict(), c.encoder.name))
        for c, sides in found
        for which, side in zip(("reference", "set"), sides, strict=True)
    ]
    result = {"comparisons": [c.as_dict() for c in comparisons], "left_out": left_out}
    where = write_page(out, page, result, statistics)
    for comparison in comparisons:
        _say(comparison)
    for side in found[0][1]:
        if gone := {k: n for k, n in side.counts.items() if k != "clips"}:
            said = ", ".join(f"{n} {reason.replace(':', ' ')}" for reason, n in sorted(gone.items()))
            print(f"left out of {side.name}: {said}")
    print(f"page: {where}; statistics as fadtk reads them: {', '.join(name for name, _ in statistics)}")
    return 0


def _short(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2] or source


def _per(encoder: str) -> str:
    from labeling.encoders.by_name import model_type

    return {"vggish": "frame", "panns-cnn14": "window", "": "clip", "clap": "clip"}.get(model_type(encoder), "frame")


def _side(
    args: argparse.Namespace, source: str, clips: ClipSet | None, encoder: str, work: Engine, view: JobView
) -> Side:
    from beam_jobs.encode import encode_set
    from labeling.encoders.by_name import encoder_card
    from labeling.evaluation.compare import Side
    from labeling.evaluation.moments import read_moments
    from pipeline.errors import BadInput, IndexMismatch
    from pipeline.remote import file_system

    card = encoder_card(encoder)
    if clips is None:
        fs, path = file_system(source)
        if not fs.exists(path):
            raise BadInput(f"{source!r} does not exist; give an .npz of statistics, a crate, or audio")
        moments, about = read_moments(fs.cat_file(path), source, wanted=card.name)
        if about.get("weights_hash", card.weights_hash) != card.weights_hash:
            raise IndexMismatch(
                f"{source} was made by {about.get('name')} ({about['weights_hash'][:12]}), the encoder is {card.name} "
                f"({card.weights_hash[:12]}); give the same --encoder, or the audio"
            )
        return Side(name=source, moments=moments)
    encoded = encode_set(
        clips, cache(args), encoder=encoder, device=args.device, through_hz=args.rate, engine=work, watch=view.watch
    )
    return Side.of(source, encoded, clips.embedder)


def _say(c: Comparison) -> None:
    of_chance = "" if c.frechet_by_chance is None else f" ({figure(c.frechet_by_chance)} by chance)"
    print(f"{c.encoder.name}: {c.vectors[0]:,} and {c.vectors[1]:,} vectors, one a {c.per}")
    print(f"  Fréchet distance  {figure(c.frechet)}{of_chance}")
    if c.frechet_inf and c.frechet_unbiased:
        unbiased, inf = (figure(line.distance) for line in (c.frechet_unbiased, c.frechet_inf))
        print(f"  without end       {unbiased}; FAD-inf as fadtk {inf}")
    print(f"  kernel distance   {figure(c.kernel, 5)}; KAD as kadtk {figure(c.kad)}")
    if c.coverage is not None:
        print(
            f"  precision {figure(c.precision, 3)}, recall {figure(c.recall, 3)}, density {figure(c.density, 3)}, "
            f"coverage {figure(c.coverage, 3)}"
        )
    for note in c.notes:
        print(f"  note: {note}")
