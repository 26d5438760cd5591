"""What a `transformers` tokenizer makes of texts, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labeling.embedders.embedder import TextReport

__all__ = ["report_texts"]


def report_texts(tokenizer: Any, texts: Sequence[str], limit: int) -> TextReport:
    """Counts of tokens, of unknown ones, and of texts over `limit` tokens."""
    texts = list(texts)
    if not texts:
        return TextReport.of([], marks=(), unknown=None, limit=limit)
    found = tokenizer(texts, truncation=False, verbose=False, return_offsets_mapping=tokenizer.is_fast)
    return TextReport.of(
        found["input_ids"],
        marks=set(tokenizer.all_special_ids),
        unknown=tokenizer.unk_token_id,
        limit=limit,
        unknown_words=_unknown_words(texts, found, tokenizer.unk_token_id) if tokenizer.is_fast else (),
    )


def _unknown_words(texts: list[str], found: Any, unknown: int | None) -> Iterator[str]:
    for text, row, places in zip(texts, found["input_ids"], found["offset_mapping"], strict=True):
        for token, (start, stop) in zip(row, places, strict=True):
            if token == unknown and stop > start:
                yield text[start:stop].lower()
