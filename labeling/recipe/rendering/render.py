"""A piece as a recording: soundfont, voices, room, tone, and the faults that its `recording:` facts promise.

T samples at `RATE_HZ`, mono.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt  # type: ignore[import-untyped]

from labeling.recipe.composing.instruments import ELECTRONIC_KITS
from labeling.recipe.composing.piece import Note, Part, Piece
from labeling.recipe.rendering.mastering import amplified, mastered, pumped
from labeling.recipe.rendering.recordings import Kits, Speech
from labeling.recipe.rendering.rooms import Rooms
from labeling.recipe.rendering.soundfont import SoundFont
from labeling.recipe.rendering.sounds import SOUND_PROGRAMS, coloured_noise, make_sound
from labeling.recipe.rendering.synth import SYNTH_INSTRUMENTS, play_machine, play_synth
from labeling.recipe.rendering.voice import sing, speak

__all__ = ["LEAD_IN_S", "RATE_HZ", "WINDOW_S", "Studio"]

Samples = NDArray[np.float32]
RATE_HZ = 24_000
WINDOW_S = 10.0
LEAD_IN_S = 1.4
"""Rendered before a window and cut off, so that it begins in the middle of the music."""

_AT_HOME, _OWN_TONE, _DOUBLED = 0.75, 0.4, 0.12
_OWN_TONE_DB = 4.5
_OWN_FORMANTS, _FORMANTS_SEMITONES = 0.6, 4
_SYNTHESISED, _AMPLIFIED, _RECORDED_SPEECH = 0.6, 0.65, 0.6
_MACHINE, _ELECTRONIC_KIT, _ACOUSTIC_KIT = 0.45, 0.3, 0.3
_PUMPED_STYLES, _PUMPED = ("house", "techno", "trance", "disco"), 0.4
_DRIVES_DB = {"distorted guitar": (14.0, 36.0), "clean electric guitar": (-6.0, 8.0)}
_CLEAN_PROGRAMS = (26, 27, 25)
_UNPLAYABLE_DB = -42.0
"""A font's program that needs modulators which the synthesiser lacks comes out like this: the first font plays it."""


