"""`cratedig evaluate`: the door to its parts."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

__all__ = ["add_parser"]

_PARTS = ("sets", "labels", "model", "sweep", "convert")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="is a dataset good, is a model good",
        description="Judge sets of audio, labels, trained models and their sampling. docs/evaluation.md says what the "
        "figures mean and what they were here.",
        epilog="example:\n  cratedig evaluate sets crates/mine generated/\n  cratedig evaluate sets --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    for name in _PARTS:
        importlib.import_module(f"cratedig.evaluating.{name}").add_parser(parts)
