"""A large vocabulary's ids and texts in memory that the workers of a machine share.

Parquet is packed: each worker that reads it holds its own copy of every text. So the texts of a large vocabulary lie
once more, as they are in memory, in the user's cache, under the hash of their content, and are mapped from there.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

import pyarrow as pa

from vocab.store import Vocabulary, captions_hash, read_card

__all__ = ["MAPPED_FROM", "map_texts"]

MAPPED_FROM = 200_000
"""Captions from which a copy in the cache is worth its place: 25 MB."""
_COLUMNS = ("caption_id", "text")


def map_texts(path: str | os.PathLike[str]) -> Vocabulary:
    """`caption_id` and `text` of a vocabulary; of a small one, or where nothing can be kept, in memory of its own."""
    card = read_card(path)
    if card.captions < MAPPED_FROM or (file := _kept(card.content_hash)) is None:
        return Vocabulary.load(path, columns=_COLUMNS)
    for _ in range(2):
        with contextlib.suppress(OSError, pa.ArrowInvalid):
            table = pa.ipc.open_file(pa.memory_map(os.fspath(file))).read_all()
            if captions_hash(table.column("text")) == card.content_hash:
                return Vocabulary(card, table)
        try:
            _write(file, Vocabulary.load(path, columns=_COLUMNS).table)
        except OSError:
            break
    return Vocabulary.load(path, columns=_COLUMNS)


def _kept(content_hash: str) -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(given) if given else Path.home() / ".cache") / "cratedig" / "texts" / f"{content_hash}.arrow"
    except RuntimeError:  # a user without a home
        return None


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with pa.OSFile(os.fspath(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(len(table), 1))
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
