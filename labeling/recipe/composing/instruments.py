"""What each instrument of the lexicon is on a General MIDI synthesiser, and where it plays."""

from __future__ import annotations

from dataclasses import dataclass

from vocab.grammar.lexicon import FAMILY_OF

__all__ = ["ACOUSTIC_KITS", "ELECTRONIC_KITS", "INSTRUMENTS", "LEADS", "Instrument"]


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One instrument as the renderer and the composer see it."""

    name: str
    programs: tuple[int, ...]
    """General MIDI programs that sound like it; empty for the singer, who is synthesised by `voice`."""
    low: int
    high: int
    """Comfortable range, MIDI pitches."""
    chords: bool
    """Can play several notes at once."""

    @property
    def family(self) -> str:
        return FAMILY_OF[self.name]


_TABLE: dict[str, tuple[tuple[int, ...], int, int, bool]] = {
    "piano": ((0, 1), 36, 96, True),
    "electric piano": ((4, 5), 40, 88, True),
    "harpsichord": ((6,), 36, 86, True),
    "music box": ((10,), 62, 98, True),
    "glockenspiel": ((9, 8), 67, 100, True),
    "vibraphone": ((11,), 53, 89, True),
    "marimba": ((12,), 45, 88, True),
    "xylophone": ((13,), 65, 98, True),
    "tubular bells": ((14,), 55, 79, True),
    "steel drums": ((114,), 55, 86, True),
    "kalimba": ((108,), 55, 84, True),
    "hammond organ": ((16, 17, 18), 40, 88, True),
    "church organ": ((19,), 36, 84, True),
    "accordion": ((21,), 48, 86, True),
    "harmonica": ((22,), 58, 86, False),
    "acoustic guitar": ((24, 25), 40, 81, True),
    "clean electric guitar": ((26, 27), 40, 83, True),
    "distorted guitar": ((29, 30), 38, 84, True),
    "harp": ((46,), 40, 93, True),
    "banjo": ((105,), 50, 84, True),
    "sitar": ((104,), 48, 80, False),
    "koto": ((107,), 50, 84, True),
    "violin": ((40, 110), 57, 92, False),
    "cello": ((42,), 38, 70, False),
    "pizzicato strings": ((45,), 43, 88, True),
    "tremolo strings": ((44,), 43, 86, True),
    "string ensemble": ((48, 49), 43, 88, True),
    "choir": ((52, 53), 48, 79, True),
    "singer": ((), 43, 79, False),
    "trumpet": ((56,), 55, 84, False),
    "muted trumpet": ((59,), 55, 82, False),
    "trombone": ((57,), 41, 70, False),
    "tuba": ((58,), 30, 55, False),
    "french horn": ((60,), 43, 74, False),
    "brass section": ((61,), 45, 80, True),
    "saxophone": ((65, 66), 46, 80, False),
    "oboe": ((68,), 58, 86, False),
    "bassoon": ((70,), 36, 67, False),
    "clarinet": ((71,), 52, 86, False),
    "flute": ((73,), 62, 94, False),
    "recorder": ((74,), 64, 92, False),
    "pan flute": ((75,), 60, 90, False),
    "whistle": ((78,), 67, 94, False),
    "bagpipes": ((109,), 58, 80, False),
    "square lead": ((80,), 48, 92, True),
    "saw lead": ((81,), 46, 90, True),
    "synth pad": ((88, 89, 91, 94, 95), 43, 82, True),
    "synth strings": ((50, 51), 45, 86, True),
    "acoustic bass": ((32,), 28, 52, False),
    "electric bass": ((33, 34), 28, 52, False),
    "slap bass": ((36,), 28, 55, False),
    "synth bass": ((38, 39), 28, 52, False),
    "timpani": ((47,), 36, 55, False),
    "taiko": ((116,), 36, 52, False),
}

INSTRUMENTS: dict[str, Instrument] = {
    name: Instrument(name=name, programs=programs, low=low, high=high, chords=chords)
    for name, (programs, low, high, chords) in _TABLE.items()
}
"""Congas, tambourine, shaker and hand claps are keys of the drum kit, see `patterns.HAND_PERCUSSION`."""

LEADS: tuple[str, ...] = tuple(n for n, i in INSTRUMENTS.items() if i.family not in ("bass", "percussion"))

ACOUSTIC_KITS: tuple[int, ...] = (0, 8, 16, 32, 40, 48)
ELECTRONIC_KITS: tuple[int, ...] = (24, 25)
