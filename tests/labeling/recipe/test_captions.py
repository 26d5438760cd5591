"""Training captions state what they say they state, in words that the tokenizer knows."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.training.captions import write_caption
from labeling.recipe.training.tokenizer import MAX_TOKENS, known_words, make_tokenizer
from vocab.grammar.lexicon import FACTS, WORDS
from vocab.grammar.loose_words import LOOSE_WORDS


@settings(max_examples=150, deadline=None)
@given(st.sets(st.sampled_from(FACTS), min_size=1, max_size=12), st.integers(0, 2**32))
def test_states_only_facts_of_the_clip_and_each_by_a_phrase(facts: set[str], seed: int) -> None:
    caption = write_caption(facts, random.Random(seed), plain=True)
    assert caption.facts
    assert set(caption.facts) <= facts
    assert len(set(caption.facts)) == len(caption.facts)
    for fact in caption.facts:
        assert any(phrase in caption.text for phrase in WORDS[fact]), (fact, caption.text)


def test_same_seed_same_caption_and_many_forms() -> None:
    facts = describe(compose(4, 6.0, style="jazz"))
    assert write_caption(facts, random.Random(3)) == write_caption(facts, random.Random(3))
    assert len({write_caption(facts, random.Random(k)).text for k in range(300)}) > 250


def test_count_asks_for_so_many_facts_at_least_when_they_are_there() -> None:
    facts = {"style:jazz", "tempo:slow", "drums:yes", "energy:calm", "voice:no"}
    assert len(write_caption(facts, random.Random(0), count=5).facts) == 5
    assert len(write_caption({"style:jazz"}, random.Random(0), count=5).facts) == 1


def test_tokenizer_knows_every_word_it_was_trained_on() -> None:
    tokenizer = make_tokenizer()
    rng = random.Random(0)
    for index in range(200):
        caption = write_caption(describe(compose(index, 4.0)), rng)
        ids = tokenizer(caption.text)["input_ids"]
        assert tokenizer.unk_token_id not in ids, caption.text
        assert len(ids) <= MAX_TOKENS
    for phrases in (*WORDS.values(), *LOOSE_WORDS.values()):
        for phrase in phrases:
            assert tokenizer.unk_token_id not in tokenizer(phrase)["input_ids"], phrase


def test_tokenizer_is_lower_case_and_marks_unknown_words() -> None:
    tokenizer = make_tokenizer()
    assert tokenizer("JAZZ Piano")["input_ids"] == tokenizer("jazz piano")["input_ids"]
    ids = tokenizer("jazz flibbertigibbet")["input_ids"]
    assert ids.count(tokenizer.unk_token_id) == 1
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_breadth_of_words() -> None:
    words = set(known_words())
    assert len(words) > 1000
    assert words >= {"guitar", "mellow", "didgeridoo", "groovy", "quality", "vinyl"}
