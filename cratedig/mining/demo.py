"""`cratedig demo`: a dataset from the music that comes with cratedig."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from cratedig.options import add_command

__all__ = ["add_parser"]

_MUSIC = Path(__file__).resolve().parents[2] / "examples" / "demo_music"


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "demo",
        help="mine the music that comes with cratedig, a minute or two",
        about="Mine examples/demo_music (tracks composed and rendered by this project, with one truncated and one "
        "silent file among them) into a crate and make its page.",
        example="  cratedig demo\n  cratedig demo --out /tmp/crate --fresh",
        run=_run,
    )
    parser.add_argument("--out", default="demo/crate", metavar="CRATE", help="(default: demo/crate)")
    parser.add_argument("--fresh", action="store_true", help="remove an earlier demo crate first")
    parser.add_argument("--workers", type=int, metavar="N", help="(default: cores)")


def _run(args: argparse.Namespace) -> int:
    from cratedig.main import build_parser
    from pipeline.errors import BadInput

    if not (_MUSIC / "metadata.csv").exists():
        raise BadInput(f"the demo music is not at {_MUSIC}; run this in a clone of the repository")
    if args.fresh and (Path(args.out) / "crate.json").exists():
        shutil.rmtree(args.out)
    command = ["mine", str(_MUSIC / "metadata.csv"), "--out", args.out]
    if args.workers is not None:
        command += ["--workers", str(args.workers)]
    mine = build_parser().parse_args(command)
    return int(mine.run(mine))
