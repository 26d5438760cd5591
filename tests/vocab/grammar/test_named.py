"""Which captions a model that hears only some facts must not choose, and why."""

from __future__ import annotations

import pyarrow as pa

from vocab.grammar.lexicon import FACTS, stated_facts
from vocab.grammar.named import reasons_unheard
from vocab.store import bundled_vocabulary

STYLE, INSTRUMENT, USE = (
    f"names {what} that the model was never taught" for what in ("a style", "an instrument", "a use")
)
UNHEARD, NOTHING = "states what the model does not hear well", "states no fact that the model hears"


def reasons(text: str, heard: tuple[str, ...] = FACTS, facts: list[str] | str | None = "those of the text") -> set[str]:
    if isinstance(facts, str):
        facts = list(stated_facts(text))
    column = pa.chunked_array([pa.array([facts], pa.list_(pa.string()))])
    found = reasons_unheard(pa.chunked_array([[text]]), column, heard)
    return {reason for reason, rows in found.items() if rows[0]}


def test_a_caption_of_heard_facts_alone_has_no_reason_against_it() -> None:
    for text in ("A slow sad piano solo.", "Cheerful polka with an accordion", "no drums", "Swing jazz by a saxophone"):
        assert reasons(text) == set(), text


def test_each_kind_of_name_without_a_fact_is_seen_in_any_case_and_only_as_a_word() -> None:
    assert reasons("Slow SKA with drums") == {STYLE}
    assert reasons("a slow piece with an erhu") == {INSTRUMENT}
    assert reasons("calm piano music for a road trip") == {USE}
    for era in ("calm 1980s piano", "calm 80's piano", "calm 80s piano"):
        assert reasons(era) == {"names an era"}
    assert reasons("a calm piano askance") == set()
    assert reasons("a catchy hook") == {NOTHING}


def test_a_fact_that_is_not_heard_bars_its_captions_by_text_and_by_column() -> None:
    deaf = tuple(fact for fact in FACTS if fact != "style:jazz")
    assert reasons("slow jazz", deaf) == {UNHEARD, STYLE}
    assert reasons("slow jazz") == set()
    assert reasons("slow music", deaf, ["tempo:slow", "style:jazz"]) == {UNHEARD}
    assert reasons("whatever it says", FACTS, ["tempo:slow"]) == set()
    assert reasons("slow piano", FACTS, []) == {NOTHING}


def test_of_a_caption_whose_facts_nobody_knows_only_styles_and_silence_count() -> None:
    for text in ("slow piano in the 1980s with an erhu for a road trip", "a warm tune, deep and slow"):
        assert reasons(text, ("tempo:slow",), None) == set()
    assert reasons("slow ska", FACTS, None) == {STYLE}
    assert reasons("a tune", FACTS, None) == {NOTHING}


def test_a_third_of_the_bundled_sentences_and_no_style_without_a_fact_is_left() -> None:
    vocabulary = bundled_vocabulary("long")
    found = reasons_unheard(vocabulary.texts, vocabulary.table.column("facts"), FACTS)
    kept = [t for t, *bad in zip(vocabulary.texts.to_pylist(), *found.values(), strict=True) if not any(bad)]
    assert 0.3 < len(kept) / len(vocabulary) < 0.6
    assert not [t for t in kept if any(word in t.lower() for word in ("flamenco", "dixieland", "afrobeat", "mariachi"))]
    assert all(stated_facts(text) for text in kept[:2000])
