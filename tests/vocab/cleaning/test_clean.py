"""The whole chain: what goes in is kept or counted, for any number of workers, and evaluation captions stay out."""

from __future__ import annotations

import csv
import json
from itertools import islice
from pathlib import Path

import pytest

from pipeline.errors import BadInput, VocabularyProblem
from tests.vocab.cli import run_vocab
from vocab.cleaning.leak import find_leaks
from vocab.grammar.grammar import long_captions
from vocab.store import Vocabulary

RAW = """1. A slow waltz with a clarinet. The drums are brushed!
Sure, here is a description of the song.
A slow waltz with a clarinet.
a slow  WALTZ with a clarinet.
A slow waltz with a clarinets.
As an AI language model I cannot hear music.
The album sold two million copies.
"""


def _clean(tmp_path: Path, raw: str, *more: str) -> Vocabulary:
    (tmp_path / "raw.txt").write_text(raw)
    assert (
        run_vocab("clean", str(tmp_path / "raw.txt"), "--out", str(tmp_path / "clean.parquet"), "--workers", "1", *more)
        == 0
    )
    return Vocabulary.load(tmp_path / "clean.parquet")


def test_every_sentence_is_kept_or_counted(tmp_path: Path) -> None:
    vocabulary = _clean(tmp_path, RAW)
    kept = set(vocabulary.texts.to_pylist())
    assert "The drums are brushed!" in kept
    assert len(kept) == 2
    assert vocabulary.card.yields == {
        "read": {"answers": 7, "sentences": 8},
        "filters": {"refusal": 1, "chat": 1, "career": 1, "kept": 5},
        "duplicates": {"the same text": 2, "kept": 3},
        "near-duplicates": {"as good as the same": 1, "kept": 2},
    }
    assert json.loads(vocabulary.table.column("provenance")[0].as_py())["file"] == "raw.txt"


def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    raw = "\n".join(text for text, _ in islice(long_captions(seed=5), 300))
    _clean(tmp_path, raw)
    first = (tmp_path / "clean.parquet").read_bytes()
    _clean(tmp_path, raw, "--workers", "2")
    assert (tmp_path / "clean.parquet").read_bytes() == first


def test_captions_of_an_evaluation_set_and_near_copies_go(tmp_path: Path) -> None:
    (tmp_path / "eval.csv").write_text(
        'caption\n"A mellow oboe carries the tune over soft strings. It is sad."\nA fast polka.\n'
    )
    raw = (
        "A mellow oboe carries the tune over soft strings.\n"
        "A mellow oboe carries the melody over soft strings.\n"
        "A fast polka with a tuba and an accordion at a village fair.\n"
    )
    vocabulary = _clean(tmp_path, raw, "--evaluation", str(tmp_path / "eval.csv"), "--near-duplicates", "2")
    assert vocabulary.texts.to_pylist() == ["A fast polka with a tuba and an accordion at a village fair."]
    assert vocabulary.card.yields["leak guard"] == {"copies": 1, "near copies": 1, "kept": 1}
    report = json.loads((tmp_path / "clean.leaks.json").read_text())
    assert report["found"] == 2
    assert {leak["evaluation_caption"] for leak in report["leaks"]} == {
        "A mellow oboe carries the tune over soft strings."
    }
    assert sorted(leak["similarity"] for leak in report["leaks"])[1] == 1.0


def test_the_leak_guard_finds_every_copy_among_many() -> None:
    captions = [text for text, _ in islice(long_captions(seed=6), 600)]
    evaluation = captions[::10]
    leaks = find_leaks([caption.upper() for caption in captions], evaluation, threshold=0.95)
    assert {leak.row for leak in leaks} >= set(range(0, 600, 10))
    assert all(leak.similarity >= 0.95 for leak in leaks)
    assert find_leaks(captions[1:5], ["Nothing in common with these at all"], threshold=0.7) == []


def test_songs_of_the_list_are_not_named(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("title,artist\nBlue Harbour Lights,Mira Kessel\n???,Somebody\n")
    raw = "The piano sounds like Mira Kessel in a hall.\nThe piano sounds like rain in a hall.\n"
    vocabulary = _clean(tmp_path, raw, "--songs", str(tmp_path / "songs.csv"))
    assert vocabulary.texts.to_pylist() == ["The piano sounds like rain in a hall."]
    assert vocabulary.card.yields["filters"] == {"other-name": 1, "kept": 1}


def test_tags_and_facts_come_through(tmp_path: Path) -> None:
    assert (
        run_vocab("clean", "bundled:short", "--kind", "short", "--out", str(tmp_path / "s.parquet"), "--workers", "1")
        == 0
    )
    vocabulary = Vocabulary.load(tmp_path / "s.parquet")
    facts = dict(zip(vocabulary.texts.to_pylist(), vocabulary.facts.to_pylist(), strict=True))  # type: ignore[union-attr]
    assert facts["slow tempo"] == ["tempo:slow"]
    assert vocabulary.card.source == "grammar"
    assert vocabulary.card.kind == "short"


def test_what_was_rejected_can_be_read(tmp_path: Path) -> None:
    raw = "A slow waltz for harp.\nThe male singer is a piano.\nAs an AI, I cannot hear it.\n"
    _clean(tmp_path, raw, "--keep-rejected", str(tmp_path / "no.csv"))
    with (tmp_path / "no.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["reason"]) for row in rows] == [
        ("The male singer is a piano.", "cannot-play"),
        ("As an AI, I cannot hear it.", "refusal"),
    ]
    assert 0 <= float(rows[0]["score"]) < 0.6
    assert json.loads(rows[0]["provenance"])["row"] == 2


def test_facts_are_read_from_any_captions_words(tmp_path: Path) -> None:
    vocabulary = _clean(tmp_path, "A slow waltz for harp and no drums, without a violin, not sad.\n")
    assert vocabulary.facts is not None
    assert set(vocabulary.facts[0].as_py()) == {"tempo:slow", "style:waltz", "instrument:harp", "drums:no"}


def test_nothing_left_is_an_error_with_the_counts(tmp_path: Path) -> None:
    with pytest.raises(VocabularyProblem, match=r"nothing is left of raw.*'not-music': 1"):
        _clean(tmp_path, "The bank raised its rates in May.\n")
    (tmp_path / "songs.csv").write_text("title,artist\n???,!!!\n")
    with pytest.raises(BadInput, match="holds no usable row"):
        _clean(tmp_path, "A slow tune.\n", "--songs", str(tmp_path / "songs.csv"))
