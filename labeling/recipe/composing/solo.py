"""Solos and duos: pieces of no style, which teach instruments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from labeling.recipe.composing.instruments import INSTRUMENTS
from labeling.recipe.composing.styles import Style

__all__ = ["pick", "solo_style"]

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of them, all as likely."""
    return options[int(rng.integers(len(options)))]


def solo_style(rng: np.random.Generator, instruments: tuple[str, ...]) -> Style:
    """A style of no style: one or two instruments, any tempo, any texture they can play."""
    lead = instruments[0]
    texture = pick(rng, ("melody", "arpeggio", "chords", "both")) if INSTRUMENTS[lead].chords else "melody"
    comp_patterns = {
        "melody": ("pad",),
        "arpeggio": ("arp", "alberti", "six"),
        "chords": ("block", "pad", "eighth", "stab", "half"),
        "both": ("block", "arp", "pad", "half"),
    }[texture]
    comp = instruments[1:] or (() if texture == "melody" else (lead,))
    return Style(
        bpm=(50, 180),
        comp=comp,
        comp_patterns=comp_patterns if not instruments[1:] else ("arp", "half", "block", "pad", "strum"),
        lead=(lead,),
        lead_share=1.0 if texture in ("melody", "both") or instruments[1:] else 0.0,
        lead_pace=pick(rng, ("sparse", "mid", "mid", "busy", "run")),
        meters=(4, 4, 3, 6),
        minor_share=0.5,
        velocity=pick(rng, ((40, 70), (70, 100), (95, 120))),
        swing=1.0 if rng.random() < 0.1 else 0.0,
    )
