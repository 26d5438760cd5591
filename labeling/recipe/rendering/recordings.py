"""Recorded sound for training where a machine has it: drum kits of single strokes, and speech. T samples, mono.

Debian's `sonic-pi-samples` (CC0), the kit Audiophob of `hydrogen-drumkits` (CC0), and the Italian and Russian prompts
of `asterisk-core-sounds` (CC-BY-3.0). All of it is optional: without it the fonts and the formant speaker play alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly  # type: ignore[import-untyped]

from labeling.recipe.composing.piece import Part
from labeling.recipe.rendering.synth import levelled

__all__ = ["Kits", "Speech"]

Samples = NDArray[np.float32]
SONIC_PI = Path("/usr/share/sonic-pi/samples")
AUDIOPHOB = Path("/usr/share/hydrogen/data/drumkits/Audiophob")
SPEECH = tuple(
    Path("/usr/share/asterisk/sounds") / name
    for name in ("it_IT_m_Carlo", "it_IT_f_Carlo", "it", "ru_RU_f_IvrvoiceRU", "ru")
)
_MOST_PROMPTS, _LONGEST_S = 240, 6.0

_ACOUSTIC: dict[int, tuple[str, ...]] = {
    36: ("drum_bass_hard", "drum_bass_soft", "drum_heavy_kick"),
    38: ("drum_snare_hard", "drum_snare_soft", "sn_generic"),
    42: ("drum_cymbal_closed",),
    44: ("drum_cymbal_pedal",),
    46: ("drum_cymbal_open",),
    49: ("drum_splash_hard", "drum_cymbal_hard"),
    51: ("drum_cymbal_soft", "drum_splash_soft"),
    45: ("drum_tom_lo_hard", "drum_tom_lo_soft"),
    47: ("drum_tom_mid_hard", "drum_tom_mid_soft"),
    50: ("drum_tom_hi_hard", "drum_tom_hi_soft"),
    41: ("drum_tom_lo_hard",),
    43: ("drum_tom_lo_soft",),
    56: ("drum_cowbell",),
}
_ELECTRONIC: dict[int, tuple[str, ...]] = {
    36: (*(f"bd_{n}" for n in "808 ada boom fat gas haus klub pure sone tek zome zum".split()), "elec_hollow_kick"),
    38: (*(f"elec_{n}_snare" for n in ("hi", "lo", "mid", "filt")), "elec_snare", "sn_dolf", "sn_dub", "sn_zome"),
    39: ("perc_snap", "perc_snap2", "elec_filt_snare"),
    42: ("elec_tick", "elec_cymbal", "drum_cymbal_closed"),
    46: ("elec_cymbal", "drum_cymbal_open"),
    37: ("elec_wood", "elec_pop"),
    47: ("elec_fuzz_tom", "elec_blup", "elec_bong"),
}
_AUDIOPHOB: dict[int, str] = {
    38: "*garage-city-snare*",
    42: "*hat-light*",
    46: "*open-p*",
    47: "*tom-0105*",
    49: "*crash*",
}


class Kits:
    """Single strokes by General MIDI key, an acoustic and an electronic kit, several strokes a key."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.acoustic = self._load(_ACOUSTIC)
        self.electronic = self._load(_ELECTRONIC)
        for key, pattern in _AUDIOPHOB.items():
            for file in sorted(AUDIOPHOB.glob(pattern)):
                self.electronic.setdefault(key, []).append(_read(file, rate_hz))

    def _load(self, table: dict[int, tuple[str, ...]]) -> dict[int, list[Samples]]:
        found = {key: [SONIC_PI / f"{name}.flac" for name in names] for key, names in table.items()}
        return {
            key: [_read(f, self.rate_hz) for f in files if f.is_file()]
            for key, files in found.items()
            if any(f.is_file() for f in files)
        }

    def play(
        self, part: Part, count: int, rng: np.random.Generator, *, electronic: bool
    ) -> tuple[Samples, Part | None]:
        """What the kit has, and a part with the strokes that it lacks, for another kit to play."""
        kit = self.electronic if electronic else self.acoustic
        chosen = {key: strokes[int(rng.integers(len(strokes)))] for key, strokes in sorted(kit.items())}
        speed = float(rng.uniform(0.85, 1.15))
        out = np.zeros(count, np.float32)
        left = []
        for note in part.notes:
            if note.pitch not in chosen:
                left.append(note)
                continue
            start = int(note.start_s * self.rate_hz)
            stroke = chosen[note.pitch]
            stroke = np.interp(np.arange(0, stroke.size - 1, speed), np.arange(stroke.size), stroke)
            stroke = stroke[: max(0, count - start)]
            out[start : start + stroke.size] += (stroke * (note.velocity / 127) ** 1.5).astype(np.float32)
        rest = None
        if left:
            rest = Part(**{**vars(part), "notes": tuple(left)})
        return levelled(out, part, rng) * np.float32(1.6), rest


class Speech:
    """Telephone prompts, put one after another with pauses."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        files = sorted(f for folder in SPEECH if folder.is_dir() for f in folder.rglob("*.wav") if _sized(f))
        step = max(1, len(files) // _MOST_PROMPTS)
        self._prompts = [_read(f, rate_hz)[: int(_LONGEST_S * rate_hz)] for f in files[::step]]

    def __bool__(self) -> bool:
        return bool(self._prompts)

    def speak(self, count: int, rng: np.random.Generator) -> Samples:
        """`count` samples of one prompt after another; peak 0.5."""
        out, at = np.zeros(count, np.float32), int(rng.uniform(0, 0.5) * self.rate_hz)
        while at < count:
            prompt = self._prompts[int(rng.integers(len(self._prompts)))][: count - at]
            out[at : at + prompt.size] += prompt
            at += prompt.size + int(rng.uniform(0.05, 0.6) * self.rate_hz)
        return (0.5 * out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def _sized(file: Path) -> bool:
    return file.stat().st_size > 20_000


def _read(file: Path, rate_hz: int) -> Samples:
    import soundfile

    audio, rate = soundfile.read(str(file), dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    divisor = np.gcd(rate, rate_hz)
    out: Samples = resample_poly(mono, rate_hz // divisor, rate // divisor).astype(np.float32)
    return out
