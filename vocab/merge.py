"""Several vocabularies of one kind into one: each caption once, from the first that has it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.errors import VocabularyProblem
from vocab.store import Vocabulary, VocabularyCard, write_vocabulary

__all__ = ["merge_vocabularies"]


def merge_vocabularies(
    parts: Sequence[tuple[str, Vocabulary]], out: str | os.PathLike[str], *, name: str
) -> VocabularyCard:
    """Write the union of `parts` (path as given, vocabulary); what one part says of evaluation holds for the whole."""
    kinds = {vocabulary.card.kind for _, vocabulary in parts}
    if len(parts) < 2 or len(kinds) != 1:
        listed = ", ".join(f"{path} ({vocabulary.card.kind})" for path, vocabulary in parts)
        raise VocabularyProblem(
            f"cannot merge {listed}: two or more vocabularies of one kind are needed; merge long and short ones apart"
        )
    ids = np.concatenate([vocabulary.ids for _, vocabulary in parts])
    _, first = np.unique(ids, return_index=True)
    table = pa.concat_tables([vocabulary.table for _, vocabulary in parts]).take(pa.array(first))
    starts = np.cumsum([0, *(len(vocabulary) for _, vocabulary in parts)])
    yields: dict[str, dict[str, int]] = {}
    for index, (path, vocabulary) in enumerate(parts):
        kept = int(((first >= starts[index]) & (first < starts[index + 1])).sum())
        yields[f"merge:{index}:{path}"] = {
            "captions": len(vocabulary),
            "in_an_earlier_one": len(vocabulary) - kept,
            "kept": kept,
        }
    cards = [vocabulary.card for _, vocabulary in parts]
    card = VocabularyCard(
        name=name,
        kind=cards[0].kind,
        source="+".join(dict.fromkeys(card.source for card in cards)),
        licence=" AND ".join(dict.fromkeys(card.licence for card in cards)),
        evaluation_derived=any(card.evaluation_derived for card in cards),
        note=" ".join(dict.fromkeys(card.note for card in cards if card.note)),
        yields=yields,
        config={"merged": [{"name": card.name, "content_hash": card.content_hash} for card in cards]},
    )
    return write_vocabulary(out, table, card)
