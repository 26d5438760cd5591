"""`cratedig evaluate convert`: public weights of an audio network made usable as an encoder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cratedig.options import add_command

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig evaluate convert vggish-10086976.pth models/vggish
  cratedig evaluate convert 'Cnn14_16k_mAP=0.438.pth' models/panns-16k
  cratedig evaluate convert MERT-v1-95M/ models/mert        a folder of hf download with a pytorch_model.bin"""


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "convert",
        help="weights of VGGish, PANNs or MERT as an encoder's folder",
        about="Reads the tensors of a checkpoint, and nothing else of it (such files are pickles, which could run "
        "code), and writes a folder of safetensors for --encoder. The weights are yours to fetch: VGGish from the "
        "release of harritaylor/torchvggish, PANNs CNN14 from Zenodo record 3987831, MERT from its hub.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("weights", type=Path, metavar="FILE", help="a .pth, or a folder with a pytorch_model.bin")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="new folder")


def _run(args: argparse.Namespace) -> int:
    from labeling.encoders.by_name import encoder_card
    from labeling.encoders.convert import convert_weights

    print(f"{args.out}: {convert_weights(args.weights, args.out)}")
    card = encoder_card(str(args.out))
    print(f"{card.dimension} dimensions at {card.sample_rate_hz} Hz; use it: --encoder {args.out}")
    return 0
