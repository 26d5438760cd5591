"""`cratedig export-model`: trained stages to hand on, as safetensors with a model card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  cratedig export-model --from runs/tiny -o models/tiny --dtype fp16
  cratedig generate "slow solo piano" --from models/tiny
  hf upload you/tiny models/tiny
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "export-model",
        help="trained stages as safetensors with a model card",
        description="The averaged weights of each stage of a run, LoRA merged, without the optimizer: what generate, "
        "serve and train --init-from take, and the hub.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from", dest="run_folder", type=Path, default=Path("runs/tiny"), metavar="FOLDER",
        help="what `cratedig train` wrote (default: runs/tiny)",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--dtype", choices=["fp32", "fp16", "bf16"], default="fp32", help="(default: fp32)")
    parser.add_argument("--license", default="", metavar="ID", help="for the card, as the hub writes it: cc-by-4.0")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from diffusion.generation.export import export_models

    for stage, size in export_models(args.run_folder, args.out, dtype=args.dtype, licence=args.license).items():
        print(f"{stage}: {size / 1e6:.1f} MB")
    print(f"card: {args.out / 'README.md'}")
    return 0
