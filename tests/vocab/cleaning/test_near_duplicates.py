"""Near-duplicates: what must be found is found, what is different stays, for any number of processes."""

from __future__ import annotations

from itertools import islice

import pytest

import vocab.cleaning.near_duplicates
from vocab.cleaning.minhash import similarity
from vocab.cleaning.near_duplicates import near_duplicates
from vocab.grammar.grammar import long_captions


def test_every_row_that_repeats_a_kept_one_goes_and_no_other() -> None:
    base = [text for text, _ in islice(long_captions(seed=12), 500)]
    texts = base + [text.rstrip(".") + "!" for text in base[:50]] + [f"{text[:-1]} too." for text in base[50:100]]
    pairs = near_duplicates(texts, threshold=0.8)
    kept = [row for row in range(len(texts)) if row not in pairs]
    for gone, stays in pairs.items():
        assert stays in kept
        assert stays < gone
        assert similarity(texts[gone], texts[stays]) >= 0.8
    missed = [(a, b) for at, a in enumerate(kept) for b in kept[at + 1 :] if similarity(texts[a], texts[b]) >= 0.8]
    assert len(missed) <= 0.01 * len(pairs) + 1
    assert set(range(500, 550)) <= set(pairs)


def test_a_phrase_that_hundreds_share_hides_no_repetition() -> None:
    """Buckets of a band are far fuller than what is compared in full, and no two texts are alike but the last ones."""
    ends = [text for text, _ in islice(long_captions(seed=13), 600)]
    texts = [f"In this recording of a small ensemble one hears {end[0].lower()}{end[1:]}" for end in ends]
    before = near_duplicates(texts, threshold=0.8)
    texts += [f"{text[:-1]} too." for text in texts[:200]]
    gone = near_duplicates(texts, threshold=0.8)
    assert {row: gone[row] for row in range(600) if row in gone} == before
    alike = [at for at in range(200) if at not in before and similarity(texts[at], texts[600 + at]) >= 0.8]
    assert len(alike) > 150
    assert sum(600 + at in gone for at in alike) >= 0.99 * len(alike)


def test_hundreds_of_copies_leave_one() -> None:
    texts = [f"A slow waltz with a warm clarinet, brushed drums and a double bass, take {at:03d}." for at in range(400)]
    gone = near_duplicates(texts, threshold=0.8)
    assert sorted(gone) == list(range(1, 400))
    assert set(gone.values()) == {0}


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for text, _ in islice(long_captions(seed=14), 400)]
    texts += [f"{text[:-1]} too." for text in texts[:50]]
    alone = near_duplicates(texts, threshold=0.7)
    monkeypatch.setattr(vocab.cleaning.near_duplicates, "_WORTH_PROCESSES", 0)
    assert near_duplicates(texts, threshold=0.7, workers=2) == alone
    assert len(alone) >= 45


def test_no_texts_no_pairs() -> None:
    assert near_duplicates([], threshold=0.8) == {}
    assert near_duplicates(["A tune."], threshold=0.8) == {}
