"""The vocabularies that come with cratedig, made by its own grammar: `cratedig vocab grammar` writes them again."""

from __future__ import annotations

import os

from pipeline.ids import caption_id
from vocab.build import caption_table, provenance_json
from vocab.cleaning.near_duplicates import near_duplicates
from vocab.grammar.grammar import long_captions
from vocab.grammar.tags import short_captions
from vocab.store import Kind, VocabularyCard, write_vocabulary

__all__ = ["BUNDLED_LONG", "BUNDLED_SEED", "write_grammar"]

BUNDLED_LONG = 100_000
BUNDLED_SEED = 0
GRAMMAR_VERSION = 1
"""Raised when the same seed gives other captions."""

ALIKE = 0.8
"""Similarity from which a caption repeats an earlier one."""

_NOTE = (
    "Written by a grammar over music words, not by people and not by a language model. It knows the words that this "
    "project gave it and says nothing about any recording; use it where there is no language model to make a better "
    "vocabulary. `facts` are what each caption states, in the terms of vocab.grammar.lexicon."
)


def write_grammar(path: str | os.PathLike[str], *, kind: Kind, count: int | None, seed: int) -> VocabularyCard:
    """Write a vocabulary of the grammar: `count` long captions of which no two are nearly the same, or all tags."""
    captions: dict[int, tuple[str, tuple[str, ...]]] = {}
    drawn = alike = 0
    if kind == "short":
        for text, facts in short_captions():
            drawn += 1
            captions.setdefault(caption_id(text), (text, facts))
        kept = [captions[key] for key in sorted(captions)][:count]
    else:
        wanted = BUNDLED_LONG if count is None else count
        source = long_captions(seed)
        kept = []
        while len(kept) < wanted:
            for text, facts in source:
                drawn += 1
                captions.setdefault(caption_id(text), (text, facts))
                if len(captions) >= wanted + alike + wanted // 50 + 1:
                    break
            every = list(captions.values())
            gone = near_duplicates([text for text, _ in every], threshold=ALIKE)
            alike = len(gone)
            kept = [caption for at, caption in enumerate(every) if at not in gone][:wanted]
    table, _ = caption_table(
        [text for text, _ in kept],
        kind=kind,
        source="grammar",
        licence="Apache-2.0",
        provenance=provenance_json({"grammar": GRAMMAR_VERSION} | ({"seed": seed} if kind == "long" else {})),
        facts=[facts for _, facts in kept],
    )
    card = VocabularyCard(
        name=f"grammar-{kind}",
        kind=kind,
        source="grammar",
        licence="Apache-2.0",
        evaluation_derived=False,
        note=_NOTE,
        yields={
            "grammar": {
                "drawn": drawn,
                "the same text": drawn - len(captions),
                "as good as the same": alike,
                "more than asked for": len(captions) - alike - len(kept),
                "kept": len(kept),
            }
        },
        config={"grammar_version": GRAMMAR_VERSION, "seed": seed, "count": count},
    )
    return write_vocabulary(path, table, card)
