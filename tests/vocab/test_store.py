"""A vocabulary on disk: what is written is what is read, and whatever was changed since is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import VocabularyProblem
from pipeline.ids import caption_id
from vocab.build import caption_table
from vocab.store import Vocabulary, VocabularyCard, captions_hash, ids_from_hex, ids_to_hex, write_vocabulary

CARD = VocabularyCard(name="tiny", kind="long", source="import", licence="CC0-1.0", evaluation_derived=False)
TEXTS = ["A slow piano plays.", "Loud drums enter.", "a  SLOW piano plays.", "Ein Walzer für Klavier."]


def _write(path: Path, texts: list[str] = TEXTS) -> VocabularyCard:
    table, _ = caption_table(texts, kind="long", source="import", licence="CC0-1.0", provenance="{}")
    return write_vocabulary(path, table, CARD)


def test_round_trip_sorts_by_id_and_drops_the_repetition(tmp_path: Path) -> None:
    card = _write(tmp_path / "tiny.parquet")
    vocabulary = Vocabulary.load(tmp_path / "tiny.parquet")
    expected = sorted([TEXTS[0], TEXTS[1], TEXTS[3]], key=caption_id)
    assert vocabulary.texts.to_pylist() == expected
    assert vocabulary.ids.tolist() == [caption_id(text) for text in expected]
    assert vocabulary.ids.dtype == np.uint64
    assert vocabulary.facts is None
    assert len(vocabulary) == card.captions == 3
    assert vocabulary.card == card


def test_facts_stay_with_their_caption(tmp_path: Path) -> None:
    facts = [("instrument:piano", "tempo:slow"), None, ()]
    table, _ = caption_table(
        ["A slow piano.", "Drums.", "Bass."], kind="long", source="s", licence="l", provenance="{}", facts=facts
    )
    write_vocabulary(tmp_path / "v.parquet", table, CARD)
    vocabulary = Vocabulary.load(tmp_path / "v")
    assert vocabulary.facts is not None
    found = dict(zip(vocabulary.texts.to_pylist(), vocabulary.facts.to_pylist(), strict=True))
    assert found == {"A slow piano.": ["instrument:piano", "tempo:slow"], "Drums.": None, "Bass.": []}


def test_same_rows_in_another_order_are_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a.parquet", TEXTS[:2])
    _write(tmp_path / "b.parquet", TEXTS[1::-1])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.card.json").read_bytes() == (tmp_path / "b.card.json").read_bytes()


def test_hex_ids_round_trip_through_slices_and_chunks() -> None:
    ids = np.array([0, 1, 0xDEADBEEF00000001, 2**64 - 1], dtype=np.uint64)
    column = ids_to_hex(ids)
    assert column.to_pylist() == [f"{value:016x}" for value in ids.tolist()]
    assert ids_from_hex(column.slice(1)).tolist() == ids[1:].tolist()
    assert ids_from_hex(pa.chunked_array([column.slice(2), column.slice(0, 2)])).tolist() == ids[[2, 3, 0, 1]].tolist()


def test_the_hash_of_captions_sees_texts_and_not_chunks() -> None:
    texts = pa.array(["ab", "c", "", "déf"])
    assert captions_hash(texts) == captions_hash(pa.chunked_array([texts.slice(0, 1), texts.slice(1)]))
    assert captions_hash(texts) != captions_hash(pa.array(["a", "bc", "", "déf"]))


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.parquet"
    _write(path)
    table = pq.read_table(path)
    texts = [*table.column("text").to_pylist()[:-1], "Something else."]
    pq.write_table(table.set_column(1, "text", pa.array(texts)), path)
    with pytest.raises(VocabularyProblem, match="differ from the 3 of its card"):
        Vocabulary.load(path)


def test_an_id_that_is_not_its_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.parquet"
    _write(path)
    table = pq.read_table(path)
    ids = ids_to_hex(np.array([1, 2, 3], dtype=np.uint64))
    pq.write_table(table.set_column(0, table.schema.field(0), ids), path)
    with pytest.raises(VocabularyProblem, match="an id that is not its text's"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda card: card.pop("kind"), "lacks kind"),
        (lambda card: card.update(kind="medium"), "`long` or `short`"),
        (lambda card: card.update(format_version=99), "format 99"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(tmp_path: Path, change, says: str) -> None:  # type: ignore[no-untyped-def]
    _write(tmp_path / "tiny.parquet")
    card = json.loads((tmp_path / "tiny.card.json").read_text())
    change(card)
    (tmp_path / "tiny.card.json").write_text(json.dumps(card))
    with pytest.raises(VocabularyProblem, match=says):
        Vocabulary.load(tmp_path / "tiny.parquet")


def test_missing_files_and_wrong_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyProblem, match="there is no vocabulary at"):
        Vocabulary.load(tmp_path / "none.parquet")
    _write(tmp_path / "tiny.parquet")
    pq.write_table(pa.table({"caption": ["x"]}), tmp_path / "tiny.parquet")
    with pytest.raises(VocabularyProblem, match="cannot be read as a vocabulary"):
        Vocabulary.load(tmp_path / "tiny.parquet")
    (tmp_path / "tiny.card.json").unlink()
    with pytest.raises(VocabularyProblem, match="has no card"):
        Vocabulary.load(tmp_path / "tiny.parquet")


def test_repeated_ids_and_mixed_kinds_are_not_written(tmp_path: Path) -> None:
    one, _ = caption_table(["A."], kind="long", source="s", licence="l", provenance="{}")
    with pytest.raises(VocabularyProblem, match="share an id"):
        write_vocabulary(tmp_path / "v.parquet", pa.concat_tables([one, one]), CARD)
    short, _ = caption_table(["b"], kind="short", source="s", licence="l", provenance="{}")
    with pytest.raises(VocabularyProblem, match="one file, one kind"):
        write_vocabulary(tmp_path / "v.parquet", pa.concat_tables([one, short]), CARD)
    assert not (tmp_path / "v.parquet").exists()


def test_an_empty_vocabulary_is_refused_when_read(tmp_path: Path) -> None:
    _write(tmp_path / "v.parquet", [])
    with pytest.raises(VocabularyProblem, match="holds no captions"):
        Vocabulary.load(tmp_path / "v.parquet")


def test_samples_are_nested_and_repeatable(tmp_path: Path) -> None:
    _write(tmp_path / "v.parquet", [f"Tune number {number}." for number in range(400)])
    vocabulary = Vocabulary.load(tmp_path / "v.parquet")
    small, large = vocabulary.sample(40), vocabulary.sample(100)
    assert len(small) == small.card.captions == 40
    assert set(small.ids.tolist()) < set(large.ids.tolist()) < set(vocabulary.ids.tolist())
    assert (np.diff(small.ids.astype(object)) > 0).all()
    assert small.texts.to_pylist() == vocabulary.sample(40).texts.to_pylist()
    assert small.card.content_hash != vocabulary.card.content_hash
    assert 10 <= int((small.ids < np.median(vocabulary.ids)).sum()) <= 30
    assert vocabulary.sample(1000) is vocabulary