class Studio:
    """Renders windows. `unseen` draws rooms of another kind, and deeper equalisers, than training ever uses.

    With several soundfonts each part is played by one of them, and some parts get a tone of their own, so that a model
    can't learn an instrument as one set of recordings.
    """

    def __init__(self, *soundfonts: Path, seed: int = 0, unseen: bool = False) -> None:
        self.fonts = [SoundFont(path, RATE_HZ) for path in soundfonts]
        count = round((LEAD_IN_S + WINDOW_S) * RATE_HZ)
        self.rooms = Rooms(count, RATE_HZ, seed=seed, family="image" if unseen else "noise")
        self.eq_db = 5.0 if unseen else 3.5
        self.wide = not unseen
        """Whether synthesisers, amplifiers, recorded kits and mastering take part: they do in training alone."""
        self.kits = Kits(RATE_HZ) if self.wide else None
        self.speech = Speech(RATE_HZ) if self.wide else None

    def window(self, piece: Piece) -> Samples:
        """Ten seconds of it, after the lead-in; the same piece gives the same samples."""
        rng = np.random.default_rng((piece.seed, 1))
        dry = self.dry(piece, rng)
        large = "reverberant" in piece.recording
        wet = rng.uniform(1.0, 2.2) if large else rng.uniform(0.1, 0.6) * (rng.random() < 0.6)
        x = self.rooms.apply(dry, rng, wet=wet, large=large, eq_db=self.eq_db * (rng.random() < 0.7))
        x = x[round(LEAD_IN_S * RATE_HZ) :]
        if self.wide:
            x = mastered(x, RATE_HZ, np.random.default_rng((piece.seed, 2)))
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
        detune = float(rng.uniform(-0.4, 0.4))
        if len(self.fonts) == 1:
            x = self.fonts[0].render(piece.parts, piece.duration_s, detune_semitones=detune)
        else:
            x = self._band(piece, detune, rng)
        for sung in (p for p in piece.parts if p.instrument == "singer"):
            voice = sing(sung.notes, count, RATE_HZ, rng, female=sung.voice == "female")
            rest = float(np.sqrt(np.mean(x**2)))
            gain = rng.uniform(1.0, 1.8) * rest / (float(np.sqrt(np.mean(voice**2))) + 1e-6) if rest > 1e-4 else 1.0
            x = x + np.float32(gain) * voice
        return x

    def _sound(self, part: Part, count: int, rng: np.random.Generator) -> Samples:
        if part.instrument == "speaker" and not part.voice and self.speech:
            return self.speech.speak(count, rng)
        if part.instrument == "speaker":
            return speak(count, RATE_HZ, rng, female=part.voice == "female" if part.voice else bool(rng.random() < 0.5))
        program = SOUND_PROGRAMS.get(part.instrument)
        if program is None or (part.instrument == "nature" and rng.random() < 0.5):
            return make_sound(part.instrument, count, RATE_HZ, rng)
        font = self.fonts[int(rng.integers(len(self.fonts)))]
        return font.render(_sound_parts(program, count / RATE_HZ, rng), count / RATE_HZ)

    def _band(self, piece: Piece, detune: float, rng: np.random.Generator) -> Samples:
        """Most parts by one soundfont, some by another, the lead sometimes by two; tones and formants of their own."""
        home = int(rng.integers(len(self.fonts)))
        groups: dict[tuple[int, bool], list[tuple[Part, int]]] = {}
        special: list[Samples] = []
        drums = np.zeros(round(piece.duration_s * RATE_HZ), np.float32)
        for part in (p for p in piece.parts if p.notes and p.instrument != "singer"):
            if part.role == "drums":
                sound, rest = self._special_drums(part, drums.size, rng)
                drums += sound
                if rest is None:
                    continue
                part = rest
            elif (played_elsewhere := self._special(part, piece, detune, rng)) is not None:
                special.append(played_elsewhere)
                continue
            font = home if rng.random() < _AT_HOME else int(rng.integers(len(self.fonts)))
            if self.fonts[font].loudness_db(part) < _UNPLAYABLE_DB:
                font = 0
            widest = _FORMANTS_SEMITONES if rng.random() < _OWN_FORMANTS else 0
            shift = int(rng.integers(-widest, widest + 1))
            groups.setdefault((font, bool(rng.random() < _OWN_TONE)), []).append((part, shift))
            if part.role == "lead" and rng.random() < _DOUBLED:
                groups.setdefault((0, True), []).append((part, -shift))
        x = np.zeros(round(piece.duration_s * RATE_HZ), np.float32)
        for (font, own_tone), played in groups.items():
            parts, shifts = [part for part, _ in played], [shift for _, shift in played]
            group = self.fonts[font].render(parts, piece.duration_s, detune_semitones=detune, formants_semitones=shifts)
            x += self.rooms.apply(group, rng, wet=0.0, eq_db=_OWN_TONE_DB) if own_tone else group
        for extra in special:
            x += extra
        kicks = [n.start_s for p in piece.parts if p.role == "drums" for n in p.notes if n.pitch in (35, 36)]
        if len(kicks) > 4 and piece.style in _PUMPED_STYLES and rng.random() < _PUMPED:
            x = pumped(x, np.sort(np.array(kicks)), RATE_HZ, rng)
        return x + drums

    def _special(self, part: Part, piece: Piece, detune: float, rng: np.random.Generator) -> Samples | None:
        """A part that no soundfont plays in this piece: by a synthesiser, or through a guitar amplifier."""
        count = round(piece.duration_s * RATE_HZ)
        if part.instrument in SYNTH_INSTRUMENTS and rng.random() < _SYNTHESISED:
            return play_synth(part, count, RATE_HZ, rng, detune_semitones=detune)
        if part.instrument in _DRIVES_DB and rng.random() < _AMPLIFIED:
            if part.instrument == "distorted guitar" and rng.random() < 0.7:
                part = replace(part, program=int(rng.choice(_CLEAN_PROGRAMS)))
            font = self.fonts[int(rng.integers(len(self.fonts)))]
            dry = font.render([part], piece.duration_s, detune_semitones=detune)
            return amplified(dry, RATE_HZ, rng, drive_db=float(rng.uniform(*_DRIVES_DB[part.instrument])))
        return None

    def _special_drums(self, part: Part, count: int, rng: np.random.Generator) -> tuple[Samples, Part | None]:
        """Drums by a machine or a recorded kit, and the strokes that are left to a soundfont: often all of them."""
        electronic, draw = part.program in ELECTRONIC_KITS, rng.random()
        if electronic and draw < _MACHINE:
            return play_machine(part, count, RATE_HZ, rng), None
        if self.kits and draw > 1 - (_ELECTRONIC_KIT if electronic else _ACOUSTIC_KIT):
            return self.kits.play(part, count, rng, electronic=electronic)
        return np.zeros(count, np.float32), part


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
