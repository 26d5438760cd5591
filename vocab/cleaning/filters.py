"""Filters of single sentences: each returns why a sentence is left out, or nothing. The cheap ones come first."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from vocab.cleaning.names import NameIndex
from vocab.cleaning.relevance import THRESHOLD, Relevance
from vocab.cleaning.sense import why_nonsense
from vocab.cleaning.words_common import COMMON_WORDS, tokenise

__all__ = ["SentenceFilters"]

_URL = re.compile(
    r"https?:|www\.|\S@\S+\.\w|\b[\w-]+\.(?:com|org|net|io|tv|fm|co\.uk)\b|(?<!\w)[@#]\w{3,}", re.IGNORECASE
)
_BRACKETS = re.compile(r"[\[\]{}<>|\\_^~=*]|^[^(]*\)|\([^)]*(?:\(|$)")
"""Round ones may stand in pairs."""
_SCORE = re.compile(
    r"\b\d+(?:\.\d+)?\s*/\s*(?:5|10|100)\b|\b(?:\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten)"
    r"\s+out\s+of\s+(?:\d+|five|ten)\b|[★☆⭐]|\b(?:[1-5](?:\.5)?|one|two|three|four|five)[- ]stars?\b|\brating\s*:",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\bas an? (?:ai\b|a\.i|artificial|large language|language|text|chat)|\blanguage model\b"
    r"|\bi(?:['’]m| am) (?:so )?(?:sorry|unable|not (?:able|familiar|sure|aware))"
    r"|\bi (?:cannot|can['’]?t|can not|could not|couldn['’]t|do not|don['’]t) (?:have|know|listen|hear|access|provide"
    r"|find|help|recogni[sz]e|answer|describe|assist)|\bapologi[sz]e"
    r"|\bunable to (?:listen|provide|access|find|determine|answer)|\bmy (?:knowledge|training)\b"
    r"|\bno information (?:about|on)\b|\bsorry, (?:but )?(?:i|this)\b",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(r"(?<![\w-])I(?:['’](?:m|ve|d|ll))?(?![\w-])|\b(?:me|my|mine|myself)\b")
"""Not the first of the chords in I-V-vi-IV."""
_CHAT = re.compile(
    r"^(?:sure|certainly|absolutely|of course|okay|ok|great[!,.]|yes|no problem|here(?:['’]s| is| are| you)"
    r"|thanks?|thank"
    r" you|hello|hi|hey|hope|let['’]s (?:take|see|look|talk|start|dive|explore|discuss|break|try|go|begin)"
    r"|note that|please|would you|do you|did you|can you|have you|are you)\b(?![ -]hat)|"
    r"\b(?:let me know|feel free|hope (?:this|that|you)|happy to help|if you (?:want|need|like|have)|check out|"
    r"anything else|your (?:question|request|prompt|favou?rite))\b",
    re.IGNORECASE,
)
_LYRICS = re.compile(
    r"[♪♫♬]|\b(la|na|oh|ooh|ah|yeah|hey|doo|da|uh|woah|whoa)\b(?:[\s,!-]+\1\b){2,}|\b(?:verse|chorus|refrain"
    r"|bridge|outro)\s*\d*\s*:|\s/\s.*\s/\s|[\"“](?:[^\"”\s]+\s+){5,}[^\"”\s]+[\"”]|\blyrics?\s*:",
    re.IGNORECASE,
)
_ENGLISH = frozenset("the is are with of and it this that by for from has there while over its".split())


@dataclass(frozen=True, kw_only=True)
class SentenceFilters:
    """The chain over one sentence. Made in each process; `names` may be shared by all of its sentences."""

    names: NameIndex
    fewest_words: int = 3
    most_words: int = 60
    english: bool = True
    about_music: bool = True

    def reason(self, sentence: str, own: Sequence[tuple[str, ...]] = ()) -> str:
        """Why the sentence is left out, a key of REASONS; empty where it is kept. `own`: names of its own song."""
        lowered = sentence.lower()
        words = lowered.split()
        if len(words) < self.fewest_words:
            return "too-short"
        if len(words) > self.most_words:
            return "too-long"
        if sentence.endswith(":"):
            return "heading"
        if len(words) >= 8 and len(set(words)) * 2 < len(words):
            return "repetitive"
        tokens = tokenise(lowered)
        present = frozenset(tokens)
        if found := _by_pattern(sentence, tokens, present):
            return found
        if own and self.names.own(sentence, tuple(own)):
            return "own-name"
        if self.names.other(sentence):
            return "other-name"
        if self.english and not _is_english(sentence, tokens):
            return "language"
        if self.about_music and (nonsense := why_nonsense(sentence, tokens)):
            return nonsense
        if self.about_music and Relevance.load().of_words(tokens) < THRESHOLD:
            return "not-music"
        return ""


def _by_pattern(sentence: str, tokens: Sequence[str], present: frozenset[str]) -> str:
    """What a pattern finds; a pattern is tried only where a sign of it is there, most sentences have none."""
    if _ODD.search(sentence):
        for reason, pattern in (("url", _URL), ("lyrics", _LYRICS), ("score", _SCORE), ("brackets", _BRACKETS)):
            if pattern.search(sentence):
                return reason
    if present & _REFUSAL_SIGNS and _REFUSAL.search(sentence):
        return "refusal"
    if present & _RATING_SIGNS and _SCORE.search(sentence):
        return "score"
    if present & _LYRIC_SIGNS and _LYRICS.search(sentence):
        return "lyrics"
    if sentence.endswith("?") or ((tokens[0] in _CHAT_OPENINGS or present & _CHAT_SIGNS) and _CHAT.search(sentence)):
        return "chat"
    if present & _FIRST_PERSON_SIGNS and _FIRST_PERSON.search(sentence):
        return "first-person"
    return ""


_ODD = re.compile(r"[^\w\s,.'’&;!?-]|_|\w\.\w")
_REFUSAL_SIGNS = frozenset("i i'm i’m ai a.i model apologize apologise sorry unable my information".split())
_RATING_SIGNS = frozenset("out star stars rating".split())
_LYRIC_SIGNS = frozenset("la na oh ooh ah yeah hey doo da uh woah whoa".split())
_FIRST_PERSON_SIGNS = frozenset("i i'm i've i'd i'll i’m i’ve i’d i’ll me my mine myself".split())
_CHAT_OPENINGS = frozenset(
    """sure certainly absolutely of okay ok great yes no here here's here’s thank thanks hello hi hey hope let's let’s
    note please would do did can have are""".split()
)
_CHAT_SIGNS = frozenset("you your know free help check else".split())


def _is_english(sentence: str, tokens: Sequence[str]) -> bool:
    """By common English words where there are enough of them, else by py3langid, which errs on very short sentences."""
    common = sum(token in COMMON_WORDS for token in tokens)
    if common * 5 >= 3 * len(tokens) or sum(token in _ENGLISH for token in tokens) * 4 >= len(tokens):
        return True
    return _language(sentence) == "en"


@cache
def _identify() -> Callable[[str], tuple[str, float]]:
    classify: Callable[[str], tuple[str, float]] = importlib.import_module("py3langid").classify
    return classify


def _language(sentence: str) -> str:
    return _identify()(sentence)[0]
