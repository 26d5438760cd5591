"""Composed pieces to mine: whole files, true tags, the same again, and more of the same."""

import csv

import numpy as np
import pytest

from labeling.recipe.rendering.render import RATE_HZ, WINDOW_S
from labeling.recipe.rendering.soundfont import FLUID_R3
from labeling.recipe.training import composed_music
from pipeline.source.listing import list_input

soundfile = pytest.importorskip("soundfile")


class Tones:
    """A studio without a soundfont: a sine for each note. T samples."""

    def __init__(self, *fonts, seed):
        self.seed = seed

    def window(self, piece):
        time_T = np.arange(round(WINDOW_S * RATE_HZ)) / RATE_HZ
        pitches = [note.pitch for part in piece.parts for note in part.notes][:4]
        return sum(np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * time_T) for p in pitches).astype(np.float32)


def test_pieces_are_a_list_that_can_be_mined_and_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(composed_music, "Studio", Tones)
    assert list(composed_music.write_composed_music(tmp_path / "a", 3, 7)) == [1, 2, 3]
    assert list(composed_music.write_composed_music(tmp_path / "b", 5, 7)) == [1, 2, 3, 4, 5]
    rows = list(csv.DictReader((tmp_path / "b/metadata.csv").read_text().splitlines()))
    assert [row["path"] for row in rows] == [f"{n:06d}.flac" for n in range(5)]
    assert all(row["tags"] and row["caption"] and row["licence"] == "CC0-1.0" for row in rows)
    assert len({row["tags"] for row in rows}) > 1
    for row in rows[:3]:
        assert (tmp_path / "a" / row["path"]).read_bytes() == (tmp_path / "b" / row["path"]).read_bytes()
    audio_T, rate_hz = soundfile.read(tmp_path / "b/000000.flac")
    assert (len(audio_T), rate_hz) == (240_000, 24_000)
    assert np.abs(audio_T).max() == pytest.approx(0.7, abs=1e-3)
    assert len(list_input(str(tmp_path / "b/metadata.csv")).tracks) == 5


def test_two_workers_write_the_same_music(tmp_path):
    """With the soundfont, which workers load themselves; music of several workers is that of one."""
    if not FLUID_R3.is_file():
        pytest.skip("needs Debian's fluid-soundfont-gm")
    pytest.importorskip("tinysoundfont")
    for name, workers in (("one", 1), ("two", 2)):
        assert list(composed_music.write_composed_music(tmp_path / name, 3, 7, workers=workers)) == [1, 2, 3]
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
