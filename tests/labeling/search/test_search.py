"""Exact search against a plain sort, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.search.exact import ExactSearch
from labeling.search.some import SomeCaptions, SomeSearch
from pipeline.errors import IndexMismatch


def unit(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_same_top_ten_as_a_full_sort_across_chunks() -> None:
    rng = np.random.default_rng(0)
    captions, queries = unit(rng, 40_000, 16), unit(rng, 70, 16)
    found = ExactSearch(captions).top(queries, 10)
    scores = queries.astype(np.float64) @ captions.astype(np.float64).T
    assert (found.rows_QK == np.argsort(-scores, axis=1)[:, :10]).mean() > 0.999  # float32 may swap near-equal ones
    np.testing.assert_allclose(found.scores_QK, -np.sort(-scores, axis=1)[:, :10], atol=1e-6)


def test_equal_scores_come_in_the_order_of_rows_within_and_across_chunks() -> None:
    captions = np.zeros((40_000, 4), dtype=np.float32)
    captions[[7, 9, 20_000, 39_999, 3]] = [1, 0, 0, 0]
    captions[11] = [0.5, 0, 0, 0]
    queries = np.array([[1, 0, 0, 0], [-1, 0, 0, 0]], dtype=np.float32)
    found = ExactSearch(captions).top(queries, 8)
    assert found.rows_QK[0].tolist() == [3, 7, 9, 20_000, 39_999, 11, 0, 1]
    assert found.scores_QK[0].tolist() == [1, 1, 1, 1, 1, 0.5, 0, 0]
    assert found.rows_QK[1].tolist() == [0, 1, 2, 4, 5, 6, 8, 10]


def test_a_querys_answer_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(1)
    captions, queries = unit(rng, 5_000, 128), unit(rng, 130, 128)
    search = ExactSearch(captions)
    together, alone = search.top(queries, 10), search.top(queries[77:78], 10)
    assert np.array_equal(together.scores_QK[77:78], alone.scores_QK)
    assert np.array_equal(together.rows_QK[77:78], alone.rows_QK)


def test_half_precision_captions_and_a_vocabulary_smaller_than_k() -> None:
    captions = np.eye(3, 8, dtype=np.float16)
    found = ExactSearch(captions).top(np.eye(1, 8, dtype=np.float32), 10)
    assert found.rows_QK.tolist() == [[0, 1, 2]]


def test_another_dimension_names_both() -> None:
    with pytest.raises(IndexMismatch, match="8 dimensions, the caption embeddings 4"):
        ExactSearch(np.eye(4, dtype=np.float32)).top(np.eye(8, dtype=np.float32), 2)


@pytest.mark.parametrize("chosen", [[3, 9, 10, 19_000, 39_999], list(range(0, 40_000, 3))])
def test_a_search_over_some_captions_is_the_search_over_all_with_the_others_barred(chosen: list[int]) -> None:
    rng = np.random.default_rng(3)
    captions, queries = unit(rng, 40_000, 16), unit(rng, 70, 16)
    captions[chosen[1]] = captions[chosen[0]]  # equal scores
    rows = np.array(chosen)
    found = SomeSearch(ExactSearch(SomeCaptions(captions, rows)), rows).top(queries, 5)
    scores = np.full((70, 40_000), -np.inf)
    scores[:, rows] = queries @ captions[rows].T
    assert np.array_equal(found.rows_QK, np.argsort(-scores, axis=1, kind="stable")[:, :5])
