"""From a seed to a piece whose contents are known.

n steps a bar, a step is a sixteenth note. What is true of the piece is said by `describe`, from the notes themselves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labeling.recipe.composing.form import Bar, loop_bars, song_bars
from labeling.recipe.composing.instruments import ACOUSTIC_KITS, ELECTRONIC_KITS, INSTRUMENTS, LEADS
from labeling.recipe.composing.melody import write_melody
from labeling.recipe.composing.patterns import GROOVES, HAND_PERCUSSION, bass_hits, comp_hits, divided, divided_strokes
from labeling.recipe.composing.piece import Note, Part, Piece
from labeling.recipe.composing.solo import pick, solo_style
from labeling.recipe.composing.styles import STYLE_TABLE
from labeling.recipe.composing.theory import PROGRESSIONS, SCALES, chord_pitches, degree_pitch, into_range

__all__ = ["KIND_SHARES", "compose"]

KIND_SHARES: dict[str, float] = {"style": 0.60, "solo": 0.22, "duo": 0.05, "drums": 0.04, "voice": 0.04, "sound": 0.05}
"""What a training set is made of. The solo pieces teach instruments, which stay near chance without them."""

_SOUNDS = ("noise", "hum", "clicks", "beeps", "nature", "birds", "applause", "effects", "effects")
_OTHER_TEMPO, _LAYERED = 0.3, 0.2
_HELD, _HELD_STYLES = ("pad", "half", "block", "chorale"), ("ambient", "choral", "church", "suspense")
_RECORDING_SHARES = {"noisy": 0.06, "muffled": 0.05, "reverberant": 0.07}
_ARPEGGIOS = ("arp", "six", "alberti", "montuno")
_RECORDED_SPEECH = 0.6
"""Of speakers, whose sex is not stated because the renderer may take them from recordings."""
_SUSTAINED = ("pad", "drone", "chorale")


def compose(
    seed: int, duration_s: float, *, kind: str = "", style: str = "", song: bool = False, bpm: float = 0.0
) -> Piece:
    """One piece. `kind` and `style` are drawn where empty; `song` gives it a form with a beginning and an end."""
    rng = np.random.default_rng(seed)
    if not kind:
        kind = "style" if style else str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    recording = tuple(name for name, share in _RECORDING_SHARES.items() if rng.random() < share) if not song else ()
    if kind == "sound":
        sound = pick(rng, _SOUNDS)
        piece = _bare(seed, duration_s, "sound", Part(role="sound", instrument=sound, program=0, notes=()))
    elif kind == "voice" and rng.random() < 0.6:
        voice = "" if rng.random() < _RECORDED_SPEECH else _voice(rng)
        speaker = Part(role="sound", instrument="speaker", program=0, notes=(), voice=voice)
        piece = _bare(seed, duration_s, "voice", speaker)
    else:
        piece = _Composer(rng, seed, duration_s, kind, style, song, bpm).piece()
    return replace(piece, recording=recording)


def _voice(rng: np.random.Generator) -> str:
    return pick(rng, ("male", "female"))


def _bare(seed: int, duration_s: float, kind: str, part: Part) -> Piece:
    return Piece(seed=seed, duration_s=duration_s, parts=(part,), kind=kind)


def _division(bpm: float, rng: np.random.Generator) -> int:
    """1 where every part plays finer notes than its pattern, -1 coarser ones, 0 as it is.

    Slow pieces are often busy and fast ones often sparse, so that how fast a piece is can't be told from how many notes
    it has.
    """
    fine, coarse = (0.65, 0.08) if bpm < 90 else (0.08, 0.65) if bpm > 122 else (0.25, 0.25)
    return int(rng.choice([1, -1, 0], p=[fine, coarse, 1 - fine - coarse]))


class _Composer:
    """Draws the settings of one piece, then writes its parts bar by bar."""

    def __init__(
        self, rng: np.random.Generator, seed: int, duration_s: float, kind: str, style: str, song: bool, bpm: float
    ) -> None:
        self.rng, self.seed, self.duration_s, self.kind, self.song = rng, seed, duration_s, kind, song
        self.style_name = (style or pick(rng, tuple(STYLE_TABLE))) if kind == "style" else ""
        if kind == "style":
            self.style = STYLE_TABLE[self.style_name]
        elif kind == "duo":
            chordal = [n for n in LEADS if INSTRUMENTS[n].chords]
            self.style = solo_style(rng, (pick(rng, LEADS), pick(rng, chordal)))
        else:
            self.style = solo_style(rng, ("singer" if kind == "voice" else pick(rng, LEADS),))
        s = self.style
        self.bpm = bpm or float(rng.uniform(*s.bpm))
        if not song and kind == "style" and rng.random() < _OTHER_TEMPO:
            self.bpm = float(np.clip(self.bpm * rng.uniform(0.6, 1.6), 48, 190))
        self.division = 0 if song or bpm else _division(self.bpm, rng)
        self.meter = pick(rng, s.meters)
        self.n = 16 if self.meter == 4 else 12
        self.step_s = 60 / self.bpm / (6 if self.meter == 6 else 4)
        mode = "minor" if rng.random() < s.minor_share else "major"
        self.scale_name = s.scale or mode
        self.scale = SCALES[self.scale_name]
        self.key = int(rng.integers(-6, 6))
        self.swing = s.swing if kind != "drums" else float(rng.random() < 0.25)
        self.velocity = float(rng.uniform(*s.velocity))
        self.staccato = bool(rng.random() < 0.35) and self.style_name not in ("ambient", "choral", "church")
        progressions = PROGRESSIONS[self.scale_name]
        bar_s, verse = self.n * self.step_s, pick(rng, progressions)
        self.bars: list[Bar] = (
            song_bars(duration_s, bar_s, verse, pick(rng, progressions), rng)
            if song
            else loop_bars(duration_s, bar_s, verse)
        )

    def piece(self) -> Piece:
        parts = [self._drums("")] if self.kind == "drums" else self._pitched_parts() + self._percussion_parts()
        sections: list[tuple[str, float]] = []
        for bar in self.bars:
            if not sections or sections[-1][0] != bar.section:
                sections.append((bar.section, round(bar.start_s, 3)))
        return Piece(
            seed=self.seed,
            duration_s=self.duration_s,
            parts=tuple(p for p in parts if p.notes),
            kind=self.kind,
            style=self.style_name,
            bpm=self.bpm,
            meter=self.meter,
            scale=self.scale_name,
            swing=self.swing,
            staccato=self.staccato,
            sections=tuple(sections) if self.song else (),
        )

    # --- settings of single parts

    def _program(self, instrument: str) -> int:
        programs = INSTRUMENTS[instrument].programs
        return pick(self.rng, programs) if programs else 0

    def _part(self, role: str, instrument: str, notes: list[Note], *, volume: int, texture: str = "") -> Part:
        rng = self.rng
        pan = {"lead": 0.5, "bass": 0.5, "comp": 0.35, "pad": 0.6}.get(role, 0.5) + rng.uniform(-0.12, 0.12)
        return Part(
            role=role,
            instrument=instrument,
            program=self._program(instrument),
            notes=tuple(sorted(notes)),
            texture=texture,
            volume=int(np.clip(volume + rng.integers(-14, 15), 30, 127)),
            pan=float(np.clip(pan, 0, 1)),
            voice=_voice(rng) if instrument == "singer" else "",
        )

    def _time(self, bar: Bar, step: float) -> float:
        late = self.swing * 0.6 * self.step_s if self.swing and step % 4 == 2 else 0.0
        return max(0.0, bar.start_s + step * self.step_s + late + float(self.rng.normal(0, 0.004)))

    def _note(self, bar: Bar, step: float, length: float, pitch: int, accent: float) -> Note | None:
        start = self._time(bar, step)
        if start >= self.duration_s:
            return None
        velocity = int(np.clip(self.velocity + bar.loudness + accent + self.rng.normal(0, 4), 20, 127))
        return Note(start, max(0.04, length * self.step_s), int(np.clip(pitch, 21, 108)), velocity)

    # --- pitched parts

    def _pitched_parts(self) -> list[Part]:
        rng, s = self.rng, self.style
        comp = pick(rng, s.comp) if s.comp else ""
        lead = pick(rng, s.lead) if rng.random() < s.lead_share else ""
        if self.kind == "style" and lead and not self.song:
            if rng.random() < s.singer_share:
                lead = "singer"
            elif rng.random() < 0.22:
                lead = pick(rng, LEADS)
        bass = pick(rng, s.bass) if s.bass and (self.song or rng.random() < 0.94) else ""
        pad = pick(rng, s.pad) if s.pad and rng.random() < max(s.pad_share, self.song) else ""
        if self.song and not lead:
            lead = pick(rng, s.lead)
        parts: list[Part] = []
        if comp:
            parts.append(self._comp(comp, octave=int(rng.choice([0, 0, 0, -12, 12])) if self.kind == "solo" else 0))
        if comp and self.kind == "style" and not self.song and rng.random() < _LAYERED:
            parts.append(self._comp(pick(rng, [n for n in LEADS if INSTRUMENTS[n].chords]), octave=0))
        if bass:
            parts.append(self._bass(bass))
        if lead:
            parts.append(self._lead(lead))
        if pad and pad != comp:
            parts.append(self._pad(pad))
        if s.extras and rng.random() < s.extras_share:
            parts.append(self._extra(pick(rng, s.extras)))
        return parts

    def _comp(self, name: str, octave: int) -> Part:
        rng, instrument = self.rng, INSTRUMENTS[name]
        pattern = pick(rng, self.style.comp_patterns)
        if self.division > 0 and pattern in _HELD and self.style_name not in _HELD_STYLES and rng.random() < 0.5:
            pattern = pick(rng, ("arp", "six", "eighth"))
        centre = int(np.clip(57 + octave, instrument.low + 4, instrument.high - 12)) + self.key
        shorten = 0.5 if self.staccato and pattern not in _SUSTAINED else 1.0
        strum_s = 0.012 if pattern == "strum" or instrument.family in ("guitar", "plucked") else 0.0
        notes: list[Note] = []
        for bar in self.bars:
            if "comp" not in bar.layers:
                continue
            chord = chord_pitches(bar.chord, centre, self.scale, self.scale_name, seventh=self.style.sevenths)
            chord = [into_range(p, instrument.low, centre + 14) for p in chord]
            if not instrument.chords:
                chord = chord[:1]
            for step, length, voices in (
                [(0, self.n, None)] if bar.last else divided(comp_hits(pattern, self.n, rng), self.division)
            ):
                for k, pitch in enumerate(_voiced(chord, voices)):
                    note = self._note(bar, step, length * shorten, into_range(pitch, instrument.low, 108), -8)
                    if note:
                        notes.append(note._replace(start_s=note.start_s + k * strum_s))
        texture = "arpeggio" if pattern in _ARPEGGIOS else "sustained" if pattern in _SUSTAINED else "chords"
        return self._part("comp", name, notes, volume=92, texture=texture)

    def _bass(self, name: str) -> Part:
        instrument, pattern = INSTRUMENTS[name], pick(self.rng, self.style.bass_patterns)
        low = max(instrument.low, 33)
        notes: list[Note] = []
        for bar in self.bars:
            if "bass" not in bar.layers:
                continue
            root = into_range(degree_pitch(bar.chord, 36 + self.key, self.scale), low, low + 11)
            hits = (
                [(0, float(self.n), 0)] if bar.last else divided(bass_hits(pattern, self.n, bar.index), self.division)
            )
            for step, length, above in hits:
                note = self._note(bar, step, length * 0.95, root + above, 4)
                if note:
                    notes.append(note)
        return self._part("bass", name, notes, volume=104)

    def _lead(self, name: str) -> Part:
        instrument = INSTRUMENTS[name]
        octave = int(self.rng.choice([0, 0, 0, 12, -12])) if self.kind in ("solo", "duo") else 0
        middle = (instrument.low + instrument.high) // 2 + octave
        base = int(np.clip(middle, instrument.low + 5, instrument.high - 12)) + self.key
        shorten = 0.45 if self.staccato else 0.98
        notes: list[Note] = []
        for bar, line in write_melody(self.bars, self.n, self._pace(), self.meter, self.rng):
            for step, length, degree in line:
                pitch = into_range(degree_pitch(degree, base, self.scale), instrument.low, instrument.high)
                note = self._note(bar, step, length * (1.0 if bar.last else shorten), pitch, 8)
                if note:
                    notes.append(note)
        return self._part("lead", name, notes, volume=108, texture="melody")

    def _pace(self) -> str:
        order = ("sparse", "mid", "busy", "run")
        return order[int(np.clip(order.index(self.style.lead_pace) + self.division, 0, 3))]

    def _pad(self, name: str) -> Part:
        notes: list[Note] = []
        for bar in self.bars:
            if "pad" in bar.layers:
                for pitch in chord_pitches(bar.chord, 58 + self.key, self.scale, self.scale_name, seventh=False):
                    note = self._note(bar, 0, self.n, into_range(pitch, 52, 76), -20)
                    if note:
                        notes.append(note)
        return self._part("pad", name, notes, volume=88, texture="sustained")

    def _extra(self, name: str) -> Part:
        steps = pick(self.rng, ((0, self.n // 2, self.n - 2), (0, 3, 6, 8, 11), (0, 8)))
        notes: list[Note] = []
        for bar in self.bars:
            if "extra" in bar.layers:
                root = into_range(degree_pitch(bar.chord, 38 + self.key, self.scale), 36, 50)
                for step in (0,) if bar.last else steps:
                    note = self._note(bar, step, 3, root, 10) if step < self.n else None
                    if note:
                        notes.append(note)
        return self._part("extra", name, notes, volume=110)

    # --- percussion

    def _percussion_parts(self) -> list[Part]:
        rng, s = self.rng, self.style
        if not s.groove or rng.random() >= s.drums_share:
            return []
        parts = [self._drums(s.groove)]
        if s.percussion and rng.random() < 0.35:
            parts.append(self._hand_percussion(pick(rng, s.percussion), parts[0].program))
        return parts

    def _drums(self, groove: str) -> Part:
        rng = self.rng
        kit = pick(rng, self.style.kits if groove else (*ACOUSTIC_KITS[:5], *ELECTRONIC_KITS))
        hits = GROOVES[groove or pick(rng, tuple(GROOVES))]
        notes: list[Note] = []
        for bar in self.bars:
            if "drums" not in bar.layers:
                continue
            if bar.last:
                notes += [n for key in (36, 49) if (n := self._note(bar, 0, 1, key, 6))]
                continue
            for key, steps in hits.items():
                if key == 49 and bar.index % 2:
                    continue
                accent = 10 if key in (36, 38) else -12
                steps = divided_strokes(key, steps, self.division)
                places = [s for s in steps if s < self.n and (not s or rng.random() >= 0.05)]
                if rng.random() < 0.2:
                    places.append(int(rng.integers(self.n)))  # a ghost note
                notes += [n for s in places if (n := self._note(bar, s, 0.5, key, accent + 6 * (s % 4 == 0)))]
            if bar.fill and rng.random() < 0.7:
                toms = [pick(rng, (38, 45, 47, 50)) for _ in range(4)]
                notes += [n for k, key in enumerate(toms) if (n := self._note(bar, self.n - 4 + k, 0.5, key, 6))]
        return replace(self._drum_part(kit, notes), instrument="drum kit")

    def _hand_percussion(self, name: str, kit: int) -> Part:
        notes: list[Note] = []
        for bar in self.bars:
            if "drums" in bar.layers and not bar.last:
                for key, steps in HAND_PERCUSSION[name].items():
                    notes += [n for s in steps if s < self.n and (n := self._note(bar, s, 0.5, key, 4))]
        return replace(self._drum_part(kit, notes), instrument=name)

    def _drum_part(self, kit: int, notes: list[Note]) -> Part:
        volume = int(self.rng.integers(86, 120))
        return Part(role="drums", instrument="", program=kit, notes=tuple(sorted(notes)), volume=volume)


def _voiced(chord: list[int], voices: int | str | None) -> list[int]:
    if voices is None:
        return chord
    if voices == "power":
        return [chord[0] - 12, chord[0] - 5]
    if voices == "bass":
        return [chord[0] - 24, chord[0] - 12]
    octave, k = divmod(int(voices), len(chord))
    return [chord[k] + 12 * octave]
