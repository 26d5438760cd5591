"""Rater-LF and Rater-SF (PAPER 3.5): the sentences and the aspect tags of MusicCaps, from its public CSV.

Both come from the set on which models are evaluated, and their cards say so. The paper leaves Rater-LF out of training
for that reason (3.6) and keeps Rater-SF.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re

from pipeline.errors import BadInput
from vocab.build import caption_table, provenance_json
from vocab.importing import write_skips
from vocab.store import VocabularyCard, write_vocabulary
from vocab.tables import Skips, read_rows

__all__ = ["MUSICCAPS_LICENCE", "split_rater_sentences", "write_musiccaps"]

MUSICCAPS_LICENCE = "CC-BY-SA-4.0"
_END = re.compile(r"(?<=[.!?])\s")
_NOTES = {
    "long": (
        "Rater-LF: sentences of the MusicCaps captions. MusicCaps is the evaluation set of Noise2Music: the paper "
        "leaves these sentences out of training (3.6), and so does the profile noise2music."
    ),
    "short": (
        "Rater-SF: aspect tags of MusicCaps, the same set that models are evaluated on; the paper trains on these tags "
        "all the same (3.6), its sentences it leaves out."
    ),
}


def split_rater_sentences(caption: str) -> list[str]:
    """A caption cut after `.`, `!` or `?` and white space; every piece stripped, empty ones left out."""
    return [piece for piece in (part.strip() for part in _END.split(caption)) if piece]


def write_musiccaps(
    source: str | os.PathLike[str], *, long_out: str | os.PathLike[str], short_out: str | os.PathLike[str]
) -> tuple[VocabularyCard, VocabularyCard]:
    """Write Rater-LF to `long_out` and Rater-SF to `short_out`; returns their cards."""
    skips = Skips()
    name = posixpath.basename(os.fspath(source))
    found: dict[str, list[tuple[str, str]]] = {"long": [], "short": []}
    total = 0
    for row in read_rows(source, columns=["ytid", "caption", "aspect_list"]):
        total += 1
        if row.fault:
            skips.add(row.fault, row=row.number, detail=row.detail)
            continue
        origin = provenance_json({"file": name, "row": row.number, "ytid": row.values["ytid"]})
        found["long"] += [(text, origin) for text in split_rater_sentences(row.values["caption"])]
        try:
            tags = ast.literal_eval(row.values["aspect_list"])
        except (ValueError, SyntaxError):
            tags = None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            skips.add("bad-aspect-list", row=row.number, detail=row.values["aspect_list"])
            continue
        found["short"] += [(tag, origin) for tag in tags if tag.strip()]
    if not found["long"] or not found["short"]:
        raise BadInput(f"{os.fspath(source)} holds no MusicCaps captions or tags ({skips.as_dict()}); is it its CSV?")
    cards = []
    for kind, out in (("long", long_out), ("short", short_out)):
        texts = [text for text, _ in found[kind]]
        unique = len(set(texts))
        table, _ = caption_table(
            texts,
            kind="long" if kind == "long" else "short",
            source="rater",
            licence=MUSICCAPS_LICENCE,
            provenance=[origin for _, origin in found[kind]],
        )
        counts = {"rows": total, **skips.as_dict(), "found": len(texts), "unique": unique}
        card = VocabularyCard(
            name="rater-lf" if kind == "long" else "rater-sf",
            kind="long" if kind == "long" else "short",
            source="rater",
            licence=MUSICCAPS_LICENCE,
            evaluation_derived=True,
            note=_NOTES[kind],
            yields={"musiccaps": {**counts, "same_but_case_or_spaces": unique - len(table), "kept": len(table)}},
            config={"file": name},
        )
        cards.append(write_vocabulary(out, table, card))
        write_skips(out, skips)
    return cards[0], cards[1]
