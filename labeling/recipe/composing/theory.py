"""Scales, chord progressions, and the way from a scale degree to a pitch."""

from __future__ import annotations

__all__ = ["PROGRESSIONS", "SCALES", "chord_pitches", "degree_pitch", "into_range"]

SCALES: dict[str, tuple[int, ...]] = {  # seven semitone offsets each, so that every degree exists in every scale
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "blues": (0, 3, 5, 6, 7, 10, 10),
    "bhairav": (0, 1, 4, 5, 7, 8, 11),
    "cluster": (0, 1, 3, 6, 7, 8, 11),
}

PROGRESSIONS: dict[str, tuple[tuple[int, ...], ...]] = {  # scale degrees, one a bar
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 0), (0, 3, 4, 3), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 5, 3, 4), (0, 0, 5, 6)),
    "harmonic minor": ((0, 3, 4, 0), (0, 0, 4, 4), (0, 5, 3, 4)),
    "dorian": ((0, 6, 0, 6), (0, 3, 0, 6), (0, 0, 6, 4)),
    "blues": ((0, 0, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4), (0, 3, 0, 4)),
    "bhairav": ((0, 0, 0, 0), (0, 0, 3, 0)),
    "cluster": ((0, 1, 0, 5), (0, 0, 1, 1), (0, 3, 5, 1)),
}


def degree_pitch(degree: int, base: int, scale: tuple[int, ...]) -> int:
    """Pitch of a scale degree; degrees below 0 and above 6 go on into the neighbouring octaves."""
    octave, step = divmod(degree, 7)
    return base + 12 * octave + scale[step]


def chord_pitches(degree: int, base: int, scale: tuple[int, ...], scale_name: str, *, seventh: bool) -> list[int]:
    """Close position above `base`: stacked thirds, dominant sevenths in a blues, fourths and seconds in a cluster."""
    if scale_name == "blues":
        root = base + {0: 0, 3: 5, 4: 7}.get(degree, 0)
        return [root, root + 4, root + 7, root + 10]
    steps = (0, 1, 4) if scale_name == "cluster" else (0, 2, 4, 6) if seventh else (0, 2, 4)
    return [degree_pitch(degree + s, base, scale) for s in steps]


def into_range(pitch: int, low: int, high: int) -> int:
    """Moved by octaves into [low, high], or as near as octaves allow."""
    while pitch > high and pitch - 12 >= low - 6:
        pitch -= 12
    while pitch < low and pitch + 12 <= high + 6:
        pitch += 12
    return pitch
