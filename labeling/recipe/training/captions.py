"""Captions for a clip from its facts, written anew at every step of training.

A caption states a few facts in one of many forms: a tag, a list, a sentence in one of several orders. Words that say
nothing stand between; now and then a looser word takes a phrase's place. What is stated is returned beside the text,
because training counts every clip as a match for which all stated facts hold.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import NamedTuple

from labeling.recipe.training.words import FILLER_PHRASES, NEUTRAL_WORDS
from vocab.grammar.lexicon import WORDS, group_of, implied_by
from vocab.grammar.loose_words import LOOSE_WORDS

__all__ = ["Caption", "write_caption"]


class Caption(NamedTuple):
    text: str
    facts: tuple[str, ...]
    """What it states."""


_GROUP_WEIGHTS: dict[str, float] = {
    **{"style": 4.0, "instrument": 4.5, "lead": 2.2, "family": 2.0, "genre": 1.0, "palette": 0.5, "tempo": 2.0},
    **{"mood": 2.2, "energy": 1.5, "drums": 1.3, "kit": 0.8, "voice": 1.0, "sound": 5.0, "recording": 0.8},
    **{"density": 1.0, "register": 1.2, "ensemble": 1.2, "texture": 0.8, "feel": 0.8},
}
_COUNT_SHARES = (0.22, 0.24, 0.2, 0.14, 0.1, 0.06, 0.04)
"""Of captions with 1, 2, ... 7 facts."""
_LOOSE_SHARE = 0.12
_NOUN_ENDINGS = frozenset(
    """tempo pace notes energy tension music song groove line feel rhythm instruments register beat quality drums drum
    arrangement band tones chords hall crackle art strings electronica edm speed ensemble solo duo duet loop only
    performance played""".split()
)


def write_caption(facts: Iterable[str], rng: random.Random, *, count: int = 0, plain: bool = False) -> Caption:
    """One caption. `count` facts (drawn where 0); `plain` leaves out loose words and words that say nothing."""
    chosen = _choose_facts(tuple(facts), rng, count)
    phrases = [(fact, _phrase(fact, rng, plain)) for fact in chosen]
    draw = rng.random()
    if len(phrases) == 1 and draw < 0.6:
        text = phrases[0][1]
    elif draw < 0.35:
        items = [p for _, p in phrases]
        rng.shuffle(items)
        text = ", ".join(items)
    else:
        text = _sentence(phrases, rng)
    if not plain:
        text = _blur(text, rng)
    return Caption(_tidy(text), tuple(chosen))


def _pick(rng: random.Random, options: tuple[str, ...]) -> str:
    return options[int(rng.random() * len(options))]


def _choose_facts(facts: tuple[str, ...], rng: random.Random, count: int) -> list[str]:
    """Facts of different groups, the telling groups more often; sometimes a second or third instrument."""
    by_group: dict[str, list[str]] = {}
    for fact in sorted(facts):
        by_group.setdefault(group_of(fact), []).append(fact)
    groups = sorted(by_group)
    count = count or rng.choices(range(1, len(_COUNT_SHARES) + 1), _COUNT_SHARES)[0]
    # the largest of u^(1/w): a weighted draw without replacement (Efraimidis and Spirakis)
    picked = sorted(groups, key=lambda g: -(rng.random() ** (1 / _GROUP_WEIGHTS[g])))[:count]
    chosen: list[str] = []
    for group in picked:
        options = by_group[group]
        chosen.append(rng.choice(options))
        if group in ("instrument", "mood") and len(options) > 1 and len(chosen) < count and rng.random() < 0.4:
            more = [o for o in options if o != chosen[-1]]
            chosen.append(rng.choice(more))
    said = {implied for fact in chosen for implied in implied_by(fact)}
    kept = [f for f in chosen if not (f in said and rng.random() < 0.8)]
    return kept or chosen


def _phrase(fact: str, rng: random.Random, plain: bool) -> str:
    """The first phrase of a fact stands for it more often than the others."""
    if not plain and fact in LOOSE_WORDS and rng.random() < _LOOSE_SHARE:
        return _pick(rng, LOOSE_WORDS[fact])
    phrases = WORDS[fact]
    return phrases[0] if rng.random() < 0.25 else _pick(rng, phrases)


_NOUNS = ("piece", "track", "recording", "tune", "composition", "clip", "work")
_OPENINGS = ("", "", "a ", "a ", "an ", "this is a ", "here is a ", "the ", "this ", "we hear a ", "it is a ")
_WITH = ("with ", "featuring ", "that features ", "played on ", "with the sound of ", "led by ", "made of ", "and ")
_TAILS = (", ", " with ", ", and ", " and ", "; ", ". it is ", ". there is ", ". it has ", ", it sounds ")


def _is_adjective(fact: str, phrase: str) -> bool:
    if group_of(fact) not in (
        "tempo",
        "energy",
        "density",
        "register",
        "mood",
        "feel",
        "genre",
        "palette",
        "recording",
    ):
        return phrase == "instrumental"
    first, last = phrase.split()[0], phrase.split()[-1]
    return first not in ("at", "with", "full", "few", "many", "large") and last not in _NOUN_ENDINGS


def _sentence(phrases: list[tuple[str, str]], rng: random.Random) -> str:
    """Adjectives, a noun, instruments, and the rest, in one of a few orders."""
    order = rng.sample(phrases, len(phrases))
    adjectives = [p for f, p in order if _is_adjective(f, p)]
    nouns = [p for f, p in order if group_of(f) in ("style", "sound")]
    players = [_player(f, p, rng) for f, p in order if group_of(f) in ("instrument", "lead", "family", "kit")]
    used = {"style", "sound", "instrument", "lead", "family", "kit"}
    rest = nouns[1:] + [p for f, p in order if group_of(f) not in used and not _is_adjective(f, p)]
    joined = (", " if rng.random() < 0.5 else " and " if rng.random() < 0.4 else " ").join(adjectives)
    noun = nouns[0] if nouns else _pick(rng, _NOUNS)
    if nouns and rng.random() < 0.5:
        noun += " " + _pick(rng, _NOUNS)
    by = _listed(players, rng)
    form = rng.random()
    if players and form < 0.2:  # the instrument first
        text = f"{by} {_pick(rng, ('playing', 'in', 'plays', 'on', 'for'))} a {joined} {noun}"
    elif players and form < 0.32 and not nouns:
        text = f"{joined} {by}"
    elif players and form < 0.45:
        text = f"{_pick(rng, _OPENINGS)}{joined} {noun} for {by}"
    elif form < 0.55 and adjectives:  # the adjectives last
        text = f"{_pick(rng, _OPENINGS)}{noun} {_pick(rng, _WITH) + by if by else ''} that is {joined}"
    elif form < 0.62 and adjectives:
        feel = _pick(rng, ("feel", "mood", "character", "sound", "atmosphere"))
        text = f"{_pick(rng, _OPENINGS)}{noun} {_pick(rng, _WITH) + by if by else ''} with a {joined} {feel}"
    else:
        text = f"{_pick(rng, _OPENINGS)}{joined} {noun} {_pick(rng, _WITH) + by if by else ''}"
    for phrase in rest:
        text += _pick(rng, _TAILS) + phrase
    return text + ("." if rng.random() < 0.4 else "")


def _player(fact: str, phrase: str, rng: random.Random) -> str:
    if group_of(fact) != "instrument" or rng.random() < 0.5:
        return phrase
    return _pick(rng, ("a ", "an ", "the ", "gentle use of ", "some ", "one ")) + phrase


def _listed(items: list[str], rng: random.Random) -> str:
    if len(items) < 3:
        return _pick(rng, (" and ", " and ", ", ", " with ", " over ", " together with ")).join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def _blur(text: str, rng: random.Random) -> str:
    """Adds words that say nothing: a filler phrase at an end, a neutral word somewhere."""
    if rng.random() < 0.12:
        filler = _pick(rng, FILLER_PHRASES)
        text = f"{text.rstrip('.')}, {filler}" if rng.random() < 0.7 else f"{filler}, {text}"
    if rng.random() < 0.15:
        words = text.split()
        words.insert(rng.randrange(len(words) + 1), _pick(rng, NEUTRAL_WORDS))
        text = " ".join(words)
    return text


_ARTICLE = re.compile(r"\ban? (?=(\w))")


def _tidy(text: str) -> str:
    """One space between words, none before a comma, and "an" before a vowel."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".").replace(" ;", ";")
    return _ARTICLE.sub(lambda m: "an " if m[1] in "aeio" else "a ", text)
