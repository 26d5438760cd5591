"""Options that several commands share, and what they come to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadInput

if TYPE_CHECKING:
    from beam_jobs.engine import Engine
    from pipeline.config import ClipsConfig

__all__ = [
    "add_clip_options",
    "add_command",
    "add_embedder_options",
    "add_engine_options",
    "add_label_options",
    "add_part_option",
    "bind_beam_options",
    "clips_config",
    "engine",
    "label_options",
    "label_words",
    "slot_files",
    "warn_of_embedder",
]


def add_command(
    subparsers: Any, name: str, *, help: str, about: str, example: str, run: Any
) -> argparse.ArgumentParser:
    """A subcommand whose help ends with an example."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=about,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the work is carried out (nothing here changes a byte of the result)")
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes on this machine (default: as many as CPUs and memory allow)",
    )
    group.add_argument(
        "--runner",
        default="local",
        metavar="NAME",
        help="local (default), or a Beam runner: FlinkRunner, SparkRunner, PrismRunner, PortableRunner, DaskRunner, "
        "DataflowRunner, DirectRunner, or package.module.Class (docs/cluster.md)",
    )
    group.add_argument(
        "--beam-options",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="Beam's own, one or several in quotes, as often as you like, e.g. --beam-options --flink_master=HOST:8081 "
        '--beam-options "--environment_type=EXTERNAL --environment_config=localhost:50000"',
    )


def add_part_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part",
        default="",
        metavar="K/N",
        help="do the K-th of N parts of the shards, as one task of a scheduler; others may do theirs at the same time",
    )


def bind_beam_options(argv: Sequence[str]) -> list[str]:
    """`--beam-options --x=1` as `--beam-options=--x=1`: argparse would take a value that begins with `--` for an option
    of its own."""
    bound: list[str] = []
    for word in argv:
        if bound and len(bound[-1]) > 6 and "--beam-options".startswith(bound[-1]):
            bound[-1] = f"{bound[-1]}={word}"
        else:
            bound.append(word)
    return bound


def engine(args: argparse.Namespace) -> Engine:
    """What carries the work out; raises BadInput where it cannot start."""
    from beam_jobs.engine import Engine
    from beam_jobs.engines.parts import Part

    given = {} if args.workers is None else {"workers": args.workers}
    part = Part.parse(args.part) if getattr(args, "part", "") else None
    made = Engine(runner=args.runner, beam_options=tuple(args.beam_options), part=part, **given)
    made.check()
    if args.workers is None and made.runner == "local":
        _say_why_fewer(made.workers)
    return made


def _say_why_fewer(workers: int) -> None:
    from beam_jobs.cpus import WORKER_BYTES, usable_cpus, usable_memory

    if workers < (cpus := usable_cpus()):
        print(
            f"workers: {workers}, not {cpus} as there are CPUs, since the memory that may be used is "
            f"{usable_memory() / 1e9:.1f} GB and a worker takes about {WORKER_BYTES / 1e9:.1f} GB (--workers to say "
            "otherwise)",
            file=sys.stderr,
        )


