"""The composer and the describer: same seed same piece, and facts that follow from the notes."""

from __future__ import annotations

import pytest

from labeling.recipe.composing.compose import KIND_SHARES, compose
from labeling.recipe.composing.describe import describe, tempo_class
from labeling.recipe.composing.form import ALL_LAYERS, loop_bars
from labeling.recipe.composing.instruments import INSTRUMENTS
from labeling.recipe.composing.patterns import BASS, COMP, GROOVES, bass_hits
from labeling.recipe.composing.piece import Note, Part, Piece
from labeling.recipe.composing.styles import STYLE_TABLE
from labeling.recipe.composing.theory import PROGRESSIONS, SCALES, chord_pitches, degree_pitch, into_range
from vocab.grammar.lexicon import FACTS, FAMILY_OF, STYLES

PERCUSSION_KEYS_ONLY = {"congas", "tambourine", "shaker", "hand claps"}


def _part(role: str, instrument: str, *notes: Note, program: int = 0, texture: str = "") -> Part:
    return Part(role=role, instrument=instrument, program=program, notes=notes, texture=texture)


def _piece(*parts: Part, bpm: float = 100, duration_s: float = 10, scale: str = "major", kind: str = "solo") -> Piece:
    return Piece(seed=0, duration_s=duration_s, parts=parts, kind=kind, bpm=bpm, scale=scale)


def test_tables_fit_the_lexicon() -> None:
    assert set(STYLE_TABLE) == set(STYLES)
    assert set(INSTRUMENTS) == set(FAMILY_OF) - PERCUSSION_KEYS_ONLY
    for name, style in STYLE_TABLE.items():
        players = {*style.comp, *style.lead, *style.bass, *style.pad, *style.extras}
        assert players <= set(INSTRUMENTS), name
        assert set(style.comp_patterns) <= set(COMP), name
        assert set(style.bass_patterns) <= set(BASS) | {"walk"}, name
        assert style.groove in {"", *GROOVES}, name
        assert {f"mood:{m}" for m in style.moods} | set(style.tags) <= set(FACTS), name
    assert sum(KIND_SHARES.values()) == pytest.approx(1)
    assert set(PROGRESSIONS) == set(SCALES)


def test_same_seed_same_piece_another_seed_another() -> None:
    assert compose(5, 8.0) == compose(5, 8.0)
    assert compose(5, 8.0) != compose(6, 8.0)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_composes_and_says_its_name(style: str) -> None:
    piece = compose(1, 8.0, style=style)
    facts = describe(piece)
    assert f"style:{style}" in facts
    assert facts <= set(FACTS)
    assert all(0 <= n.start_s < 8.0 and 21 <= n.pitch <= 108 and 20 <= n.velocity <= 127
               for p in piece.parts for n in p.notes)  # fmt: skip


def test_a_song_begins_thin_ends_on_a_held_chord_and_fits_its_length() -> None:
    piece = compose(3, 60.0, style="rock", song=True, bpm=120)
    names = [name for name, _ in piece.sections]
    assert names[0] == "intro"
    assert names[-1] == "outro"
    assert "chorus" in names
    assert piece.recording == ()
    last = max(n.start_s for p in piece.parts for n in p.notes)
    assert 50 < last < 60
    first_chorus = dict(reversed(piece.sections))["chorus"]
    playing = {p.role for p in piece.parts if any(n.start_s < first_chorus / 4 for n in p.notes)}
    assert "lead" not in playing


def test_loop_bars_fill_the_duration() -> None:
    bars = loop_bars(10.0, 2.0, (0, 3, 4))
    assert [b.chord for b in bars] == [0, 3, 4, 0, 3, 4]
    assert [b.start_s for b in bars] == [0, 2, 4, 6, 8, 10]
    assert all(b.layers == ALL_LAYERS for b in bars)
    assert [b.fill for b in bars] == [False, False, False, True, False, False]


def test_theory() -> None:
    assert degree_pitch(7, 60, SCALES["major"]) == 72
    assert degree_pitch(-1, 60, SCALES["minor"]) == 58
    assert chord_pitches(4, 60, SCALES["major"], "major", seventh=True) == [67, 71, 74, 77]
    assert chord_pitches(3, 60, SCALES["blues"], "blues", seventh=True) == [65, 69, 72, 75]
    assert into_range(100, 40, 60) == 52
    assert into_range(30, 40, 60) == 42


def test_walking_bass_turns_every_other_bar() -> None:
    assert [h[2] for h in bass_hits("walk", 16, 0)] == [0, 3, 5, 7]
    assert [h[2] for h in bass_hits("walk", 16, 1)] == [0, 4, 7, 9]


@pytest.mark.parametrize(
    ("bpm", "expected"), [(0, ""), (60, "slow"), (84, ""), (92, "medium"), (118, "medium"), (126, ""), (127, "fast")]
)
def test_tempo_classes_leave_gaps(bpm: float, expected: str) -> None:
    assert tempo_class(bpm) == expected


def test_a_lone_high_soft_flute() -> None:
    notes = tuple(Note(k * 1.0, 0.9, 84, 50) for k in range(10))
    facts = describe(_piece(_part("lead", "flute", *notes, texture="melody"), bpm=60))
    assert facts >= {
        *("instrument:flute", "lead:flute", "family:woodwind", "ensemble:solo", "drums:no", "voice:no"),
        *("texture:melody", "tempo:slow", "energy:calm", "density:sparse", "register:high", "palette:acoustic"),
    }
    assert "mood:dreamy" in facts
    assert not {"drums:yes", "register:low", "energy:high"} & facts


def test_drums_are_told_by_kit_and_keys() -> None:
    beat = tuple(Note(k * 0.25, 0.1, 36 if k % 2 else 39, 100) for k in range(40))
    facts = describe(_piece(Part(role="drums", instrument="drum kit", program=25, notes=beat)))
    assert facts >= {"drums:yes", "kit:electronic", "ensemble:drums", "instrument:hand claps"}
    assert "drums:no" not in facts


def test_a_window_has_only_what_sounds_in_it() -> None:
    early = _part("comp", "piano", *(Note(k * 0.5, 0.4, 60, 80) for k in range(20)))
    late = _part("lead", "violin", *(Note(10 + k * 0.5, 0.4, 70, 80) for k in range(20)))
    piece = _piece(early, late, duration_s=20)
    assert "instrument:violin" not in describe(piece, 0, 10)
    assert "ensemble:solo" in describe(piece, 0, 10)
    assert "instrument:piano" not in describe(piece, 10, 20)
    assert describe(piece) >= {"instrument:piano", "instrument:violin", "ensemble:duo", "lead:violin"}


def test_non_music_has_no_musical_facts() -> None:
    piece = Piece(seed=0, duration_s=5, parts=(_part("sound", "hum"),), kind="sound", recording=("noisy",))
    assert describe(piece) == {"sound:hum", "sound:non-music", "drums:no", "voice:no", "recording:noisy"}
    speech = Part(role="sound", instrument="speaker", program=0, notes=(), voice="female")
    facts = describe(Piece(seed=0, duration_s=5, parts=(speech,), kind="voice"))
    assert facts == {"voice:spoken", "voice:female", "sound:non-music", "drums:no"}
