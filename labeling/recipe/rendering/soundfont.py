"""Notes to samples through a General MIDI soundfont.

`tinysoundfont` renders ten seconds of a full band in about 40 ms, soundfont loaded once; the `fluidsynth` command
sounds the same but loads 148 MB for each piece. It is installed without its dependencies (PyAudio is for playing).

T samples, C channels.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.recipe.composing.piece import Part
from pipeline.errors import BadInput

__all__ = ["FLUID_R3", "MUSESCORE", "TIM_GM", "SoundFont"]

FLUID_R3 = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
"""Debian's `fluid-soundfont-gm`, MIT: what is shipped is made with it."""
MUSESCORE = Path("/usr/share/sounds/sf2/MuseScore_General_Full.sf2")
"""Debian's `musescore-general-soundfont-lossless`, MIT with CC0 and public domain parts: training's other font."""
TIM_GM = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
"""Debian's `timgm6mb-soundfont`, GPL-2: the unseen test. Nothing made with it is ever shipped."""

_PACKAGES = {
    FLUID_R3.name: "fluid-soundfont-gm",
    MUSESCORE.name: "musescore-general-soundfont-lossless",
    TIM_GM.name: "timgm6mb-soundfont",
}
_DRUM_CHANNEL = 9
_SMALLEST_BLOCK = 64
_FADERS = {"lead": 1.4, "comp": 1.25, "pad": 1.1, "drums": 0.75}
_LEVEL_DB = -27.0
"""Towards which the programs of a font are levelled by three quarters: fonts differ by 20 dB between instruments."""


class SoundFont:
    """A loaded soundfont at one sample rate."""

    def __init__(self, path: Path, sample_rate_hz: int, *, stereo: bool = False) -> None:
        if not path.is_file():
            raise BadInput(
                f"{path}: no such soundfont; install it: apt install {_PACKAGES.get(path.name, 'soundfont')}"
            )
        try:
            library: Any = importlib.import_module("tinysoundfont._tinysoundfont")
        except ImportError:
            raise BadInput("tinysoundfont is missing; install it: pip install --no-deps tinysoundfont") from None
        self.sample_rate_hz, self.channels = sample_rate_hz, 2 if stereo else 1
        self._font = library.SoundFont(str(path))
        mode = library.OutputMode.StereoInterleaved if stereo else library.OutputMode.Mono
        self._font.set_output(mode, sample_rate_hz, -8.0)
        self._font.set_max_voices(128)
        self._loudness_db: dict[tuple[int, int], float] = {}

    def render(
        self,
        parts: Sequence[Part],
        duration_s: float,
        *,
        detune_semitones: float = 0.0,
        formants_semitones: Sequence[int] = (),
    ) -> NDArray[np.float32]:
        """[T] or [T, 2] float32. Parts without a program of this font (singer, speaker) are left out.

        `formants_semitones`, one a part: its notes are made of recordings of keys so much lower, played faster: the
        same pitches in another colour.
        """
        font, channels = self._font, self.channels
        self._measure(parts)
        self._silence()
        events: list[tuple[float, int, int, int, float]] = []  # time, 0 off before 1 on, channel, pitch, velocity
        free = [c for c in range(16) if c != _DRUM_CHANNEL]
        for part, shift in zip(parts, formants_semitones or [0] * len(parts), strict=True):
            if part.instrument in ("singer", "speaker"):
                continue
            drums = part.role == "drums"
            channel = _DRUM_CHANNEL if drums else free.pop(0)
            self._prepare(channel, part, shift + (0.0 if drums else detune_semitones))
            for note in part.notes:
                key = note.pitch if drums else note.pitch - shift
                events.append((note.start_s, 1, channel, key, note.velocity / 127))
                events.append((note.start_s + note.duration_s, 0, channel, key, 0.0))
        count = round(duration_s * self.sample_rate_hz)
        out = np.zeros(count * channels, dtype=np.float32)
        done = 0
        for time_s, on, channel, pitch, velocity in sorted(events):
            at = min(int(time_s * self.sample_rate_hz), count)
            if at - done >= _SMALLEST_BLOCK or at == count:
                self._fill(out[done * channels : at * channels])
                done = at
            if at == count:
                break
            if on:
                font.channel_note_on(channel, pitch, velocity)
            else:
                font.channel_note_off(channel, pitch)
        self._fill(out[done * channels :])
        return out.reshape(count, channels) if channels > 1 else out

    def loudness_db(self, part: Part) -> float:
        """How loud the font plays it before levelling; a program that this synthesiser can't play well is near -50."""
        self._measure([part])
        return self._loudness_db.get(_trim_key(part), _LEVEL_DB) if part.role != "drums" else _LEVEL_DB

    def _prepare(self, channel: int, part: Part, tuning_semitones: float) -> None:
        font, drums = self._font, channel == _DRUM_CHANNEL
        font.channel_set_bank(channel, 128 if drums else 0)
        try:
            font.channel_set_preset_number(channel, part.program, drums)
        except RuntimeError:  # a kit that this font lacks
            font.channel_set_preset_number(channel, 0, drums)
        font.channel_set_tuning(channel, tuning_semitones)
        loudness = (part.volume / 100) ** 2 * _FADERS.get(part.role, 1.0) * (1.0 if drums else self._trim(part))
        font.channel_set_volume(channel, loudness)
        font.channel_set_pan(channel, part.pan)

    def _silence(self) -> None:
        """After `reset` voices fade for some milliseconds, with which the next piece would begin: rendered away."""
        self._font.reset()
        self._fill(np.zeros(self.sample_rate_hz // 5 * self.channels, dtype=np.float32))

    def _measure(self, parts: Sequence[Part]) -> None:
        """Before a piece: how loud this font plays each program in the octave where the part lies."""
        for part in parts:
            if part.role == "drums" or not part.notes or part.instrument in ("singer", "speaker"):
                continue
            key = _trim_key(part)
            if key in self._loudness_db:
                continue
            font, pitch = self._font, key[1] * 12 + 6
            self._silence()
            font.channel_set_bank(0, 0)
            font.channel_set_preset_number(0, part.program, False)
            font.channel_set_volume(0, 1.0)
            font.channel_note_on(0, pitch, 0.7)
            second = np.zeros(self.sample_rate_hz * self.channels, dtype=np.float32)
            self._fill(second)
            self._loudness_db[key] = 20 * float(np.log10(np.sqrt(np.mean(second**2)) + 1e-6))

    def _trim(self, part: Part) -> float:
        loudness_db = self._loudness_db.get(_trim_key(part), _LEVEL_DB)
        return float(10 ** (np.clip(0.75 * (_LEVEL_DB - loudness_db), -9, 14) / 20))

    def _fill(self, block: NDArray[np.float32]) -> None:
        if block.size:
            self._font.render(memoryview(block.data).cast("B"))


def _trim_key(part: Part) -> tuple[int, int]:
    """Program and octave."""
    middle = sorted(note.pitch for note in part.notes)[len(part.notes) // 2]
    return part.program, middle // 12
