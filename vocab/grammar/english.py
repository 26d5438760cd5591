"""The little English that a grammar needs: articles, verb forms, lists, sentence ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["conjugate", "gerund", "join_and", "sentence", "with_article"]

_VOWEL_SOUND = re.compile(
    r"(?!(?:uku|uni[^nm]|use|usu|uti|eu|ew|once\b|one\b|one-))[aeiou]|8|11\b|18\b|honest|hour|r&b\b|edm\b|mpb\b|fm\b|lp\b",
    re.IGNORECASE,
)
_DOUBLED = frozenset(
    "strum hum run drop tap chug sit step thrum cut drip set begin grab hit slap snap spin stab".split()
)
_MARK = re.compile(r"@a (?=(\S+))")


def with_article(noun_phrase: str) -> str:
    """`a` or `an` before it, by sound: an 808 kick, a ukulele, an R&B groove, a one-note riff."""
    return f"{'an' if _VOWEL_SOUND.match(noun_phrase) else 'a'} {noun_phrase}"


def conjugate(verb_phrase: str, *, plural: bool) -> str:
    """Present tense of a phrase that begins with a base form: `carry the tune` -> `carries the tune`."""
    if plural:
        return verb_phrase
    verb, space, rest = verb_phrase.partition(" ")
    if verb == "have":
        third = "has"
    elif verb == "are":
        third = "is"
    elif re.search(r"[^aeiou]y$", verb):
        third = verb[:-1] + "ies"
    elif re.search(r"(?:s|sh|ch|x|z|[^o]o)$", verb):
        third = verb + "es"
    else:
        third = verb + "s"
    return third + space + rest


def gerund(verb_phrase: str) -> str:
    """`strum wide chords` -> `strumming wide chords`."""
    verb, space, rest = verb_phrase.partition(" ")
    if verb in _DOUBLED:
        form = verb + verb[-1] + "ing"
    elif verb.endswith("ie"):
        form = verb[:-2] + "ying"
    elif verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        form = verb[:-1] + "ing"
    else:
        form = verb + "ing"
    return form + space + rest


def join_and(items: Sequence[str]) -> str:
    """One, `a and b`, `a, b and c`."""
    if len(items) <= 1:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def sentence(text: str) -> str:
    """Resolve the `@a` marks (a or an, by the word that follows), one space between words, capital first, full stop."""
    text = " ".join(text.split()).replace(" ,", ",").rstrip(".") + "."
    text = _MARK.sub(lambda found: with_article(found.group(1)).split(" ", 1)[0] + " ", text)
    for at, letter in enumerate(text):
        if letter.isalnum():
            return text[:at] + letter.upper() + text[at + 1 :]
    return text
