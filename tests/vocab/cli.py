"""Runs `cratedig vocab` in this process, as the command line would."""

from __future__ import annotations

import argparse

from cratedig.captions.vocab import add_parser


def run_vocab(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="cratedig")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["vocab", *map(str, arguments)])
    code: int = args.run(args)
    return code
