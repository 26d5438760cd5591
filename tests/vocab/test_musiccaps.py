"""MusicCaps: the paper's Rater-LF and Rater-SF, marked for what they are."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from tests.vocab.cli import run_vocab
from vocab.musiccaps import split_rater_sentences
from vocab.store import Vocabulary

REPOSITORY = Path(__file__).parents[2]


def real_musiccaps() -> Path:
    folder = Path(os.environ.get("CRATEDIG_SHARED", REPOSITORY.parent / "shared" / "data"))
    path = folder / "musiccaps-public.csv"
    if not path.exists():
        pytest.skip(f"MusicCaps is not part of the repository; put {path.name} in {folder} or set CRATEDIG_SHARED")
    return path


def test_sentences_end_at_a_mark_and_white_space() -> None:
    assert split_rater_sentences("A 4.5 beat! Is it\nfast? Yes.\nIt is. ") == [
        "A 4.5 beat!",
        "Is it\nfast?",
        "Yes.",
        "It is.",
    ]


def test_a_small_csv_with_a_broken_tag_list(tmp_path: Path) -> None:
    with (tmp_path / "mc.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ytid", "aspect_list", "caption"])
        writer.writerow(["a", "['Slow Tempo', 'piano', 'slow tempo']", "A slow piece. A slow piece."])
        writer.writerow(["b", "['piano'", "It has\na newline."])
    assert run_vocab("musiccaps", str(tmp_path / "mc.csv"), "--out", str(tmp_path)) == 0
    long, short = Vocabulary.load(tmp_path / "rater-lf.parquet"), Vocabulary.load(tmp_path / "rater-sf.parquet")
    assert sorted(long.texts.to_pylist()) == ["A slow piece.", "It has a newline."]
    assert sorted(short.texts.to_pylist()) == ["Slow Tempo", "piano"]
    counts = short.card.yields["musiccaps"]
    assert counts == {"rows": 2, "bad-aspect-list": 1, "found": 3, "unique": 3, "same_but_case_or_spaces": 1, "kept": 2}


def test_another_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("title,artist\na,b\n")
    with pytest.raises(BadInput, match="has no column 'ytid', 'caption', 'aspect_list'"):
        run_vocab("musiccaps", str(tmp_path / "songs.csv"), "--out", str(tmp_path))


def test_the_public_csv_gives_the_known_counts(tmp_path: Path) -> None:
    assert run_vocab("musiccaps", str(real_musiccaps()), "--out", str(tmp_path)) == 0
    long, short = Vocabulary.load(tmp_path / "rater-lf.parquet"), Vocabulary.load(tmp_path / "rater-sf.parquet")
    counts = long.card.yields["musiccaps"]
    assert (counts["rows"], counts["found"], counts["unique"], counts["kept"]) == (5521, 21579, 18757, 18720)
    counts = short.card.yields["musiccaps"]
    assert (counts["found"], counts["unique"], counts["kept"]) == (58901, 13219, 13197)
    assert long.card.evaluation_derived
    assert short.card.evaluation_derived
    assert "same set" in short.card.note
