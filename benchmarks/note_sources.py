"""Recorded single sounds of instruments and drum kits, played in made-up sequences of ten seconds: what
`benchmarks.recorded_notes` judges a model by. T samples, mono.

Three kinds of folder are known: Gravis patches (Debian's freepats), drum kits of Hydrogen (hydrogen-drumkits,
hydrogen-data), and one recording a note, named by it (the Salamander piano as npm packs it: `D#4v8.ogg`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

__all__ = ["DRUMS", "Item", "items"]

Samples = NDArray[np.float32]
DRUMS = "drums"
"""Stands for the family of what is no note."""

_PROGRAMS = {  # family -> General MIDI programs, from 0
    "keyboard": range(8),
    "bells": range(8, 15),
    "organ": range(16, 24),
    "guitar": range(24, 32),
    "bass": range(32, 40),
    "strings": (40, 41, 42, 43, 44, 45, 48, 49, 50, 51),
    "plucked": (15, 46, 104, 105, 106, 107),
    "voice": (52, 53, 54),
    "brass": range(56, 64),
    "woodwind": range(64, 80),
    "synth": range(80, 96),
}
_HEADERS = 239
"""Bytes of a patch before its first sample."""
_SECONDS = 10.0
_NOTE_S, _BEATS_A_MINUTE = (0.9, 0.3), (84, 140)
"""A slow sequence and a quick one."""
_UNSIGNED, _16_BIT, _LOOPED = 2, 1, 4
_TRAINED_ON = ("Audiophob",)
"""Kits that the bundled model's recipe plays: no test of it."""
_STROKES = (r"kick|bass", r"snare|slap|clap", r"hat|hh|maraca|shaker|tone")
"""Names of what plays the first and third beat, the second and fourth, and the eighths."""
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, kw_only=True)
class Item:
    """Ten seconds of one instrument or kit."""

    source: str
    family: str
    sound_T: Samples


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One recorded note."""

    sound_T: Samples
    rate_hz: int
    loop_T: tuple[int, int] | None
    low_hz: float
    high_hz: float
    root_hz: float


def items(folder: Path, rate_hz: int) -> Iterator[Item]:
    """Two of each patch, kit or piano below a folder, in the order of their paths."""
    family_of = {program: family for family, programs in _PROGRAMS.items() for program in programs}
    for file in sorted(folder.rglob("Tone_*/*.pat")):
        program = int(file.name[:3])
        for note_s in _NOTE_S if program in family_of else ():
            sound_T = play(read_patch(file), note_s, rate_hz, np.random.default_rng([program, round(10 * note_s)]))
            yield Item(source=file.parent.parent.name, family=family_of[program], sound_T=sound_T)
    for number, file in enumerate(sorted(folder.rglob("drumkit.xml"))):
        for beats in _BEATS_A_MINUTE if file.parent.name not in _TRAINED_ON else ():
            sound_T = drum(read_kit(file, rate_hz), beats, rate_hz, np.random.default_rng([number, beats]))
            yield Item(source=file.parent.name, family=DRUMS, sound_T=sound_T)
    for layer in sorted({file.parent for file in folder.rglob("A4v*.ogg")}):
        for note_s in _NOTE_S:
            sound_T = play(read_notes(layer), note_s, rate_hz, np.random.default_rng([440, round(10 * note_s)]))
            yield Item(source="piano", family="keyboard", sound_T=sound_T)


def read_patch(file: Path) -> list[Sample]:
    """The samples of a Gravis Ultrasound patch."""
    data = file.read_bytes()
    if not data.startswith(b"GF1PATCH"):
        raise SystemExit(f"{file} is no GF1 patch; give the folder of freepats")
    found, at = [], _HEADERS
    for _ in range(data[198]):
        size, loop, end, rate, low, high, root = struct.unpack_from("<IIIHIII", data, at + 8)
        modes = data[at + 55]
        raw = data[at + 96 : at + 96 + size]
        kind = ("<u2" if modes & _UNSIGNED else "<i2") if modes & _16_BIT else ("u1" if modes & _UNSIGNED else "i1")
        values = np.frombuffer(raw[: len(raw) // 2 * 2 if modes & _16_BIT else None], kind).astype(np.float32)
        if modes & _UNSIGNED:
            values -= 1 << (15 if modes & _16_BIT else 7)
        width = 2 if modes & _16_BIT else 1
        found.append(
            Sample(
                sound_T=values / max(float(np.abs(values).max(initial=0)), 1.0),
                rate_hz=rate,
                loop_T=(loop // width, end // width) if modes & _LOOPED and end > loop else None,
                low_hz=low / 1000,
                high_hz=high / 1000,
                root_hz=root / 1000,
            )
        )
        at += 96 + size
    return found


def read_notes(folder: Path) -> list[Sample]:
    """A recording a note, named by note and velocity; each serves the notes nearer to it than to others."""
    found = []
    for file in sorted(folder.glob("*.ogg")):
        if name := re.fullmatch(r"([A-G])(#?)(\d)v\d+", file.stem):
            pitch = _SEMITONES[name[1]] + bool(name[2]) + 12 * (int(name[3]) + 1)
            root_hz = 440 * 2 ** ((pitch - 69) / 12)
            sound_T, rate_hz = _mono(file)
            sample = Sample(
                sound_T=sound_T,
                rate_hz=rate_hz,
                loop_T=None,
                low_hz=root_hz * 2 ** (-1.5 / 12),
                high_hz=root_hz * 2 ** (1.5 / 12),
                root_hz=root_hz,
            )
            found.append(sample)
    return found


def read_kit(file: Path, rate_hz: int) -> list[Samples]:
    """Kick, snare and hat of a kit, or what is there instead, by the last layer of each, the loudest."""
    root = ElementTree.parse(file).getroot()
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    strokes = [
        (instrument.findtext("name") or "", [f.text for f in instrument.iter("filename") if f.text])
        for instrument in root.iter("instrument")
    ]
    strokes = [(name, files) for name, files in strokes if files and (file.parent / files[-1]).is_file()]
    if len(strokes) < len(_STROKES):
        raise SystemExit(f"{file}: {len(strokes)} instruments with a recording, expected at least {len(_STROKES)}")
    chosen = [
        next((files for name, files in strokes if re.search(wanted, name, re.IGNORECASE)), strokes[place][1])
        for place, wanted in enumerate(_STROKES)
    ]
    sounds = (_mono(file.parent / files[-1]) for files in chosen)
    return [soxr.resample(sound_T, rate, rate_hz) for sound_T, rate in sounds]


def _mono(file: Path) -> tuple[Samples, int]:
    sound_TC, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    return sound_TC.mean(axis=1), int(rate_hz)


def play(samples: list[Sample], note_s: float, rate_hz: int, dice: np.random.Generator) -> Samples:
    """(T,) ten seconds of notes of a pentatonic scale near the middle of the instrument's range, one after another."""
    middle = float(np.clip(np.median([s.root_hz for s in samples]), 80, 660))
    out_T = np.zeros(round(_SECONDS * rate_hz), np.float32)
    for start in np.arange(0, _SECONDS, note_s):
        wanted_hz = middle * 2 ** (int(dice.choice([-7, -5, -3, 0, 2, 4, 7])) / 12)
        sample = min(
            samples, key=lambda s: (not s.low_hz <= wanted_hz <= s.high_hz, abs(np.log(s.root_hz / wanted_hz)))
        )
        length_s = 1.3 * note_s
        source_T = _held(sample, length_s * wanted_hz / sample.root_hz)
        sound_T = soxr.resample(source_T, sample.rate_hz * wanted_hz / sample.root_hz, rate_hz)[
            : round(length_s * rate_hz)
        ]
        fade = min(len(sound_T), round(0.05 * rate_hz))
        sound_T[len(sound_T) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        _add(out_T, sound_T, round(start * rate_hz), dice.uniform(0.6, 1))
    return _levelled(out_T)


def drum(strokes: list[Samples], beats_a_minute: float, rate_hz: int, dice: np.random.Generator) -> Samples:
    """(T,) ten seconds of a plain rock beat."""
    out_T = np.zeros(round(_SECONDS * rate_hz), np.float32)
    eighth_s = 30 / beats_a_minute
    for number, start in enumerate(np.arange(0, _SECONDS, eighth_s)):
        played = [2] + ([0] if number % 4 == 0 else [1] if number % 4 == 2 else [])
        for stroke in played:
            _add(out_T, strokes[stroke], round(start * rate_hz), dice.uniform(0.6, 1))
    return _levelled(out_T)


def _add(out_T: Samples, sound_T: Samples, at: int, gain: float) -> None:
    sound_T = sound_T[: len(out_T) - at]
    out_T[at : at + len(sound_T)] += sound_T * np.float32(gain)


def _levelled(out_T: Samples) -> Samples:
    return out_T / max(float(np.abs(out_T).max()), 1e-6) * np.float32(0.7)


def _held(sample: Sample, seconds: float) -> Samples:
    """The sample for so long at its own rate, its loop repeated."""
    wanted = round(seconds * sample.rate_hz)
    if sample.loop_T is None or wanted <= sample.loop_T[1]:
        return sample.sound_T[:wanted]
    start, end = sample.loop_T
    loops = -(-(wanted - end) // (end - start))
    return np.concatenate([sample.sound_T[:end], np.tile(sample.sound_T[start:end], loops)])[:wanted]
