"""What the parts of `cratedig evaluate` share: where results and caches lie, and lines for people."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.storage import Storage

__all__ = ["add_encoder_options", "add_out_options", "cache", "figure", "sound_words", "write_page"]


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("encoders")
    group.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME_OR_PATH",
        help="bundled (default), a ClapModel folder, muq:FOLDER, msclap:FILE; or a folder of VGGish or PANNs "
        "(cratedig evaluate convert), EnCodec, DAC, MERT, wav2vec 2, HuBERT, WavLM; again for several judges",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def add_out_options(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--out", default=default, metavar="DIR", help=f"page and figures (default: {default})")
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="where vectors are kept, by the hash of clips and encoder (default: the user's cache, ~/.cache/cratedig)",
    )


def cache(args: argparse.Namespace) -> Storage:
    """Where vectors are kept; the same clips by the same encoder are encoded once."""
    from pipeline.storage import Storage

    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Storage(args.cache or Path(home) / "cratedig" / "evaluation")


def figure(value: float | None, digits: int = 4) -> str:
    """A dash for nothing."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def write_page(out: Storage, page: bytes, result: dict[str, Any], more: Sequence[tuple[str, bytes]] = ()) -> str:
    """index.html, result.json and what else lies beside them; returns where the page is."""
    for name, data in more:
        out.write_bytes(name, data)
    out.write_json("result.json", result)
    out.write_bytes("index.html", page)
    return f"{out.url}/index.html"


def sound_words(figures: Mapping[str, Any]) -> str:
    """`SoundFigures` by name, for a line of text."""
    return (
        f"flatness {figures['flatness_db']:.1f} dB, {figures['onsets_per_s']:.2f} onsets/s, "
        f"partials {figures['partials']:.2f}, pulse {figures['pulse']:.2f}"
    )
