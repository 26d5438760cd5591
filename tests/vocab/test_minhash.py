"""Near-duplicates: what must be found is found, what is different stays."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from vocab.grammar import long_captions
from vocab.minhash import Banding, candidate_pairs, near_duplicates, run_form, similarity, sketch


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


def test_pairs_link_every_row_to_the_first_of_its_key() -> None:
    keys = np.array([[5, 1], [7, 2], [5, 3], [5, 2]], dtype=np.uint64)
    assert candidate_pairs(keys).tolist() == [[0, 2], [0, 3], [1, 3], [2, 3]]


def test_every_row_that_repeats_a_kept_one_goes_and_no_other() -> None:
    base = [text for text, _ in islice(long_captions(seed=12), 500)]
    texts = base + [text.rstrip(".") + "!" for text in base[:50]] + [f"{text[:-1]} too." for text in base[50:100]]
    pairs = dict(near_duplicates(texts, sketch(texts, Banding()), threshold=0.8))
    kept = [row for row in range(len(texts)) if row not in pairs]
    for gone, stays in pairs.items():
        assert stays in kept or stays in pairs
        assert stays < gone
        assert similarity(texts[gone], texts[stays]) >= 0.8
    missed = [(a, b) for at, a in enumerate(kept) for b in kept[at + 1 :] if similarity(texts[a], texts[b]) >= 0.8]
    assert len(missed) <= 0.01 * len(pairs) + 1
    assert set(range(500, 550)) <= set(pairs)


def test_no_texts_no_pairs() -> None:
    assert sketch([], Banding()).keys_NB.shape == (0, 12)
    assert list(near_duplicates([], sketch([], Banding()), threshold=0.8)) == []
    assert Banding().catches(0.8) > 0.99
