"""Titles and artists in sentences: a caption must describe how music sounds, not say whose it is.

A name of the sentence's own song counts wherever it stands. A name of any other song on the list counts where it is
surely a name: several words of which one is unusual, or words that all begin with a capital inside a sentence. `Hello`
and `The Band` are names and words; only their capitals tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from vocab.cleaning.words_common import COMMON_WORDS

__all__ = ["NameIndex", "name_forms"]

_TOKEN = re.compile(r"[^\W_]+(?:['’&][^\W_]+)*")
_ASIDE = re.compile(
    r"\s*[(\[][^)\]]*[)\]]|\s+-\s+(?:.*(?:remaster|live|version|edit|mix|mono|stereo|demo).*)$|\s+(?:feat|ft)\.?\s.*$",
    re.IGNORECASE,
)
_ARTISTS = re.compile(r"\s*(?:,|;|/|&|\bfeat\.?|\bft\.?|\bx\b|\band\b|\bwith\b|\bvs\.?)\s*", re.IGNORECASE)
LONGEST_NAME = 8
"""Words of a name that are looked at; what follows does not matter."""


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.replace("’", "'"))


@lru_cache(maxsize=1)
def _words(sentence: str) -> tuple[list[str], list[str]]:
    """As written, and in lower case without a possessive; asked for twice in a row."""
    words = _tokens(sentence)
    return words, [word.casefold().removesuffix("'s") for word in words]


def name_forms(title: str, artist: str) -> tuple[tuple[str, ...], ...]:
    """The word sequences, in lower case, by which a song may be named; empty for names without a word."""
    forms: dict[tuple[str, ...], None] = {}
    for name in (title, _ASIDE.sub("", title), artist, *_ARTISTS.split(artist)):
        words = [word.casefold() for word in _tokens(name)][:LONGEST_NAME]
        if len(words) > 1 and words[0] == "the":
            words = words[1:]
        if words and (len(words) > 1 or len(words[0]) > 2):
            forms[tuple(words)] = None
    return tuple(forms)


class NameIndex:
    """Every name of a list of songs; asks one set look-up for each run of words of a sentence."""

    def __init__(self, songs: Iterable[tuple[str, str]] = ()) -> None:
        self._names: set[tuple[str, ...]] = set()
        self._lengths: dict[str, tuple[int, ...]] = {}
        for title, artist in songs:
            for form in name_forms(title, artist):
                self._names.add(form)
                known = self._lengths.get(form[0], ())
                if len(form) not in known:
                    self._lengths[form[0]] = (*known, len(form))

    def __len__(self) -> int:
        return len(self._names)

    def own(self, sentence: str, forms: tuple[tuple[str, ...], ...]) -> str:
        """A name of the sentence's own song that stands in it, or nothing."""
        if not forms:
            return ""
        words, lowered = _words(sentence)
        for form in forms:
            if form[0] not in lowered:
                continue
            size = len(form)
            for start in range(len(words) - size + 1):
                if lowered[start] == form[0] and tuple(lowered[start : start + size]) == form:
                    common = all(word in COMMON_WORDS for word in form)
                    if not common or (size == 1 and start > 0 and words[start][0].isupper()):
                        return " ".join(form)
                    if size > 1 and _titled(words[start : start + size], start):
                        return " ".join(form)
        return ""

    def other(self, sentence: str) -> str:
        """A name of any song of the list that surely is a name in this sentence, or nothing."""
        if not self._names:
            return ""
        words, lowered = _words(sentence)
        if self._lengths.keys().isdisjoint(lowered):
            return ""
        for start, word in enumerate(lowered):
            for size in self._lengths.get(word, ()):
                form = tuple(lowered[start : start + size])
                if form in self._names and _surely(form, words[start : start + size], start):
                    return " ".join(form)
        return ""


def _surely(form: tuple[str, ...], written: list[str], start: int) -> bool:
    if len(form) == 1:
        return start > 0 and written[0][0].isupper() and form[0] not in COMMON_WORDS
    if sum(word not in COMMON_WORDS for word in form) * 2 > len(form):
        return True
    return _titled(written, start)


def _titled(written: list[str], start: int) -> bool:
    """Whether every word but the small ones has a capital, not counting the one that begins the sentence."""
    counted = [word for word in (written[1:] if start == 0 else written) if word.casefold() not in _SMALL]
    return bool(counted) and all(word[0].isupper() or word[0].isdigit() for word in counted)


_SMALL = frozenset("a an and the of in on at by for to with from or is".split())
