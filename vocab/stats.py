"""What a vocabulary holds, in figures and examples: lengths, words, sources, facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vocab.store import Vocabulary

__all__ = ["lines", "vocabulary_stats"]

_COMMON = frozenset(
    "a an and the of with in is it to that this on for by at as its from are over while has has".split()
)
_WORD_ROWS = 200_000
"""Rows that words are counted over; evenly drawn where a vocabulary is larger."""


def vocabulary_stats(vocabulary: Vocabulary, *, top: int = 20, examples: int = 8) -> dict[str, Any]:
    """Figures of a vocabulary, ready for JSON. Words are counted over 200,000 evenly drawn rows at most."""
    texts = vocabulary.texts
    words_N = pc.add(pc.count_substring(texts, " "), 1).to_numpy()
    drawn = pa.array(np.unique(np.linspace(0, len(vocabulary) - 1, min(len(vocabulary), _WORD_ROWS)).astype(np.int64)))
    lowered = pc.utf8_lower(texts.take(drawn))
    words = pc.list_flatten(pc.split_pattern_regex(lowered.combine_chunks(), r"[^\p{L}\p{N}&'’-]+"))
    counted = words.value_counts()
    order = np.argsort(-counted.field("counts").to_numpy(), kind="stable")
    ranked = [(str(counted[int(i)]["values"]), int(counted[int(i)]["counts"].as_py())) for i in order[: 10 * top + 100]]
    shown = [(word, count) for word, count in ranked if word and word not in _COMMON][:top]
    picks = np.linspace(0, len(vocabulary) - 1, min(examples, len(vocabulary))).astype(np.int64)
    figures: dict[str, Any] = {
        "name": vocabulary.card.name,
        "kind": vocabulary.card.kind,
        "source": vocabulary.card.source,
        "licence": vocabulary.card.licence,
        "evaluation_derived": vocabulary.card.evaluation_derived,
        "captions": len(vocabulary),
        "content_hash": vocabulary.card.content_hash,
        "words": {
            f"p{share}": int(value)
            for share, value in zip(
                (0, 5, 25, 50, 75, 95, 100), np.percentile(words_N, (0, 5, 25, 50, 75, 95, 100)), strict=True
            )
        },
        "distinct_words": len(counted),
        "top_words": dict(shown),
        "same_but_punctuation": len(vocabulary) - _distinct_letters(texts),
        "yields": {step: dict(counts) for step, counts in vocabulary.card.yields.items()},
        "examples": [texts[int(row)].as_py() for row in picks],
    }
    facts = vocabulary.facts
    if facts is not None:
        stated = pc.list_flatten(facts.combine_chunks()).value_counts()
        ranks = np.argsort(-stated.field("counts").to_numpy(), kind="stable")[:top]
        figures["facts_per_caption"] = round(float(pc.mean(pc.list_value_length(facts)).as_py()), 2)
        figures["top_facts"] = {str(stated[int(i)]["values"]): int(stated[int(i)]["counts"].as_py()) for i in ranks}
    return figures


def _distinct_letters(texts: pa.ChunkedArray) -> int:
    """Distinct captions when only letters and digits count."""
    bare = pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\p{L}\p{N}]+", "")
    return len(pc.unique(bare))


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """The figures as plain text."""
    marked = ", evaluation-derived" if figures["evaluation_derived"] else ""
    yield f"{figures['name']}: {figures['captions']:,} {figures['kind']} captions"
    yield f"  source {figures['source']}, licence {figures['licence']}{marked}, content {figures['content_hash']}"
    yield "  words a caption: " + ", ".join(f"{key} {value}" for key, value in figures["words"].items())
    yield f"  distinct words: {figures['distinct_words']:,}"
    yield f"  the same as another but for punctuation: {figures['same_but_punctuation']:,}"
    yield "  most used words: " + ", ".join(f"{word} {count:,}" for word, count in figures["top_words"].items())
    if "top_facts" in figures:
        facts = ", ".join(f"{fact} {count:,}" for fact, count in figures["top_facts"].items())
        yield f"  facts: {figures['facts_per_caption']} a caption; {facts}"
    for step, counts in figures["yields"].items():
        yield f"  {step}: " + ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    yield "  examples:"
    for text in figures["examples"]:
        yield f"    {text}"
