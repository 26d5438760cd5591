"""Captions that somebody already has, from a text, CSV or Parquet file, into a vocabulary."""

from __future__ import annotations

import os
import posixpath
from dataclasses import replace

from pipeline.errors import BadInput
from pipeline.storage import Storage
from vocab.build import caption_table, provenance_json
from vocab.store import VocabularyCard, write_vocabulary
from vocab.tables import Skips, read_rows

__all__ = ["import_captions", "write_skips"]

LONGEST_CAPTION = 2_000
"""Characters; anything longer is a text, not a caption."""


def import_captions(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    card: VocabularyCard,
    column: str = "text",
) -> VocabularyCard:
    """Read one caption a row from `source`, write the vocabulary `out`; rows left out go to `OUT.skipped.json`."""
    skips = Skips()
    texts: list[str] = []
    origins: list[str] = []
    total = 0
    name = posixpath.basename(os.fspath(source))
    for row in read_rows(source, columns=[column], text_column=column, skips=skips):
        total += 1
        text = " ".join(row.values[column].split())
        if row.fault:
            skips.add(row.fault, row=row.number, detail=row.detail)
        elif not any(letter.isalnum() for letter in text):
            skips.add("no-words", row=row.number, detail=text)
        elif len(text) > LONGEST_CAPTION:
            skips.add("too-long", row=row.number, detail=text)
        else:
            texts.append(text)
            origins.append(provenance_json({"file": name, "row": row.number}))
    if not texts:
        raise BadInput(
            f"{os.fspath(source)} has {total} rows and no usable caption ({skips.as_dict()}); "
            f"is {column!r} the right column?"
        )
    table, repeated = caption_table(texts, kind=card.kind, source=card.source, licence=card.licence, provenance=origins)
    yields = {"import": {"rows": total, **skips.as_dict(), "repeated": repeated, "kept": len(table)}}
    write_skips(out, skips)
    return write_vocabulary(out, table, replace(card, yields=yields, config={**card.config, "file": name}))


def write_skips(out: str | os.PathLike[str], skips: Skips) -> None:
    """Which rows were left out and why, beside the vocabulary; nothing where there are none."""
    name = os.fspath(out).removesuffix(".parquet")
    storage = Storage(posixpath.dirname(name) or ".")
    target = posixpath.basename(name) + ".skipped.json"
    if skips.rows or skips.remarks:
        found = {"counts": skips.as_dict(), "rows": skips.rows, "remarks": skips.remarks}
        storage.write_json(target, found)
    else:
        storage.remove(target)
