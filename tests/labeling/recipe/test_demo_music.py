"""The shipped demo music: complete, as small as promised, and what its facts say."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from labeling.recipe.rendering.demo_music import SILENT, TRACKS, TRUNCATED, facts_between
from vocab.grammar.lexicon import FACTS

FOLDER = Path(__file__).parents[3] / "examples" / "demo_music"


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "facts.json").read_text())
    return loaded


def test_at_least_twelve_tracks_each_another_style_of_a_minute_or_more(facts: dict[str, Any]) -> None:
    assert len(facts) >= 12
    assert len({about["style"] for about in facts.values()}) == len(facts)
    assert min(about["seconds"] for about in facts.values()) >= 60


def test_every_file_is_there_and_all_together_are_8_mb_at_most() -> None:
    for name in (*(t.file for t in TRACKS), TRUNCATED, SILENT):
        assert (FOLDER / name).is_file(), name
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) <= 8_000_000


def test_formats_tempos_and_drums_vary(facts: dict[str, Any]) -> None:
    assert {Path(name).suffix for name in facts} >= {".wav", ".flac", ".aiff", ".mp3", ".ogg", ".opus", ".m4a"}
    assert {about["tempo"] for about in facts.values()} >= {"slow", "medium", "fast"}
    assert {about["drums"] for about in facts.values()} == {True, False}


def test_facts_are_of_the_lexicon_and_cover_the_whole_track(facts: dict[str, Any]) -> None:
    for name, about in facts.items():
        assert set(about["facts"]) <= set(FACTS), name
        assert len(about["windows"]) * 10 >= about["seconds"] - 10, name
        for window in about["windows"]:
            assert {f for f in window if f.startswith("instrument:")} <= set(about["facts"]), name


def test_manifest_lists_every_file() -> None:
    rows = list(csv.DictReader((FOLDER / "metadata.csv").read_text().splitlines()))
    assert [r["path"] for r in rows] == [*(t.file for t in TRACKS), TRUNCATED, SILENT]
    assert all(r["licence"] == "CC0-1.0" for r in rows)


def test_truncated_file_promises_more_than_it_holds() -> None:
    soundfile = pytest.importorskip("soundfile")
    seconds = 0
    with soundfile.SoundFile(FOLDER / TRUNCATED) as file:
        assert file.frames / file.samplerate == pytest.approx(60.5, abs=0.1)
        with contextlib.suppress(soundfile.LibsndfileError):  # some versions raise, some give what there is
            while len(file.read(file.samplerate)) == file.samplerate:
                seconds += 1
    assert 15 <= seconds <= 45


def test_silent_file_is_silent() -> None:
    soundfile = pytest.importorskip("soundfile")
    audio, rate = soundfile.read(FOLDER / SILENT)
    assert abs(audio).max() == 0
    assert len(audio) == 40 * rate


def test_facts_between_joins_what_can_be_several_and_lets_the_majority_decide_the_rest() -> None:
    about = {
        "windows": [
            ["drums:no", "voice:no", "energy:calm", "instrument:piano", "ensemble:solo"],
            ["drums:yes", "voice:no", "energy:high", "instrument:piano", "instrument:violin", "ensemble:group"],
            ["drums:yes", "voice:sung", "instrument:violin", "ensemble:group"],
        ]
    }
    assert facts_between(about, 0, 10) == {"drums:no", "voice:no", "energy:calm", "instrument:piano", "ensemble:solo"}
    assert facts_between(about, 0, 30) == {
        *("drums:yes", "voice:sung", "instrument:piano", "instrument:violin", "ensemble:group"),
    }
    assert facts_between(about, 12, 30) == {
        *("drums:yes", "voice:sung", "energy:high", "instrument:piano", "instrument:violin", "ensemble:group"),
    }
