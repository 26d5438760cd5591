"""Which trained cascade is meant: the run that was given, runs/tiny, or the small one that comes with cratedig."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from diffusion.generation.cascade import CascadeName

__all__ = ["BUNDLED", "chosen_cascade", "chosen_run"]

BUNDLED = Path(__file__).resolve().parents[2] / "diffusion" / "bundled_cascade"
_TINY = Path("runs/tiny")


def chosen_run(given: Path | None) -> Path:
    """A folder of stages. What was not asked for by name is said."""
    if given is not None:
        return given
    if _TINY.is_dir() or not BUNDLED.is_dir():
        return _TINY
    print("no --from, and no runs/tiny here: the small cascade that comes with cratedig; see its README.md for what it "
          "can do")  # fmt: skip
    return BUNDLED


def chosen_cascade(given: str | None, run: Path) -> CascadeName:
    """The waveform cascade, where its generator is there; the other where only that one's is."""
    from diffusion.generation.cascade import CASCADES

    if given is not None:
        return cast("CascadeName", given)
    names = [name for name, stages in CASCADES.items() if (run / stages[0]).exists()]
    return names[0] if names else "waveform"
