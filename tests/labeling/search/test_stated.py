"""Captions found by the facts that they state, and drawn by what they mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from labeling.search.counts import shared_counts
from labeling.search.exact import ExactSearch
from labeling.search.some import SomeCaptions, SomeSearch
from labeling.search.stated import StatedCaptions, meanings, read_meanings, stated_table, write_stated
from pipeline.storage import Storage
from vocab.store import Vocabulary, bundled_vocabulary

TEXTS = ["a slow piano lead", "drums", "fast drums and a piano", "nothing to say", "drums, fast", "slow piano music"]
FACTS = [["instrument:piano", "tempo:slow"], ["drums:yes"], None, [], ["drums:yes", "tempo:fast"], None]


@pytest.fixture
def vocabulary() -> Vocabulary:
    columns = {
        "caption_id": [f"{i:016x}" for i in range(len(TEXTS))],
        "text": TEXTS,
        "facts": pa.array(FACTS, pa.list_(pa.string())),
    }
    return Vocabulary(bundled_vocabulary("short").card, pa.table(columns))


def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {f: rng.normal(size=8).astype(np.float32) for f in ("drums:yes", "instrument:piano", "tempo:fast")}


def test_a_caption_without_a_list_of_facts_is_read_for_them(vocabulary: Vocabulary) -> None:
    table = stated_table(vocabulary, vectors())
    said = [sorted(int(f) for f in row if f < 3) for row in table]
    assert said == [[1], [0], [0, 1, 2], [], [0, 2], [1]]
    some = stated_table(vocabulary, vectors(), np.array([2, 4]))
    assert [sorted(int(f) for f in row if f < 3) for row in some] == [[0, 1, 2], [0, 2]]


def test_a_score_is_that_of_the_caption_and_of_its_facts(vocabulary: Vocabulary, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    captions = rng.normal(size=(6, 8)).astype(np.float16)
    queries = rng.normal(size=(4, 8)).astype(np.float32)
    rows = np.array([0, 1, 2, 4, 5])
    write_stated(Storage(str(tmp_path)), "set", vocabulary, vectors(), rows)
    stated = StatedCaptions.read(Storage(str(tmp_path)), "set", SomeCaptions(captions, rows))
    found = SomeSearch(ExactSearch(stated), rows).top(queries, 3)
    drums, piano, fast = vectors().values()
    sums = captions[rows].astype(np.float32) + np.stack([piano, drums, drums + piano + fast, drums + fast, piano])
    scores = queries @ sums.T
    best = np.argsort(-scores, axis=1)[:, :3]
    assert np.array_equal(found.rows_QK, rows[best])
    np.testing.assert_allclose(found.scores_QK, np.take_along_axis(scores, best, axis=1), atol=1e-4)
    np.testing.assert_allclose(stated[np.array([3, 0])], sums[[3, 0]], atol=1e-6)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()}
    write_stated(Storage(str(tmp_path)), "set", vocabulary, vectors(), rows)
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()} == before


def test_captions_of_equal_facts_share_a_meaning_and_its_count(vocabulary: Vocabulary, tmp_path: Path) -> None:
    facts = pa.array([["a"], ["a", "b"], ["a"], [], [], None], pa.list_(pa.string()))
    table = vocabulary.table.set_column(2, "facts", facts)
    known = Vocabulary(vocabulary.card, table)
    meaning = meanings(known)
    assert meaning[0] == meaning[2]
    assert len(set(meaning.tolist())) == 5  # those that state nothing, or are not listed, stand alone
    assert shared_counts(np.array([4, 1, 3, 2, 5, 0]), meaning).tolist() == [7, 1, 7, 2, 5, 0]
    write_stated(Storage(str(tmp_path)), "set", known, vectors(), None)
    assert np.array_equal(read_meanings(Storage(str(tmp_path)), "set"), meaning)
