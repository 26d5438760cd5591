"""The command `cratedig`: one parser, and errors as one line."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

from cratedig.options import bind_beam_options
from pipeline.errors import CratedigError
from pipeline.process import Terminated, sigterm_interrupts

__all__ = ["build_parser", "main"]

_COMMANDS = (
    "mining.mine",
    "mining.plan",
    "mining.clips",
    "mining.label",
    "mining.verify",
    "mining.slurm",
    "mining.report",
    "mining.demo",
    "curating.dedup",
    "curating.decontaminate",
    "curating.split",
    "curating.mulamcap",
    "exporting.export",
    "curating.takedown",
    "curating.merge",
    "curating.card",
    "captions.vocab",
    "captions.embedder",
    "cascade.models",
    "cascade.train",
    "cascade.generate",
    "evaluating.evaluate",
    "cascade.serve",
    "cascade.export_model",
)
"""Modules of this package; each has `add_parser`. None of them imports anything heavy when it is imported."""

_OF_GOOGLE = r"(grpcio <|Package google|You are using a non-supported Python version)"
"""How warnings begin that Google's packages, loaded by Beam where they are, print of an older Python or grpcio."""

_EXAMPLE = """\
examples:
  cratedig demo                                   a dataset from the music that comes with cratedig, in demo/crate
  cratedig mine ~/Music --out crates/mine         a captioned, verified dataset from a folder of music
  cratedig mine songs.csv --out crates/songs --dry-run   what would be done, and how much it would be

cratedig COMMAND --help says more, with examples.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="cratedig",
        description="Dig a music collection for training data: clips, joint embeddings and captions that fit them.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cratedig {_version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        importlib.import_module(f"cratedig.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 the run failed, 2 it cannot be done as asked.

    128 + the signal's number where Ctrl-C or SIGTERM ended it, or where whoever read our output has left.
    """
    warnings.filterwarnings("ignore", _OF_GOOGLE, FutureWarning)
    try:
        with sigterm_interrupts():
            args = build_parser().parse_args(bind_beam_options(sys.argv[1:] if argv is None else argv))
            return int(args.run(args))
    except CratedigError as error:
        print(f"cratedig: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        print("\ncratedig: interrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        from pipeline.installation import explain_fault, is_fault

        if not is_fault(error):
            raise
        if not isinstance(error, (ImportError, OSError)):
            traceback.print_exc()  # a mistake of ours
        print(f"cratedig: {explain_fault(error)}", file=sys.stderr)
        return 1


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cratedig")
    except PackageNotFoundError:
        return "from source"


if __name__ == "__main__":
    sys.exit(main())
