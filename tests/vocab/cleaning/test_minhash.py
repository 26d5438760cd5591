"""Sketches: equal texts have equal keys, like texts become pairs, a phrase that all share does not make them pairs."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from vocab.cleaning.minhash import Banding, band_pairs, run_form, similarities, similarity, sketch, sorted_distinct
from vocab.grammar.grammar import long_captions


def test_runs_and_similarity_by_hand() -> None:
    assert run_form("A *slow*  Tune!") == " a slow tune "
    assert similarity("abcdef", "ABCDEF.") == 1.0
    # " abcdef ": 4 runs of 5; " abcdeg ": " abcd", "abcde" are common to both
    assert similarity("abcdef", "abcdeg") == pytest.approx(2 / 6)
    assert similarity("ab", "cd") == 0.0


def test_equal_forms_have_equal_keys_wherever_they_stand() -> None:
    banding = Banding()
    texts = ["A slow tune.", "x", "a SLOW tune", "Loud drums crash."]
    keys = sketch(texts, banding).keys_NB
    assert keys.shape == (4, 12)
    assert (keys[0] == keys[2]).all()
    assert not (keys[0] == keys[3]).any()
    assert (sketch(texts[2:3], banding).keys_NB[0] == keys[0]).all()


def test_keys_agree_as_often_as_the_similarity_says() -> None:
    base = [text for text, _ in islice(long_captions(seed=11), 400)]
    edited = [text.replace("with", "and", 1) + " Yes." for text in base]
    banding = Banding(bands=60, rows=1)
    agree = (sketch(base, banding).low_NH == sketch(edited, banding).low_NH).mean(axis=1)
    exact = np.array([similarity(a, b) for a, b in zip(base, edited, strict=True)])
    assert abs(float((agree - exact).mean())) < 0.01
    assert float(np.sqrt(((agree - exact) ** 2).mean())) < 0.08


def test_many_similarities_at_once_are_the_ones_of_single_pairs() -> None:
    texts = [text for text, _ in islice(long_captions(seed=12), 60)] + ["", "a", "Ü ö", "a slow slow slow slow tune"]
    pairs = np.array([(a, b) for a in range(len(texts)) for b in range(len(texts))])
    expected = [similarity(texts[a], texts[b]) for a, b in pairs.tolist()]
    assert similarities(texts, texts, pairs).tolist() == expected
    assert similarities(texts, texts, pairs[:0]).tolist() == []


def _rows(pairs: NDArray[np.uint64]) -> list[tuple[int, int]]:
    return [(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in pairs]


def test_a_band_gives_every_two_rows_of_a_bucket() -> None:
    same = np.zeros((6, 4), dtype=np.uint8)
    pairs = band_pairs(np.array([5, 7, 5, 9, 5, 7], dtype=np.uint64), same, 1, threshold=0.8)
    assert _rows(pairs) == [(0, 2), (0, 4), (1, 5), (2, 4)]


def test_a_full_bucket_is_split_by_further_minima() -> None:
    low = np.zeros((100, 20), dtype=np.uint8)
    low[:, 1] = np.arange(100) // 2  # pairs of rows agree on the minimum after the band's
    pairs = band_pairs(np.zeros(100, dtype=np.uint64), low, 1, threshold=0.8)
    assert _rows(pairs) == sorted([(0, at) for at in range(1, 100)] + [(2 * at, 2 * at + 1) for at in range(1, 50)])


def test_a_bucket_that_cannot_be_split_links_each_row_to_its_first() -> None:
    low = np.zeros((100, 20), dtype=np.uint8)
    pairs = band_pairs(np.zeros(100, dtype=np.uint64), low, 1, threshold=0.8)
    assert _rows(pairs) == [(0, at) for at in range(1, 100)]


def test_sorted_distinct_is_unique() -> None:
    codes = np.array([3, 1, 3, 2, 1], dtype=np.uint64)
    assert sorted_distinct(codes).tolist() == [1, 2, 3]
    assert sorted_distinct(codes[:0]).tolist() == []


def test_banding_catches_what_it_should() -> None:
    assert sketch([], Banding()).keys_NB.shape == (0, 12)
    assert Banding().catches(0.8) > 0.99
