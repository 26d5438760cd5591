"""The fast search against the exact one: the same captions, in the same order, once the width is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.search.exact import ExactSearch
from labeling.search.fast import (
    WIDTHS,
    FaissSearch,
    IndexCard,
    build_index,
    open_index,
    recall_at_k,
    tune_width,
    write_index,
)
from pipeline.errors import BadInput, IndexMismatch
from pipeline.storage import Storage

faiss = pytest.importorskip("faiss", reason="the fast search needs faiss-cpu")


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def captions() -> NDArray[np.float32]:
    """5,000 captions of 64 dimensions around 50 directions, and queries that are none of them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, 64), dtype=np.float32)
    return _unit(centres[rng.integers(0, 50, 5000)] + 0.7 * rng.standard_normal((5000, 64), dtype=np.float32))


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return _unit(rng.standard_normal((40, 64), dtype=np.float32))


def test_a_width_that_reaches_the_recall_is_found(captions: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    exact = ExactSearch(captions)
    search = FaissSearch(captions, build_index(captions), width=1)
    narrow = recall_at_k(search.top(queries, 10), exact.top(queries, 10))
    reached = tune_width(search, exact, queries, k=10, recall=0.99)
    assert narrow < 0.9 < 0.99 <= reached
    assert search.width in WIDTHS[1:]
    found, best = search.top(queries, 10), exact.top(queries, 10)
    assert recall_at_k(found, best) == reached
    same = (found.rows_QK == best.rows_QK).all(axis=1)
    assert same.mean() >= 0.8
    assert np.allclose(found.scores_QK[same], best.scores_QK[same], atol=1e-6)


def test_all_candidates_are_the_exact_answer_with_ties_by_row() -> None:
    rng = np.random.default_rng(2)
    captions = _unit(rng.standard_normal((300, 16), dtype=np.float32))
    captions[200] = captions[7]
    captions[250] = captions[7]
    search = FaissSearch(captions, build_index(captions), width=60)
    found = search.top(captions[7:8], 5)
    assert found.rows_QK[0, :3].tolist() == [7, 200, 250]
    assert found.rows_QK.tolist() == ExactSearch(captions).top(captions[7:8], 5).rows_QK.tolist()
    assert search.top(captions[:0], 5).rows_QK.shape == (0, 5)
    assert search.top(captions[:2], 400).rows_QK.shape == (2, 300)


def test_recall_counts_common_rows() -> None:
    captions = np.eye(8, dtype=np.float32)
    exact = ExactSearch(captions).top(np.ones((1, 8), dtype=np.float32), 4)
    assert exact.rows_QK.tolist() == [[0, 1, 2, 3]]
    assert recall_at_k(replace(exact, rows_QK=np.array([[3, 9, 0, 7]])), exact) == 0.5


def test_half_precision_on_disk_is_searched_as_it_is(
    tmp_path: Path, captions: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    np.save(tmp_path / "half.npy", captions.astype(np.float16))
    mapped = np.load(tmp_path / "half.npy", mmap_mode="c")
    half = ExactSearch(mapped).top(queries, 10)
    widened = ExactSearch(captions.astype(np.float16).astype(np.float32)).top(queries, 10)
    assert (half.rows_QK == widened.rows_QK).all()
    assert (half.scores_QK == widened.scores_QK).all()
    search = FaissSearch(mapped, build_index(mapped), width=150)
    assert recall_at_k(search.top(queries, 10), half) > 0.98


def test_an_index_is_written_and_mapped(
    tmp_path: Path, captions: NDArray[np.float32], queries: NDArray[np.float32]
) -> None:
    storage = Storage(tmp_path)
    search = FaissSearch(captions, build_index(captions), width=20)
    card = IndexCard(
        captions=5000, dimension=64, matrix="captions-1.npy", width=20, k=10, recall=1.0, queries=40, faiss="x"
    )
    with pytest.raises(BadInput, match="there is no index"):
        open_index(storage, "i.faiss", captions, matrix="captions-1.npy")
    write_index(storage, "i.faiss", search.index, card)
    opened, read = open_index(storage, "i.faiss", captions, matrix="captions-1.npy")
    assert read == card
    assert (opened.top(queries, 10).rows_QK == search.top(queries, 10).rows_QK).all()
    with pytest.raises(IndexMismatch, match="holds 5000 captions of 64 dimensions, the matrix 4999"):
        open_index(storage, "i.faiss", captions[:-1], matrix="captions-1.npy")
    with pytest.raises(IndexMismatch, match=r"was made of captions-1.npy, not of"):
        open_index(storage, "i.faiss", captions, matrix="captions-2.npy")
    with pytest.raises(IndexMismatch, match="have 32 dimensions, the index 64"):
        opened.top(queries[:, :32], 10)


def test_dimensions_that_codes_cannot_cut_are_refused() -> None:
    with pytest.raises(BadInput, match="have 12 dimensions; the fast search needs a multiple of 8"):
        build_index(np.zeros((100, 12), dtype=np.float32))
