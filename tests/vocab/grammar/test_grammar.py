"""The grammar: readable English, facts that are in the sentence, nothing that contradicts itself."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import islice

import pytest

from pipeline.ids import caption_id
from vocab.grammar.english import conjugate, gerund, join_and, sentence, with_article
from vocab.grammar.grammar import long_captions
from vocab.grammar.lexicon import FACTS, WORDS, group_of, stated_facts
from vocab.grammar.tags import short_captions
from vocab.grammar.words_instruments import INSTRUMENTS
from vocab.grammar.words_playing import BASS_LINES, GROOVES, LINES
from vocab.grammar.words_style import STYLES
from vocab.store import bundled_vocabulary

ONE_VALUE = ("tempo", "energy", "drums", "density", "ensemble")
SAMPLE = list(islice(long_captions(seed=7), 1500))


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("808 kick", "an 808 kick"),
        ("ukulele", "a ukulele"),
        ("upright bass", "an upright bass"),
        ("R&B groove", "an R&B groove"),
        ("8-bit synth", "an 8-bit synth"),
        ("unison line", "a unison line"),
        ("uneasy waltz", "an uneasy waltz"),
        ("one-drop beat", "a one-drop beat"),
        ("1980s tune", "a 1980s tune"),
        ("Eurodance track", "a Eurodance track"),
        ("uptempo jig", "an uptempo jig"),
        ("honest song", "an honest song"),
        ("horn", "a horn"),
    ],
)
def test_article_goes_by_sound(noun: str, expected: str) -> None:
    assert with_article(noun) == expected


def test_verbs_agree() -> None:
    assert conjugate("carry the tune", plural=False) == "carries the tune"
    assert conjugate("carry the tune", plural=True) == "carry the tune"
    assert conjugate("play chords", plural=False) == "plays chords"
    assert conjugate("crunch", plural=False) == "crunches"
    assert conjugate("echo", plural=False) == "echoes"
    assert gerund("strum along") == "strumming along"
    assert gerund("glide by") == "gliding by"
    assert gerund("weave") == "weaving"
    assert gerund("tiptoe along") == "tiptoeing along"
    assert join_and(["a", "b", "c"]) == "a, b and c"
    assert sentence("@a  sad , slow air.") == "A sad, slow air."


def test_tables_name_only_what_there_is() -> None:
    for style in STYLES:
        for name in (*style.leads, *style.chords, *style.basses, *style.drums, *style.pads):
            assert name in INSTRUMENTS, (style.name, name)
        for name in (*style.leads, *style.chords, *style.pads):
            assert INSTRUMENTS[name].manner in LINES, (style.name, name)
        assert set(style.bass_lines) <= set(BASS_LINES)
        assert set(style.grooves) <= set(GROOVES)
        assert bool(style.drums) == bool(style.grooves)
    assert {instrument.fact for instrument in INSTRUMENTS.values()} <= set(FACTS)
    assert {f"style:{name}" for name in ("jazz", "tango", "lullaby")} <= {f"style:{style.name}" for style in STYLES}


def test_every_caption_reads_like_a_sentence() -> None:
    for text, _ in SAMPLE:
        assert 3 <= len(text.split()) <= 60, text
        assert re.fullmatch(r"[A-Z0-9][^@{}#|+~]*[a-z0-9]\.", text), text
        assert "  " not in text, text
        assert " ," not in text, text
        for article, word in re.findall(r"\b([Aa]n?) (\S+)", text):
            assert with_article(word).split()[0] == article.lower(), text


def test_facts_are_those_that_the_lexicon_reads_in_the_text() -> None:
    for text, facts in SAMPLE:
        assert set(stated_facts(text)) <= set(facts), text
        assert set(facts) <= set(FACTS)


def test_no_caption_contradicts_itself() -> None:
    for text, facts in SAMPLE:
        values = defaultdict(set)
        for fact in facts:
            values[group_of(fact)].add(fact)
        for group in ONE_VALUE:
            assert len(values[group]) <= 1, (text, facts)
        assert not {"voice:no", "voice:sung"} <= set(facts), text
        assert not {"drums:no", "kit:electronic"} <= set(facts), text


def test_the_same_seed_is_the_same_captions_and_another_seed_is_not() -> None:
    first = list(islice(long_captions(seed=3), 20))
    assert first == list(islice(long_captions(seed=3), 20))
    assert first != list(islice(long_captions(seed=4), 20))


def test_tags_are_short_distinct_and_cover_the_lexicon() -> None:
    tags = dict(short_captions())
    assert len(tags) >= 1500
    assert max(len(tag.split()) for tag in tags) <= 9
    assert all(not tag.endswith(".") for tag in tags)
    stated = {fact for facts in tags.values() for fact in facts}
    assert {fact for fact in WORDS if not fact.startswith("lead:")} <= stated


def test_the_bundled_vocabularies_hold_what_the_grammar_writes() -> None:
    long, short = bundled_vocabulary("long"), bundled_vocabulary("short")
    assert len(long) == 100_000
    assert len(short) >= 1_500
    assert long.card.source == short.card.source == "grammar"
    assert not long.card.evaluation_derived
    texts = set(long.texts.to_pylist())
    wanted = [text for text, _ in islice(long_captions(seed=0), 300)]
    missing = [text for text in wanted if text not in texts]
    assert len(missing) <= 6, missing  # those that are nearly the same as an earlier one
    assert len(short) == len({caption_id(tag) for tag, _ in short_captions()})
    assert long.facts is not None
    uses = Counter(fact for facts in long.facts.to_pylist() for fact in facts)
    styles = [uses[f"style:{style.name}"] for style in STYLES if f"style:{style.name}" in WORDS]
    assert min(styles) >= 50
