"""The text batch of a clip (PAPER 4.1): each long caption an element, the short texts joined and cut to pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ClipTexts", "cut_to_pieces", "text_batch"]

TokenEnds = Callable[[str], list[tuple[int, int]]]
"""A tokenizer: for each token of a text, where its characters start and end."""


@dataclass(frozen=True, kw_only=True)
class ClipTexts:
    """What is known of a clip in words."""

    long: tuple[str, ...] = ()
    """Sentences, each a prompt of its own."""
    short: tuple[str, ...] = ()
    """Title, tags, entities, short captions, in this order."""
    prompt: str = ""
    """The one prompt of a curated clip: all metadata of its track; cut to pieces like the short texts."""


def text_batch(texts: ClipTexts, tokens: TokenEnds, limit: int) -> tuple[str, ...]:
    """The elements of which each step draws one; empty for a clip without a word."""
    elements = [text for text in (" ".join(text.split()) for text in texts.long) if text]
    joined = ", ".join(text for text in (" ".join(text.split()) for text in texts.short) if text)
    for line in (joined, " ".join(texts.prompt.split())):
        elements += cut_to_pieces(line, tokens, limit)
    return tuple(elements)


def cut_to_pieces(line: str, tokens: TokenEnds, limit: int) -> list[str]:
    """`line` in pieces of at most `limit` tokens each, cut between words where a piece has more than one.

    A piece is tokenized again on its own when it is used, and may then have a token more than it had in the line (the
    mark that begins a word): it is shortened by a word until it holds.
    """
    pieces = []
    line = line.strip(" ,")
    while line:
        ends = tokens(line)
        if len(ends) <= limit:
            pieces.append(line)
            break
        cut = _word_boundary(line, ends[limit][0])
        while len(tokens(line[:cut].strip(" ,"))) > limit:
            shorter = _word_boundary(line, cut - 1)
            if shorter >= cut:
                break  # one word longer than the limit: the encoder cuts it
            cut = shorter
        pieces.append(line[:cut].strip(" ,"))
        line = line[cut:].strip(" ,")
    return [piece for piece in pieces if piece]


def _word_boundary(line: str, position: int) -> int:
    """The last blank at or before `position`; `position` itself where the first word is longer."""
    if position < len(line) and line[position] == " ":
        return position
    blank = line.rfind(" ", 0, max(position, 0))
    return blank if blank > 0 else max(position, 1)
