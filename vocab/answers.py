"""Raw text on its way to a vocabulary: a model's answers, or lines and rows that somebody has."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import BadInput
from pipeline.parquet import read_table
from pipeline.storage import Storage
from vocab.build import provenance_json
from vocab.store import Vocabulary, open_vocabulary
from vocab.tables import Skips, read_rows

__all__ = ["ANSWER_SCHEMA", "Answer", "AnswerSource", "open_source"]

ANSWER_SCHEMA = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("song_row", pa.int64(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("artist", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("provenance", pa.string(), nullable=False),
    ]
)
"""One row an answer; `finish_reason` is `stop`, `length`, or `failed: ...` and `refused: ...` where there is none."""
ANSWERS_FOLDER, TEMPLATE = "answers", "template.json"
BATCH = 8_192


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A text and what is known of it."""

    text: str
    provenance: str
    title: str = ""
    artist: str = ""
    cut_short: bool = False
    whole: bool = False
    """One sentence or tag already: it is not cut into sentences."""


@dataclass(frozen=True, kw_only=True)
class AnswerSource:
    """What is to be cleaned."""

    name: str
    source: str
    licence: str
    evaluation_derived: bool
    config: dict[str, object]
    batches: Iterator[list[Answer]]
    skips: Skips
    names: tuple[tuple[str, str], ...] = ()
    """Titles and artists of the prompt's examples: a model that copies them must not be believed."""
    vocabulary: Vocabulary | None = None
    """Where the source is one: its captions keep their facts."""


def open_source(path: str | os.PathLike[str], *, column: str = "text", licence: str = "") -> AnswerSource:
    """Open what `cratedig vocab generate` wrote (a folder), a vocabulary, or a .txt, .csv, .tsv or .parquet file."""
    name = os.fspath(path).rstrip("/")
    skips = Skips()
    storage = Storage(name)
    if storage.exists("run.json"):
        run = storage.read_json("run.json")
        return AnswerSource(
            name=posixpath.basename(name),
            source="llm",
            licence=licence or str(run.get("licence", "unknown")),
            evaluation_derived=False,
            config={"generated": run},
            batches=_of_run(storage, name, skips),
            skips=skips,
            names=_example_names(storage),
        )
    stem = name.removesuffix(".parquet")
    if name.startswith("bundled:") or Storage(posixpath.dirname(stem) or ".").exists(
        posixpath.basename(stem) + ".card.json"
    ):
        vocabulary = open_vocabulary(name)
        card = vocabulary.card
        return AnswerSource(
            name=card.name,
            source=card.source,
            licence=licence or card.licence,
            evaluation_derived=card.evaluation_derived,
            config={"cleaned": {"name": card.name, "content_hash": card.content_hash, "yields": dict(card.yields)}},
            batches=_of_table(vocabulary.table),
            skips=skips,
            vocabulary=vocabulary,
        )
    return AnswerSource(
        name=posixpath.basename(stem),
        source="import",
        licence=licence or "unknown",
        evaluation_derived=False,
        config={"file": posixpath.basename(name)},
        batches=_of_rows(name, column, skips),
        skips=skips,
    )


def _example_names(storage: Storage) -> tuple[tuple[str, str], ...]:
    if not storage.exists(TEMPLATE):
        return ()
    names = [tuple(example["names"]) for example in storage.read_json(TEMPLATE)["examples"]]
    return tuple((title, artist) for title, artist in names if title or artist)


def _of_run(storage: Storage, name: str, skips: Skips) -> Iterator[list[Answer]]:
    parts = storage.list(ANSWERS_FOLDER, ".parquet")
    if not parts:
        raise BadInput(f"{name} holds no answers yet; finish `cratedig vocab generate` first")
    for part in parts:
        with storage.open(f"{ANSWERS_FOLDER}/{part}") as file:
            table = read_table(file)
        for start in range(0, len(table), BATCH):
            rows = table.slice(start, BATCH).to_pylist()
            batch = []
            for row in rows:
                if row["finish_reason"].startswith(("failed", "refused")):
                    skips.add(row["finish_reason"].partition(":")[0], row=row["song_row"], detail=row["finish_reason"])
                    continue
                batch.append(
                    Answer(
                        text=row["text"],
                        provenance=row["provenance"],
                        title=row["title"],
                        artist=row["artist"],
                        cut_short=row["finish_reason"] == "length",
                    )
                )
            yield batch


def _of_table(table: pa.Table) -> Iterator[list[Answer]]:
    for start in range(0, len(table), BATCH):
        part = table.slice(start, BATCH)
        texts, origins = part.column("text").to_pylist(), part.column("provenance").to_pylist()
        yield [Answer(text=text, provenance=origin, whole=True) for text, origin in zip(texts, origins, strict=True)]


def _of_rows(name: str, column: str, skips: Skips) -> Iterator[list[Answer]]:
    batch: list[Answer] = []
    base = posixpath.basename(name)
    for row in read_rows(name, columns=[column], text_column=column):
        if row.fault:
            skips.add(row.fault, row=row.number, detail=row.detail)
            continue
        batch.append(
            Answer(
                text=row.values[column],
                provenance=provenance_json({"file": base, "row": row.number}),
                title=row.values.get("title", ""),
                artist=row.values.get("artist", ""),
            )
        )
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch
