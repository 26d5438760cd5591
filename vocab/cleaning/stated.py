"""What a caption states, in the terms of the lexicon, from any source: its phrases, without those that it denies."""

from __future__ import annotations

import re

from vocab.grammar.lexicon import stated_facts

__all__ = ["facts_of"]

_DENIED = re.compile(
    r"\b(?:no|without(?: any| an?| the)?|not(?: an?| the| very)?|never|nor|lacks?(?: an?| the)?|lacking(?: an?)?"
    r"|instead of(?: an?| the)?|rather than(?: an?)?|(?:almost )?like an?|as if(?: from)?(?: an?)?)"
    r"\s+((?:[\w'’-]+\s+){0,1}?[\w'’-]+)",
    re.IGNORECASE,
)
_KEPT = re.compile(
    r"^(?:no|without)(?: any)? (?:drums?|percussion|beat|vocals?|voices?|singer|singing|other instruments)",
    re.IGNORECASE,
)
"""Denials that are facts themselves: `no drums`, `without vocals`."""


def facts_of(caption: str) -> tuple[str, ...]:
    """`A waltz without a violin, like a music box` states a waltz."""

    def spoken(found: re.Match[str]) -> str:
        return found.group().replace(" any ", " ") if _KEPT.match(found.group()) else " , "

    return stated_facts(_DENIED.sub(spoken, caption))
