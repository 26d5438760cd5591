"""The texts of a large vocabulary are mapped from the user's cache, and are the vocabulary's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.crates import write_captions
from vocab import mapped
from vocab.mapped import map_texts
from vocab.store import Vocabulary


@pytest.fixture
def vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mapped, "MAPPED_FROM", 10)
    return write_captions(tmp_path / "many.parquet", "long", captions=40)


def same(one: Vocabulary, other: Vocabulary) -> bool:
    return (
        one.card == other.card
        and bool(np.array_equal(one.ids, other.ids))
        and one.texts.to_pylist() == other.texts.to_pylist()
        and one.texts.num_chunks == 1
    )


def test_mapped_texts_are_those_of_the_file(vocabulary: Path, tmp_path: Path) -> None:
    plain = Vocabulary.load(vocabulary)
    assert same(map_texts(vocabulary), plain)
    (kept,) = (tmp_path / "cache" / "cratedig" / "texts").iterdir()
    assert kept.name == f"{plain.card.content_hash}.arrow"
    before = kept.stat().st_mtime_ns
    again = map_texts(vocabulary)
    assert same(again, plain)
    assert kept.stat().st_mtime_ns == before
    assert again.texts.take([3, 1]).to_pylist() == [plain.texts[3].as_py(), plain.texts[1].as_py()]


@pytest.mark.parametrize("damage", [b"", b"no arrow file", None])
def test_a_damaged_copy_is_made_anew(vocabulary: Path, tmp_path: Path, damage: bytes | None) -> None:
    plain = Vocabulary.load(vocabulary)
    map_texts(vocabulary)
    (kept,) = (tmp_path / "cache" / "cratedig" / "texts").iterdir()
    data = bytearray(kept.read_bytes())
    at = data.find(plain.texts[5].as_py().encode())
    data[at] ^= 1
    kept.write_bytes(bytes(data) if damage is None else damage)
    assert same(map_texts(vocabulary), plain)


def test_where_nothing_can_be_kept_texts_are_read(vocabulary: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert same(map_texts(vocabulary), Vocabulary.load(vocabulary))


def test_a_small_vocabulary_needs_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = write_captions(tmp_path / "few.parquet", "long", captions=40)
    assert same(map_texts(small), Vocabulary.load(small))
    assert not (tmp_path / "cache").exists()
