"""What is true of a piece, or of a stretch of it, read from the notes that sound there.

Thresholds leave a gap between opposites: at 88 beats a minute neither `tempo:slow` nor `tempo:medium` is stated, so
that what is stated is clear to a listener too.
"""

from __future__ import annotations

import numpy as np

from labeling.recipe.composing.instruments import ELECTRONIC_KITS
from labeling.recipe.composing.piece import Note, Part, Piece
from labeling.recipe.composing.styles import STYLE_TABLE
from vocab.grammar.lexicon import WORDS, with_implied

__all__ = ["SLOW_BELOW_BPM", "describe", "tempo_class"]

SLOW_BELOW_BPM, MEDIUM_BPM, FAST_ABOVE_BPM = 84.0, (92.0, 118.0), 126.0
SPARSE_BELOW_NOTES_S, BUSY_ABOVE_NOTES_S = 4.5, 16.0
CALM_BELOW_VELOCITY, HIGH_ABOVE_VELOCITY = 67.0, 88.0
LOW_BELOW_PITCH, HIGH_ABOVE_PITCH = 54.0, 74.0

_NOT_ACOUSTIC = {
    *("electric piano", "hammond organ", "clean electric guitar", "distorted guitar", "square lead", "saw lead"),
    *("synth pad", "synth strings", "electric bass", "slap bass", "synth bass"),
}
_TENDER = {"violin", "cello", "piano", "saxophone", "acoustic guitar", "oboe", "string ensemble", "clarinet", "harp"}
_PLAYFUL = {
    *("pizzicato strings", "xylophone", "glockenspiel", "marimba", "bassoon", "clarinet", "kalimba", "whistle"),
    *("music box", "recorder", "muted trumpet", "tuba"),
}
_PERCUSSION_KEYS = {"congas": (60, 61, 62, 63, 64), "tambourine": (54,), "shaker": (70,), "hand claps": (39,)}
_VOICED_SOUNDS = {"applause"}


def tempo_class(bpm: float) -> str:
    """`slow`, `medium`, `fast`, or empty in the gaps between."""
    if 0 < bpm < SLOW_BELOW_BPM:
        return "slow"
    if MEDIUM_BPM[0] <= bpm <= MEDIUM_BPM[1]:
        return "medium"
    return "fast" if bpm > FAST_ABOVE_BPM else ""


def describe(piece: Piece, start_s: float = 0.0, end_s: float | None = None) -> frozenset[str]:
    """Facts of the lexicon, with all they imply, that hold between two times."""
    end_s = piece.duration_s if end_s is None else end_s
    facts = {f"recording:{name}" for name in piece.recording}
    if piece.parts and piece.parts[0].role == "sound":
        return with_implied(facts | _sound_facts(piece.parts[0]))
    heard = {part: notes for part in piece.parts if len(notes := _between(part, start_s, end_s)) >= 2 or _holds(notes)}
    facts |= _player_facts(piece, heard)
    facts |= _measured_facts(piece, heard, end_s - start_s)
    facts |= _mood_facts(piece, heard, facts)
    if piece.style:
        facts.add(f"style:{piece.style}")
        facts |= set(STYLE_TABLE[piece.style].tags)
    return with_implied(f for f in facts if f in WORDS)


def _between(part: Part, start_s: float, end_s: float) -> list[Note]:
    return [n for n in part.notes if n.start_s < end_s and n.start_s + n.duration_s > start_s]


def _holds(notes: list[Note]) -> bool:
    return any(n.duration_s > 2.0 for n in notes)


def _sound_facts(part: Part) -> set[str]:
    facts = {"drums:no", "sound:non-music"}
    if part.instrument == "speaker":
        return facts | {"voice:spoken"} | ({f"voice:{part.voice}"} if part.voice else set())
    if f"sound:{part.instrument}" in WORDS:
        facts.add(f"sound:{part.instrument}")
    return facts if part.instrument in _VOICED_SOUNDS else facts | {"voice:no"}


