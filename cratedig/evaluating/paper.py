"""What Noise2Music reports (arXiv 2302.03917, Tables 5 and 6), to stand beside what is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PAPER", "PaperSet", "what_differs"]


@dataclass(frozen=True, kw_only=True)
class PaperSet:
    """One evaluation set of the paper. FAD under VGG, Trill and MuLan; similarities under MuLan."""

    name: str
    examples: int
    fad: dict[str, tuple[float, float, float]]
    text: dict[str, float]
    """Audio to the example's text; `real` is the set's own audio, `shuffled` that audio on other texts."""
    audio: dict[str, float]
    """Generated to real audio."""


PAPER: dict[str, PaperSet] = {
    "musiccaps": PaperSet(
        name="MusicCaps",
        examples=5_521,
        fad={"waveform": (2.134, 0.405, 0.110), "spectrogram": (3.840, 0.474, 0.180)},
        text={"real": 0.452, "shuffled": 0.248, "waveform": 0.478, "spectrogram": 0.434},
        audio={"shuffled": 0.278, "waveform": 0.489, "spectrogram": 0.464},
    ),
    "audioset": PaperSet(
        name="AudioSet-Music-Eval",
        examples=1_482,
        fad={"waveform": (2.240, 0.252, 0.193), "spectrogram": (3.498, 0.323, 0.276)},
        text={"real": 0.470, "shuffled": 0.274, "waveform": 0.563, "spectrogram": 0.490},
        audio={"shuffled": 0.265, "waveform": 0.429, "spectrogram": 0.389},
    ),
    "mtat": PaperSet(
        name="MagnaTagATune",
        examples=21_638,
        fad={"waveform": (3.554, 0.352, 0.235), "spectrogram": (5.553, 0.419, 0.346)},
        text={"real": 0.498, "shuffled": 0.277, "waveform": 0.518, "spectrogram": 0.459},
        audio={"shuffled": 0.315, "waveform": 0.479, "spectrogram": 0.444},
    ),
}


def what_differs(
    which: str, *, prompts: int, encoders: Sequence[str], reference: str, truth: bool, seconds: float
) -> list[str]:
    """Why a figure of ours must not be read against the paper's as it stands."""
    said = [
        f"encoders: ours are {', '.join(encoders)}; the paper's are VGG, Trill and MuLan, MuLan not being public. "
        "A cosine of one model says nothing about a cosine of another: compare distances from shuffled pairs",
    ]
    paper = PAPER.get(which)
    if paper is None:
        said.append("prompts: this set is not one of the paper's")
    elif prompts != paper.examples:
        said.append(
            f"prompts: {prompts:,} of the paper's {paper.examples:,}; of fewer clips a Fréchet distance is larger"
        )
    if not reference:
        said.append("reference: none was given, so there is no distance; the paper's is the set's own audio")
    elif not truth:
        said.append(f"reference: {reference}; the paper's is the set's own audio")
    if seconds < 29:
        said.append(f"length: {seconds:g} s are generated; the paper's clips have 30 s, or 29 s")
    elif which == "mtat":
        said.append("length: the middle 10 s of 30 s are judged; for MagnaTagATune the paper judges all of 29 s")
    return said
