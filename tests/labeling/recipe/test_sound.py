"""What is synthesised without a soundfont, rooms, and rendering with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.piece import Note, Part, Piece
from labeling.recipe.rendering.render import LEAD_IN_S, RATE_HZ, WINDOW_S, Studio, add_noise
from labeling.recipe.rendering.rooms import Rooms
from labeling.recipe.rendering.soundfont import TIM_GM, SoundFont
from labeling.recipe.rendering.sounds import SYNTHESISED, make_sound
from labeling.recipe.rendering.voice import sing, speak
from pipeline.errors import BadInput


def _centroid_hz(x: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(x)) ** 2
    return float((np.fft.rfftfreq(x.size, 1 / RATE_HZ) * power).sum() / power.sum())


@pytest.mark.parametrize("name", SYNTHESISED)
def test_sounds_are_bounded_and_repeatable(name: str) -> None:
    first, again = (make_sound(name, 24_000, RATE_HZ, np.random.default_rng(5)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == (24_000,)
    assert np.abs(first).max() == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_array_equal(first, again)


def test_hum_is_low_and_noise_is_not() -> None:
    hum = make_sound("hum", 48_000, RATE_HZ, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(hum)) ** 2
    assert power[: 2 * 1700].sum() > 0.9 * power.sum()  # bins of 0.5 Hz: below 1,700 Hz
    assert _centroid_hz(make_sound("noise", 48_000, RATE_HZ, np.random.default_rng(1))) > _centroid_hz(hum)


def test_singer_sings_the_pitch() -> None:
    note = Note(0.0, 2.0, 57, 100)  # 220 Hz
    voice = sing([note], 48_000, RATE_HZ, np.random.default_rng(0), female=True)
    middle = voice[12_000:36_000] * np.hanning(24_000)
    lag = np.correlate(middle, middle, "full")[middle.size :][60:200].argmax() + 61
    assert RATE_HZ / lag == pytest.approx(220, rel=0.03)


def test_speech_has_pauses_and_women_speak_higher() -> None:
    man, woman = (speak(5 * RATE_HZ, RATE_HZ, np.random.default_rng(2), female=f) for f in (False, True))
    for voice in (man, woman):
        level = np.sqrt((voice.reshape(-1, 1200) ** 2).mean(1))
        assert (level < 0.1 * level.max()).mean() > 0.05
    assert _centroid_hz(woman) > _centroid_hz(man)


@pytest.mark.parametrize("family", ["noise", "image"])
def test_rooms_ring_on_after_the_sound(family: str) -> None:
    rooms = Rooms(24_000, RATE_HZ, seed=1, family=family, size=3)
    click = np.zeros(24_000, np.float32)
    click[100] = 1.0
    dry = rooms.apply(click, np.random.default_rng(0), wet=0.0)
    np.testing.assert_allclose(dry, click, atol=1e-4)
    wet = rooms.apply(click, np.random.default_rng(0), wet=1.0, large=True)
    assert np.square(wet[2400:]).sum() > 0.02
    assert np.square(wet[:100]).sum() < 1e-4


def test_noise_lies_below_the_music() -> None:
    tone = (0.3 * np.sin(np.arange(240_000) * 0.1)).astype(np.float32)
    added = add_noise(tone, np.random.default_rng(0)) - tone
    ratio_db = 10 * np.log10(np.mean(tone**2) / np.mean(added**2))
    assert 8 < ratio_db < 32


def test_missing_soundfont_says_what_to_install() -> None:
    with pytest.raises(BadInput, match="apt install"):
        SoundFont(Path("/nowhere.sf2"), RATE_HZ)


@pytest.fixture(scope="module")
def studio() -> Studio:
    pytest.importorskip("tinysoundfont", reason="the recipe's renderer: pip install --no-deps tinysoundfont")
    if not TIM_GM.is_file():
        pytest.skip(f"{TIM_GM} is not installed: apt install timgm6mb-soundfont")
    return Studio(TIM_GM, unseen=True)  # the small one; nothing is kept


def test_windows_are_repeatable_and_in_range(studio: Studio) -> None:
    piece = compose(3, LEAD_IN_S + WINDOW_S, style="jazz")
    first = studio.window(piece)
    studio.window(compose(4, LEAD_IN_S + WINDOW_S, style="metal"))  # leaves nothing behind
    again = studio.window(piece)
    assert first.shape == (240_000,)
    assert 0.1 < np.abs(first).max() <= 1.0
    np.testing.assert_array_equal(first, again)


def test_a_note_sounds_when_it_is_written(studio: Studio) -> None:
    part = Part(role="lead", instrument="piano", program=0, notes=(Note(1.0, 0.5, 60, 100),))
    audio = studio.fonts[0].render([part], 2.0)
    assert np.abs(audio[: RATE_HZ - 64]).max() < 1e-4
    assert np.abs(audio[RATE_HZ : RATE_HZ + 4800]).max() > 0.01


def test_other_formants_keep_the_pitch(studio: Studio) -> None:
    part = Part(role="lead", instrument="flute", program=73, notes=(Note(0.0, 2.0, 69, 100),))
    font = studio.fonts[0]
    seconds = [font.render([part], 1.5, formants_semitones=[k])[RATE_HZ // 2 :] for k in (0, 5)]
    spectra = [np.abs(np.fft.rfft(x * np.hanning(x.size))) for x in seconds]  # bins of 1 Hz
    assert [int(s[:600].argmax()) for s in spectra] == pytest.approx([440, 440], abs=6)
    overtones = [s / s.max() for s in spectra]
    assert np.abs(overtones[0] - overtones[1]).max() > 0.05


def test_several_fonts_share_a_piece(studio: Studio) -> None:
    """Here the same font twice: only tones, formants and doublings can differ from one font's rendering."""
    two = Studio(TIM_GM, TIM_GM)
    piece = compose(3, LEAD_IN_S + WINDOW_S, style="jazz")
    first = two.window(piece)
    np.testing.assert_array_equal(first, two.window(piece))
    assert 0.1 < np.abs(first).max() <= 1.0
    assert np.abs(first - studio.window(piece)).max() > 0.01


def test_muffled_has_less_treble(studio: Studio) -> None:
    piece = Piece(
        seed=1,
        duration_s=LEAD_IN_S + WINDOW_S,
        parts=(Part(role="drums", instrument="drum kit", program=0,
                    notes=tuple(Note(k * 0.25, 0.1, 42, 100) for k in range(44))),),
        kind="drums",
    )  # fmt: skip
    assert _centroid_hz(studio.window(replace(piece, recording=("muffled",)))) < 0.5 * _centroid_hz(
        studio.window(piece)
    )
