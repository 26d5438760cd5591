"""Captions that somebody has: every row ends up in the vocabulary or in the list of what was left out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import BadInput, VocabularyProblem
from tests.vocab.cli import run_vocab
from vocab.store import Vocabulary
from vocab.tables import read_rows


def _import(
    tmp_path: Path, data: bytes, name: str = "in.csv", *more: str
) -> tuple[Vocabulary, list[dict[str, object]]]:
    source = tmp_path / name
    source.write_bytes(data)
    assert run_vocab("import", str(source), "--out", str(tmp_path / "out.parquet"), *more) == 0
    skipped = tmp_path / "out.skipped.json"
    return Vocabulary.load(tmp_path / "out.parquet"), json.loads(skipped.read_text())[
        "rows"
    ] if skipped.exists() else []


def test_text_lines_with_their_line_numbers(tmp_path: Path) -> None:
    vocabulary, skipped = _import(tmp_path, b"A slow waltz.\n\n---\nA slow  waltz.\r\nLoud drums.\n", "in.txt")
    assert sorted(vocabulary.texts.to_pylist()) == ["A slow waltz.", "Loud drums."]
    assert [(row["row"], row["reason"]) for row in skipped] == [(2, "no-words"), (3, "no-words")]
    assert vocabulary.card.yields["import"] == {"rows": 5, "no-words": 2, "repeated": 1, "kept": 2}
    origin = dict(zip(vocabulary.texts.to_pylist(), vocabulary.table.column("provenance").to_pylist(), strict=True))
    assert json.loads(origin["Loud drums."]) == {"file": "in.txt", "row": 5}


def test_csv_with_quotes_newlines_huge_cell_and_broken_bytes(tmp_path: Path) -> None:
    rows = [
        b"id,text",
        b'1,"A ""mellow"" tune, with\na flute."',
        b"2," + b"x" * 10_000_000,
        b"3,caf\xe9 music",
        "0,caf\u00e9 music".encode(),
        b"4",
        b"5,Fine drums.",
    ]
    vocabulary, skipped = _import(tmp_path, b"\n".join(rows))
    assert sorted(vocabulary.texts.to_pylist()) == ['A "mellow" tune, with a flute.', "Fine drums.", "café music"]
    assert [(row["row"], row["reason"]) for row in skipped] == [
        (2, "too-long"),
        (3, "invalid-utf8"),
        (5, "wrong-number-of-fields"),
    ]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_quote_that_is_never_closed_does_not_swallow_rows(tmp_path: Path, end: bytes) -> None:
    vocabulary, skipped = _import(tmp_path, b'text,n\nA slow waltz.,1\n"Loud drums.,2\nA slow single.,3' + end)
    assert sorted(vocabulary.texts.to_pylist()) == ["A slow single.", "A slow waltz."]
    assert [(row["row"], row["reason"]) for row in skipped] == [(2, "unclosed-quote")]
    vocabulary, _ = _import(tmp_path, b'text\nA slow 7" waltz.\n"Loud\ndrums."' + end)
    assert sorted(vocabulary.texts.to_pylist()) == ['A slow 7" waltz.', "Loud drums."]


def test_a_list_of_one_column_needs_no_quotes_for_its_commas(tmp_path: Path) -> None:
    vocabulary, skipped = _import(tmp_path, b"text\nSoft piano, slow drums.\nA flute.\n")
    assert (sorted(vocabulary.texts.to_pylist()), skipped) == (["A flute.", "Soft piano, slow drums."], [])


def test_parquet_column_and_its_nulls(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption": ["Soft pads.", None], "n": [1, 2]}), tmp_path / "in.parquet")
    data = (tmp_path / "in.parquet").read_bytes()
    vocabulary, skipped = _import(tmp_path, data, "in.parquet", "--column", "caption", "--kind", "short")
    assert vocabulary.texts.to_pylist() == ["Soft pads."]
    assert vocabulary.card.kind == "short"
    assert [row["reason"] for row in skipped] == ["no-words"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("in.csv", b"", "is empty"),
        ("in.csv", b"text\n", "has a header but no rows"),
        ("in.csv", b"title,artist\na,b\n", "has no column 'text'; it has 'title', 'artist'"),
        ("in.parquet", b"PAR1 not really", "is not a readable Parquet file"),
        ("in.doc", b"hello", "is no list by its name"),
        ("in.csv", b"text\n...\n", "no usable caption"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=says):
        run_vocab("import", str(tmp_path / name), "--out", str(tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        list(read_rows(tmp_path / "none.csv", columns=["text"]))


def test_merge_keeps_the_first_and_carries_the_mark_of_evaluation(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One tune.\nTwo tunes.\n")
    (tmp_path / "b.txt").write_text("two TUNES.\nThree tunes.\n")
    run_vocab("import", str(tmp_path / "a.txt"), "--out", str(tmp_path / "a.parquet"), "--licence", "CC0-1.0")
    run_vocab("import", str(tmp_path / "b.txt"), "--out", str(tmp_path / "b.parquet"), "--evaluation-derived")
    out = tmp_path / "all.parquet"
    assert run_vocab("merge", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"), "--out", str(out)) == 0
    merged = Vocabulary.load(out)
    assert sorted(merged.texts.to_pylist()) == ["One tune.", "Three tunes.", "Two tunes."]
    assert merged.card.evaluation_derived
    assert merged.card.licence == "CC0-1.0 AND unknown"
    assert [counts["kept"] for counts in merged.card.yields.values()] == [2, 1]


def test_merge_refuses_one_and_mixed_kinds(tmp_path: Path) -> None:
    with pytest.raises(VocabularyProblem, match="two or more vocabularies of one kind"):
        run_vocab("merge", "bundled:long", "bundled:short", "--out", str(tmp_path / "x.parquet"))
    with pytest.raises(VocabularyProblem, match="there are bundled:long, bundled:short and bundled:written"):
        run_vocab("stats", "bundled:medium")


def test_stats_in_words_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Soft piano.\nsoft piano\nA soft, slow piano plays.\n")
    run_vocab("import", str(tmp_path / "a.txt"), "--out", str(tmp_path / "a.parquet"))
    capsys.readouterr()
    assert run_vocab("stats", str(tmp_path / "a.parquet"), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["captions"] == 3
    assert figures["same_but_punctuation"] == 1
    assert figures["top_words"] == {"soft": 3, "piano": 3, "slow": 1, "plays": 1}
    assert figures["words"]["p100"] == 5
    assert run_vocab("stats", "bundled:short", "--examples", "2") == 0
    assert "grammar-short: 4,2" in capsys.readouterr().out