def _player_facts(piece: Piece, heard: dict[Part, list[Note]]) -> set[str]:
    """Who plays: instruments, lead, drums and their kit, voices, how many players."""
    facts: set[str] = set()
    kits = [p for p in heard if p.instrument == "drum kit"]
    pitched = [p for p in heard if p.role not in ("drums", "extra")]
    players = {p.instrument for p in pitched}
    facts |= {f"instrument:{p.instrument}" for p in heard if p.role != "drums"}
    keys = [n.pitch for p in heard if p.role == "drums" for n in heard[p]]
    facts |= {f"instrument:{name}" for name, of in _PERCUSSION_KEYS.items() if sum(k in of for k in keys) >= 4}
    if kits:
        facts |= {"drums:yes", "kit:electronic" if kits[0].program in ELECTRONIC_KITS else "kit:acoustic"}
    elif not any(p.role in ("drums", "extra") for p in heard):
        facts.add("drums:no")
    lead = next((p for role in ("lead", "comp") for p in pitched if p.role == role), None)
    if lead and (lead.role == "lead" or len(players) == 1):
        facts.add(f"lead:{lead.instrument}")
    if not players & {"singer", "choir"}:
        facts.add("voice:no")
    facts |= {f"voice:{p.voice}" for p in pitched if p.voice}
    if not pitched and kits:
        facts.add("ensemble:drums")
    elif len(players) == 1 and len(heard) == len(pitched):
        facts.add("ensemble:solo")
    elif len(players) == 2 and len(heard) == len(pitched):
        facts.add("ensemble:duo")
    elif len(players) >= 3 or (len(players) == 2 and kits):
        facts.add("ensemble:group")
    if pitched and not players & _NOT_ACOUSTIC and "kit:electronic" not in facts:
        facts.add("palette:acoustic")
    comp = [p for p in pitched if p.role == "comp"]
    facts |= {f"texture:{p.texture}" for p in comp if p.texture}
    if pitched and not comp and "ensemble:solo" in facts:
        facts.add("texture:melody")
    return facts


def _measured_facts(piece: Piece, heard: dict[Part, list[Note]], seconds: float) -> set[str]:
    """Tempo, density, energy, register, swing."""
    facts: set[str] = set()
    notes = [n for ns in heard.values() for n in ns]
    if not notes:
        return facts
    if tempo := tempo_class(piece.bpm):
        facts.add(f"tempo:{tempo}")
    rate, velocity = len(notes) / seconds, float(np.mean([n.velocity for n in notes]))
    if rate < SPARSE_BELOW_NOTES_S:
        facts.add("density:sparse")
    if rate > BUSY_ABOVE_NOTES_S:
        facts.add("density:busy")
    if velocity < CALM_BELOW_VELOCITY and rate < 14:
        facts.add("energy:calm")
    if velocity > HIGH_ABOVE_VELOCITY and rate > 8:
        facts.add("energy:high")
    melodic = [n.pitch for p, ns in heard.items() if p.role in ("lead", "comp") for n in ns]
    if melodic and np.mean(melodic) < LOW_BELOW_PITCH:
        facts.add("register:low")
    if melodic and np.mean(melodic) > HIGH_ABOVE_PITCH:
        facts.add("register:high")
    if piece.swing >= 0.9 and rate > 4:
        facts.add("feel:swing")
    return facts


def _mood_facts(piece: Piece, heard: dict[Part, list[Note]], facts: set[str]) -> set[str]:
    """Moods follow from what can be heard: speed, loudness, register, instruments, and mode where it is not alone."""
    style = STYLE_TABLE.get(piece.style)
    moods = set(style.moods) if style else set()
    if not any(p.role in ("lead", "comp") for p in heard):
        return {f"mood:{m}" for m in moods}
    minor = piece.scale in ("minor", "harmonic minor", "cluster")
    calm, high, slow = "energy:calm" in facts, "energy:high" in facts, piece.bpm < 92
    players = {p.instrument for p in heard}
    if minor and slow and not high and "groovy" not in moods and not piece.staccato:
        moods.add("sad")
    if piece.scale == "major" and piece.bpm > 105 and not calm and "hypnotic" not in moods:
        moods.add("happy")
    if piece.staccato and piece.bpm > 95 and players & _PLAYFUL and "register:low" not in facts and not minor:
        moods.add("playful")
    if slow and not piece.staccato and not high and not minor and players & _TENDER and "drums:yes" not in facts:
        moods.add("romantic")
    if calm and slow and not minor and "density:busy" not in facts:
        moods.add("dreamy")
    if minor and ("register:low" in facts or "distorted guitar" in players or piece.style == "techno"):
        moods.add("dark")
    if high and "distorted guitar" in players:
        moods.add("aggressive")
    if (
        high
        and players & {"brass section", "choir", "timpani", "taiko", "french horn"}
        and piece.style
        in (
            "orchestral",
            "church",
            "suspense",
            "",
        )
    ):
        moods.add("epic")
    return {f"mood:{m}" for m in moods}