def add_embedder_options(parser: argparse.ArgumentParser, default: str | None = "bundled") -> None:
    group = parser.add_argument_group("embedder")
    said = default or "the one that the crate was begun with"
    group.add_argument(
        "--embedder",
        type=_model,
        default=default,
        metavar="NAME_OR_PATH",
        help=f"bundled, a ClapModel folder, ... (default: {said})",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def _model(given: str) -> str:
    """A folder by its full path: workers may have another working directory."""
    return str(Path(given).resolve()) if Path(given).is_dir() else given


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clips")
    group.add_argument("--clip-seconds", type=float, metavar="S", help="length of a clip (default: 30; mulamcap: 10)")
    group.add_argument("--clips-per-track", type=int, metavar="N", help="at most so many of a track (default: 6)")
    group.add_argument(
        "--short-clip",
        choices=("reject", "pad"),
        help="a last piece that is too short: left out (default), or padded with silence",
    )
    group.add_argument("--stereo", action="store_true", default=None, help="keep two channels in the 24 kHz clips; "
                       "all else is of the mono mix, as without (default: mono, the paper's)")  # fmt: skip
    group.add_argument(
        "--min-music",
        type=float,
        metavar="X",
        help="leave out clips whose music_score (nearer to music than to speech and noise, about -0.5 to 0.5) is "
        "lower, counted as not-music (default: none is left out, and the share that would be is said)",
    )
    group.add_argument("--tracks-per-shard", type=int, metavar="N", help="(default: 1 to 32, by the number of tracks)")
    group.add_argument(
        "--config",
        metavar="FILE",
        help="JSON with any of the clip settings, quality bounds included (docs/settings.md)",
    )


def clips_config(args: argparse.Namespace, *, default_clip_s: float = 30.0) -> ClipsConfig:
    """Settings from --config, overridden by single options. Raises BadInput for what is not valid."""
    from pydantic import ValidationError

    from pipeline.config import ClipsConfig

    values: dict[str, Any] = {"clip_s": default_clip_s}
    if args.config:
        values |= _json_object(args.config)
    single = {
        "clip_s": args.clip_seconds,
        "clips_per_track": args.clips_per_track,
        "short_clip": args.short_clip,
        "min_music": args.min_music,
        "stereo": args.stereo,
    }
    values |= {name: value for name, value in single.items() if value is not None}
    try:
        return ClipsConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        value = f" = {first['input']!r}" if first["loc"] else ""
        raise BadInput(f"setting {place}{value}: {first['msg']}; see docs/settings.md") from error


def _json_object(path: str) -> dict[str, Any]:
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"--config {path} cannot be read ({error.strerror}); give a JSON file") from error
    except ValueError as error:
        raise BadInput(f"--config {path} is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise BadInput(f"--config {path} holds a {type(value).__name__}; expected a JSON object such as {{}}")
    return value


def add_label_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("labels")
    group.add_argument(
        "--profile",
        default="noise2music",
        choices=("noise2music", "mulamcap", "curated"),
        help="noise2music (default): title, tags, 3 long and 6 short captions; mulamcap: 10 s clips, three "
        "vocabularies; curated: the track's own metadata as one prompt",
    )
    group.add_argument(
        "--vocab",
        action="append",
        default=[],
        metavar="SLOT=FILE",
        help="vocabulary for llm_lf, rater_lf or rater_sf (default: the bundled one for llm_lf and rater_sf)",
    )
    group.add_argument("--k", type=int, default=10, help="candidates a clip and vocabulary (default: 10)")
    group.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    group.add_argument(
        "--draw",
        default="inverse-frequency",
        choices=("inverse-frequency", "uniform", "top"),
        help="inverse-frequency (default, the paper's), or a control",
    )
    group.add_argument(
        "--debias",
        nargs="?",
        const="crate",
        default="auto",
        choices=("auto", "none", "crate", "model"),
        help="take off each caption's mean similarity first, against captions that win everywhere (not the paper): "
        "over the crate's clips (crate, or no value), or over the mean that came with the model, which then counts "
        "stated facts as well (model). auto (default): model where the embedder brings it, as the bundled one does, "
        "else none, the paper's plain cosine",
    )
    group.add_argument(
        "--captions",
        default="auto",
        choices=("auto", "all", "heard"),
        help="heard leaves out captions that state what the model was not measured to hear, such as a style that it "
        "was never taught; auto (default): heard where the embedder says what it hears, as the bundled one does",
    )
    group.add_argument(
        "--search",
        default="exact",
        choices=("exact", "fast"),
        help="exact (default), or by FAISS codes for vocabularies of 50,000 captions and more, at a measured recall",
    )
    group.add_argument(
        "--min-similarity",
        type=float,
        metavar="X",
        help="leave out captions with a lower score, so that a clip may have fewer, or none; counted (default: none is "
        "left out)",
    )
    group.add_argument("--name", default="", help="of the label run (default: the profile and a hash of its settings)")


def slot_files(options: Sequence[str]) -> dict[str, str]:
    """The values of --vocab, SLOT=FILE each."""
    files = {}
    for given in options:
        slot, equals, file = given.partition("=")
        if not (slot and equals and file):
            raise BadInput(f"--vocab {given!r}: expected SLOT=FILE, such as llm_lf=captions.parquet")
        files[slot] = file
    return files


def warn_of_embedder(name: str, device: str) -> None:
    """Check a model before a long run: what must not be used raises, what is doubtful is said."""
    from labeling.embedders.by_name import load_embedder
    from labeling.embedders.checks import check_embedder

    for warning in check_embedder(load_embedder(name, device=device)).warnings:
        print(f"warning: {warning}", file=sys.stderr)


def label_options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of `beam_jobs.labels.label_crate`."""
    return {
        "profile": args.profile,
        "vocabularies": slot_files(args.vocab),
        "k": args.k,
        "seed": args.seed,
        "method": args.draw,
        "debias": args.debias,
        "captions": args.captions,
        "search": args.search,
        "min_similarity": args.min_similarity,
        "name": args.name,
    }


def label_words(args: argparse.Namespace) -> list[str]:
    """The label options of a command, as another command line takes them; files by their full path."""
    files = [f"{slot}={Path(file).resolve()}" for slot, file in slot_files(args.vocab).items()]
    given = {
        "--profile": args.profile,
        "--k": args.k,
        "--seed": args.seed,
        "--draw": args.draw,
        "--debias": args.debias,
        "--captions": args.captions,
        "--search": args.search,
        "--min-similarity": args.min_similarity,
        "--name": args.name or None,
    }
    words = [word for file in files for word in ("--vocab", file)]
    return words + [f"{option}={value}" for option, value in given.items() if value is not None]
