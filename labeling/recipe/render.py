"""A piece as a recording: soundfont, voices, room, tone, and the faults that its `recording:` facts promise.

T samples at `RATE_HZ`, mono.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt  # type: ignore[import-untyped]

from labeling.recipe.piece import Note, Part, Piece
from labeling.recipe.rooms import Rooms
from labeling.recipe.soundfont import SoundFont
from labeling.recipe.sounds import SOUND_PROGRAMS, coloured_noise, make_sound
from labeling.recipe.voice import sing, speak

__all__ = ["LEAD_IN_S", "RATE_HZ", "WINDOW_S", "Studio"]

Samples = NDArray[np.float32]
RATE_HZ = 24_000
WINDOW_S = 10.0
LEAD_IN_S = 1.4
"""Rendered before a window and cut off, so that it begins in the middle of the music."""


class Studio:
    """Renders windows. `unseen` draws rooms of another kind, and deeper equalisers, than training ever uses."""

    def __init__(self, soundfont: Path, *, seed: int = 0, unseen: bool = False) -> None:
        self.font = SoundFont(soundfont, RATE_HZ)
        count = round((LEAD_IN_S + WINDOW_S) * RATE_HZ)
        self.rooms = Rooms(count, RATE_HZ, seed=seed, family="image" if unseen else "noise")
        self.eq_db = 5.0 if unseen else 3.5

    def window(self, piece: Piece) -> Samples:
        """Ten seconds of it, after the lead-in; the same piece gives the same samples."""
        rng = np.random.default_rng((piece.seed, 1))
        dry = self.dry(piece, rng)
        large = "reverberant" in piece.recording
        wet = rng.uniform(1.0, 2.2) if large else rng.uniform(0.1, 0.6) * (rng.random() < 0.6)
        x = self.rooms.apply(dry, rng, wet=wet, large=large, eq_db=self.eq_db * (rng.random() < 0.7))
        x = x[round(LEAD_IN_S * RATE_HZ) :]
        if "muffled" in piece.recording:
            sos = butter(4, rng.uniform(700, 1900), fs=RATE_HZ, output="sos")
            x = sosfilt(sos, x).astype(np.float32)
        x = x * np.float32(10 ** (rng.uniform(-16, -0.5) / 20) / (np.abs(x).max() + 1e-6))
        if "noisy" in piece.recording:
            x = add_noise(x, rng)
        return np.clip(x, -1, 1)

    def dry(self, piece: Piece, rng: np.random.Generator) -> Samples:
        """The whole piece without room or faults."""
        count = round(piece.duration_s * RATE_HZ)
        part = piece.parts[0] if piece.parts else None
        if part and part.role == "sound":
            return self._sound(part, count, rng)
        x = self.font.render(piece.parts, piece.duration_s, detune_semitones=float(rng.uniform(-0.4, 0.4)))
        for sung in (p for p in piece.parts if p.instrument == "singer"):
            voice = sing(sung.notes, count, RATE_HZ, rng, female=sung.voice == "female")
            rest = float(np.sqrt(np.mean(x**2)))
            gain = rng.uniform(1.0, 1.8) * rest / (float(np.sqrt(np.mean(voice**2))) + 1e-6) if rest > 1e-4 else 1.0
            x = x + np.float32(gain) * voice
        return x

    def _sound(self, part: Part, count: int, rng: np.random.Generator) -> Samples:
        if part.instrument == "speaker":
            return speak(count, RATE_HZ, rng, female=part.voice == "female")
        program = SOUND_PROGRAMS.get(part.instrument)
        if program is None or (part.instrument == "nature" and rng.random() < 0.5):
            return make_sound(part.instrument, count, RATE_HZ, rng)
        return self.font.render(_sound_parts(program, count / RATE_HZ, rng), count / RATE_HZ)


def _sound_parts(program: int, seconds: float, rng: np.random.Generator) -> tuple[Part, ...]:
    """Held and repeated keys of a soundfont's effect."""
    notes = []
    at = 0.0
    while at < seconds:
        length = float(rng.uniform(0.8, 4.0))
        notes.append(Note(at, length, int(rng.integers(48, 80)), int(rng.integers(70, 120))))
        at += length * float(rng.uniform(0.4, 1.1))
    return (Part(role="sound", instrument="effect", program=program, notes=tuple(notes)),)


def add_noise(x_T: Samples, rng: np.random.Generator) -> Samples:
    """Hiss 12 to 30 dB below the music, and sometimes the crackle of a record."""
    rms = float(np.sqrt(np.mean(x_T**2))) + 1e-5
    hiss = coloured_noise(x_T.size, RATE_HZ, rng, rng.uniform(-2.0, 0.5))
    out = x_T + hiss * np.float32(rms * 10 ** (rng.uniform(-30, -12) / 20) / float(np.sqrt(np.mean(hiss**2))))
    if rng.random() < 0.5:
        places = rng.integers(0, x_T.size - 30, size=int(rng.uniform(50, 400)))
        for at in places:
            out[at : at + 20] += rng.normal(0, 2.5 * rms) * np.exp(-np.arange(20) / 4.0).astype(np.float32)
    return out.astype(np.float32)
