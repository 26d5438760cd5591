"""The lexicon: every phrase means one fact, implications hold, and texts are read back."""

from __future__ import annotations

from collections import Counter

import pytest

from vocab.grammar.lexicon import (
    FACTS,
    FAMILY_OF,
    STYLES,
    WORDS,
    group_of,
    implied_by,
    stated_facts,
    with_implied,
)
from vocab.grammar.loose_words import LOOSE_WORDS


def test_no_phrase_states_two_facts() -> None:
    counts = Counter(phrase for phrases in WORDS.values() for phrase in phrases)
    assert [phrase for phrase, n in counts.items() if n > 1] == []


def test_every_fact_is_group_and_value_with_lower_case_phrases() -> None:
    for fact in FACTS:
        assert fact.count(":") == 1
        assert WORDS[fact], fact
        assert all(p == p.lower().strip() for p in WORDS[fact])


def test_breadth() -> None:
    assert len(STYLES) >= 30
    assert len(FAMILY_OF) >= 50
    assert sum(group_of(f) == "lead" for f in FACTS) >= 45


def test_loose_words_belong_to_known_facts() -> None:
    assert set(LOOSE_WORDS) <= set(WORDS)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("lead:violin", {"instrument:violin", "family:strings"}),
        ("instrument:timpani", set()),
        ("instrument:singer", {"family:voice", "voice:sung"}),
        ("style:house", {"genre:electronic"}),
        ("style:jazz", set()),
        ("sound:birds", {"sound:non-music"}),
        ("sound:non-music", set()),
        ("kit:electronic", {"drums:yes"}),
    ],
)
def test_implied(fact: str, expected: set[str]) -> None:
    assert set(implied_by(fact)) == expected


def test_implied_facts_exist_and_closure_is_closed() -> None:
    closed = with_implied(FACTS)
    assert closed == set(FACTS)
    assert with_implied(with_implied(["lead:sitar"])) == with_implied(["lead:sitar"])


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("A slow, calm piece for solo piano", ("tempo:slow", "energy:calm", "ensemble:solo", "instrument:piano")),
        ("Electric piano without drums", ("instrument:electric piano", "drums:no")),
        ("drum and bass", ("style:drum and bass",)),
        ("Hip-Hop,   with a DRUM machine", ("style:hip hop", "kit:electronic")),
        ("", ()),
        ("rocky bassist", ()),
    ],
)
def test_stated_facts(text: str, facts: tuple[str, ...]) -> None:
    assert stated_facts(text) == facts


def test_every_phrase_reads_back_as_its_fact() -> None:
    for fact, phrases in WORDS.items():
        for phrase in phrases:
            assert stated_facts(phrase) == (fact,), phrase
