"""Synthesisers, drum machines, amplifiers and mastering of the training music, measured in what they put out."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.patterns import divided, divided_strokes
from labeling.recipe.composing.piece import Note, Part
from labeling.recipe.rendering.mastering import amplified, mastered, pumped
from labeling.recipe.rendering.synth import SYNTH_INSTRUMENTS, play_machine, play_synth

RATE = 24_000


def part(instrument: str, pitches: tuple[int, ...], role: str = "lead") -> Part:
    notes = tuple(Note(0.5 * i, 0.4, pitch, 100) for i, pitch in enumerate(pitches))
    return Part(role=role, instrument=instrument, program=25, notes=notes)


@pytest.mark.parametrize("instrument", sorted(SYNTH_INSTRUMENTS))
def test_a_synthesiser_plays_the_notes_that_it_is_given(instrument: str) -> None:
    for seed in range(6):
        sound = play_synth(part(instrument, (69,)), 2 * RATE, RATE, np.random.default_rng(seed), detune_semitones=0)
        assert sound.shape == (2 * RATE,)
        assert np.isfinite(sound).all()
        spectrum = np.abs(np.fft.rfft(sound[: RATE // 2]))
        hz = np.fft.rfftfreq(RATE // 2, 1 / RATE)
        near = [k * 440.0 / 2 for k in range(1, 40)]  # a sub-oscillator and FM ratios of a half lie an octave below
        harmonic = sum(spectrum[np.abs(hz - f) < 14].sum() for f in near)
        assert harmonic / spectrum.sum() > 0.35


def test_a_drum_machine_strikes_when_it_is_told() -> None:
    drums = part("drum kit", (36, 38, 42, 46, 45, 39), role="drums")
    sound = play_machine(drums, 4 * RATE, RATE, np.random.default_rng(0))
    level = np.abs(sound).reshape(-1, RATE // 20).max(1)
    for note in drums.notes:
        at = int(note.start_s * 20)
        assert level[at : at + 2].max() > 3 * level[max(0, at - 2) : at].max(initial=0) or level[at] > 0.05


def test_an_amplifier_adds_harmonics_and_keeps_the_level_and_a_cabinet_has_no_treble() -> None:
    t = np.arange(2 * RATE) / RATE
    tone = (0.1 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)
    out = amplified(tone, RATE, np.random.default_rng(1), drive_db=30)
    assert np.sqrt(np.mean(out**2)) == pytest.approx(np.sqrt(np.mean(tone**2)), rel=0.01)
    spectrum, hz = np.abs(np.fft.rfft(out)) ** 2, np.fft.rfftfreq(out.size, 1 / RATE)
    assert spectrum[np.abs(hz - 660) < 3].sum() > 1e-3 * spectrum[np.abs(hz - 220) < 3].sum()
    assert spectrum[hz > 9000].sum() < 1e-3 * spectrum.sum()


def test_pumping_ducks_after_each_kick_and_nothing_before_the_first() -> None:
    out = pumped(np.ones(2 * RATE, np.float32), np.array([0.5, 1.0]), RATE, np.random.default_rng(0))
    assert (out[: RATE // 2 - 1] == 1).all()
    assert max(out[RATE // 2 + 1], out[RATE + 1]) < 0.7
    assert out[RATE - 10] > 0.8


def test_mastering_keeps_length_and_peak_whatever_it_draws() -> None:
    music = np.sin(np.arange(2 * RATE) * 0.05).astype(np.float32) * np.linspace(0.1, 0.8, 2 * RATE, dtype=np.float32)
    changed = 0
    for seed in range(40):
        out = mastered(music, RATE, np.random.default_rng(seed))
        assert (out.shape, out.dtype) == (music.shape, np.float32)
        assert np.isfinite(out).all()
        assert np.abs(out).max() == pytest.approx(np.abs(music).max(), rel=1e-3)
        changed += not np.allclose(out, music, atol=1e-3)
    assert 20 < changed < 40


def test_finer_hits_are_twice_as_many_and_coarser_ones_begin_on_beats() -> None:
    hits = [(0, 3.8, None), (4, 3.8, None), (6, 1.0, None)]
    assert [s for s, _, _ in divided(hits, 1)] == [0, 2, 4, 6, 6]
    assert [s for s, _, _ in divided(hits, -1)] == [0, 4]
    assert divided(hits, 0) is hits
    assert divided_strokes(42, (0, 2, 4, 6), 1) == tuple(range(16))
    assert divided_strokes(42, (0, 2, 4, 6), -1) == (0, 4)
    assert divided_strokes(36, (0, 7, 10), 1) == (0, 7, 10)


def test_how_many_notes_a_piece_has_says_little_of_its_tempo() -> None:
    pieces = [compose(seed, 11.4, kind="style") for seed in range(400)]
    bpm = np.array([p.bpm for p in pieces])
    notes = np.array([sum(len(q.notes) for q in p.parts) for p in pieces])
    slow, fast = notes[bpm < 80], notes[bpm > 130]
    fewer = np.mean(slow[:, None] < fast[None])
    assert 0.5 < fewer < 0.92  # it is .98 where every pattern keeps its notes a beat
