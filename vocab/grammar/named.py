"""What captions name that a model was never taught: a style, an instrument, an era or a use without a heard fact.

N captions. Arrow's regular expressions run over the column at once: 100,000 captions take half a second.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vocab.grammar.lexicon import WORDS
from vocab.grammar.words_feel import USES
from vocab.grammar.words_instruments import INSTRUMENTS
from vocab.grammar.words_style import STYLES

__all__ = ["reasons_unheard"]

_ERA = r"\b(?:1[89]|20)?\d0['’]?s\b"
_OTHER_NAMES = frozenset({"drums", "brushed drums", "electronic drums", "hand percussion", "sub bass"})
"""Instruments of the grammar that are another name of what a fact says."""


def reasons_unheard(
    texts: pa.ChunkedArray, facts: pa.ChunkedArray, heard: Collection[str]
) -> Mapping[str, NDArray[np.bool_]]:
    """For each reason not to choose a caption, which of N captions it holds for; one may have several.

    `heard`: facts that may be stated. `facts`: what each caption states. Where that is null, as in vocabularies that
    people or language models wrote, every sentence says something beyond a small model: there only a style that it was
    never taught counts, and that nothing at all is stated that it hears.
    """
    wanted = frozenset(heard)
    heard_words = {phrase for fact in wanted for phrase in WORDS[fact]}
    known = pc.is_valid(facts).to_numpy()
    found: dict[str, NDArray[np.bool_]] = {}
    for what, names in _names(wanted).items():
        where = np.ones(len(texts), bool) if what == "a style" else known
        found[f"names {what} that the model was never taught"] = where & _holds(
            texts, _any_of(set(names) - heard_words)
        )
    found["names an era"] = known & _holds(texts, _ERA)
    rows = pc.list_parent_indices(facts).to_numpy()
    hears = pc.is_in(pc.list_flatten(facts), value_set=pa.array(sorted(wanted), pa.string())).to_numpy()
    by_facts, beyond = np.zeros(len(texts), bool), np.zeros(len(texts), bool)
    by_facts[rows[hears]] = True
    beyond[rows[~hears]] = True
    unheard = [phrase for fact in sorted(set(WORDS) - wanted) for phrase in WORDS[fact]]
    by_text = _holds(texts, _any_of(set(unheard) - heard_words))
    found["states what the model does not hear well"] = beyond | (known & by_text)
    found["states no fact that the model hears"] = ~np.where(known, by_facts, _holds(texts, _any_of(heard_words)))
    return found


def _names(heard: frozenset[str]) -> dict[str, Iterable[str]]:
    return {
        "a style": [word for style in STYLES if f"style:{style.name}" not in heard for word in style.words],
        "an instrument": [
            phrase.lstrip("+~")
            for instrument in INSTRUMENTS.values()
            if f"instrument:{instrument.name}" not in heard and instrument.name not in _OTHER_NAMES
            for phrase in instrument.phrases
        ],
        "a use": [use for uses in USES.values() for use in uses],
    }


def _any_of(phrases: Iterable[str]) -> str:
    longest_first = sorted({phrase.lower() for phrase in phrases}, key=lambda p: (-len(p), p))
    return r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b" if longest_first else ""


def _holds(texts: pa.ChunkedArray, pattern: str) -> NDArray[np.bool_]:
    if not pattern:
        return np.zeros(len(texts), bool)
    found: NDArray[np.bool_] = pc.match_substring_regex(texts, pattern, ignore_case=True).to_numpy()
    return found
