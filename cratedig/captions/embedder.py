"""`cratedig embedder`: what a joint model is and whether it can be trusted; LAION's checkpoints made usable."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["add_parser", "convert", "info"]

_EXAMPLES = """\
examples:
  cratedig embedder info bundled
  cratedig embedder info models/clap --captions captions.txt
  cratedig embedder convert music_audioset_epoch_15_esc_90.14.pt models/clap --licence cc0-1.0
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "embedder",
        help="look at and check a joint model, or convert LAION's checkpoints",
        description="Joint music-text models: what one is, whether it can be trusted, and LAION's .pt checkpoints (or "
        "pickled weights) turned into folders that can be used.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_info(commands)
    _add_convert(commands)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="print a model's card and check it",
        description="Print the model's card, then load it and check it: collapsed towers, embeddings that don't "
        "repeat, a wrong dimension, words that it does not know. Exit code 2 where it must not be used.",
        epilog="example:\n  cratedig embedder info models/clap --captions captions.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "embedder",
        metavar="NAME_OR_PATH",
        nargs="?",
        default="bundled",
        help="bundled (default), a ClapModel folder, muq:FOLDER, msclap:FILE",
    )
    parser.add_argument("--captions", metavar="FILE", help="text file, a caption a line: how many words it knows")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=info)


def _add_convert(commands: Any) -> None:
    parser = commands.add_parser(
        "convert",
        help="LAION's .pt checkpoint, or a folder with pickled weights, to a ClapModel folder with safetensors",
        description="Write a ClapModel folder that listens as the weights' authors meant. Only tensors are read from "
        "the checkpoint; nothing in it is run.",
        epilog="example:\n  cratedig embedder convert 630k-audioset-best.pt models/clap --tokenizer roberta-base/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="CHECKPOINT", help=".pt file of LAION's, or a ClapModel folder")
    parser.add_argument("out", metavar="FOLDER", help="a new folder")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="roberta-base's tokenizer (default: the hub's cache, else fetched)"
    )
    parser.add_argument("--licence", default="unknown", help="of the weights, for the card")
    parser.add_argument(
        "--laion-front-end",
        action="store_true",
        help="for a folder of LAION's weights from the hub: 50 Hz lower edge and 16 bits, as in LAION's own code",
    )
    parser.set_defaults(run=convert)


def info(args: argparse.Namespace) -> int:
    """Print the card, check the model."""
    from labeling.embedders.by_name import embedder_card, load_embedder
    from labeling.embedders.checks import check_embedder

    captions = _read_captions(args.captions) if args.captions else None
    card = embedder_card(args.embedder)
    if not args.json:
        for name, value in card.as_dict().items():
            print(f"{name.replace('_', ' '):19} {value if value != '' else '-'}")
    report = check_embedder(load_embedder(args.embedder, device=args.device), captions)
    if args.json:
        measured = {
            "text_cosine": report.text_cosine,
            "audio_cosine": report.audio_cosine,
            "repeat_difference": report.repeat_difference,
            "unknown_share": report.captions.unknown_share if report.captions else None,
            "warnings": report.warnings,
        }
        print(json.dumps({"card": card.as_dict(), "checks": measured}, indent=1))
        return 0
    print("\n".join(report.lines()))
    print(f"usable; checked in {report.seconds:.1f} s")
    return 0


def convert(args: argparse.Namespace) -> int:
    """Convert, and say what came of it."""
    from labeling.embedders.by_name import embedder_card
    from labeling.embedders.laion import convert_folder, convert_laion
    from pipeline.errors import BadInput

    source, out = Path(args.source).expanduser(), Path(args.out).expanduser()
    if source.is_dir():
        convert_folder(source, out, laion_front_end=args.laion_front_end)
    elif args.laion_front_end:
        raise BadInput(f"--laion-front-end with {source}: it is for folders; LAION's own files always get it")
    else:
        tokenizer = Path(args.tokenizer).expanduser() if args.tokenizer else None
        convert_laion(source, out, tokenizer=tokenizer, licence=args.licence)
    card = embedder_card(str(out))
    print(f"{out}: {card.sample_rate_hz} Hz, {card.window_s:g} s, {card.dimension} dimensions, {card.weights_hash}")
    print(f"next: cratedig embedder info {out}")
    return 0


def _read_captions(file: str) -> list[str]:
    from pipeline.errors import BadInput

    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--captions {file} can't be read ({error}): expected a text file, a caption a line") from error
    captions = [line.strip() for line in lines if line.strip()]
    if not captions:
        raise BadInput(f"--captions {file} holds no captions: expected a text file, a caption a line")
    return captions
