"""The cleaning chain: answers to sentences, sentences through the filters, then duplicates, near-duplicates and leaks.

Everything that is left out is counted by its reason; the same input gives the same bytes for any number of workers.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from pipeline.errors import VocabularyProblem
from pipeline.ids import caption_id
from pipeline.process import worker_processes
from pipeline.storage import Storage
from vocab.answers import Answer, AnswerSource
from vocab.cleaning.filters import SentenceFilters
from vocab.cleaning.leak import Leak, find_leaks
from vocab.cleaning.names import NameIndex, name_forms
from vocab.cleaning.near_duplicates import near_duplicates
from vocab.cleaning.reasons import REASONS
from vocab.cleaning.relevance import Relevance
from vocab.cleaning.sentences import answer_sentences, strip_markers
from vocab.cleaning.stated import facts_of
from vocab.importing import write_skips
from vocab.store import SCHEMA, Kind, Vocabulary, VocabularyCard, ids_to_hex, write_vocabulary

__all__ = ["CleanConfig", "Cleaned", "clean_answers", "clean_vocabulary"]

_IN_FLIGHT = 3
"""Batches handed out ahead for each worker: enough to keep it busy, little enough to stay small."""


@dataclass(frozen=True, kw_only=True)
class CleanConfig:
    """Settings that determine what is kept."""

    kind: Kind = "long"
    fewest_words: int = 3
    most_words: int = 60
    near_duplicates: float = 0.8
    """Similarity from which a caption repeats another; above 1 turns this off."""
    leaks: float = 0.6
    """Similarity from which a caption counts as a copy of an evaluation caption."""
    english: bool = True
    about_music: bool = True

    @classmethod
    def of_kind(cls, kind: Kind) -> CleanConfig:
        """Defaults: sentences of 3 to 60 words; tags of 1 to 8, whose language and subject are too short to tell."""
        if kind == "long":
            return cls()
        return cls(kind=kind, fewest_words=1, most_words=8, english=False, about_music=False)


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What came through the filters of single sentences, in the order of the input."""

    texts: pa.ChunkedArray
    provenance: pa.ChunkedArray
    ids: NDArray[np.uint64]
    answers: int
    sentences: int
    reasons: Counter[str]


def clean_vocabulary(
    source: AnswerSource,
    out: str | os.PathLike[str],
    *,
    config: CleanConfig,
    songs: Sequence[tuple[str, str]] = (),
    evaluation: Sequence[str] = (),
    workers: int = 1,
    keep_rejected: str | os.PathLike[str] | None = None,
    on_progress: Callable[[int], None] = lambda answers: None,
) -> VocabularyCard:
    """Clean `source` into the vocabulary `out`; leaks found are listed in `OUT.leaks.json`.

    keep_rejected: a CSV file of the sentences that a filter left out, with its reason and the classifier's score.
    """
    names = (*songs, *source.names)
    rejected: list[tuple[str, str, float, str]] | None = None if keep_rejected is None else []
    cleaned = clean_answers(
        source.batches, config=config, songs=names, workers=workers, rejected=rejected, on_progress=on_progress
    )
    if keep_rejected is not None and rejected is not None:
        _write_rejected(keep_rejected, rejected)
    _, first = np.unique(cleaned.ids, return_index=True)
    yields: dict[str, dict[str, int]] = {
        "read": {**source.skips.as_dict(), "answers": cleaned.answers, "sentences": cleaned.sentences},
        "filters": {reason: cleaned.reasons[reason] for reason in REASONS if cleaned.reasons[reason]}
        | {"kept": len(cleaned.ids)},
        "duplicates": {"the same text": len(cleaned.ids) - len(first), "kept": len(first)},
    }
    # In the order of ids, so that which of two near-duplicates stays does not depend on the order of the input.
    rows = first
    texts = cleaned.texts.take(pa.array(rows))
    if config.near_duplicates <= 1:
        gone = sorted(near_duplicates(texts, threshold=config.near_duplicates, workers=workers))
        yields["near-duplicates"] = {"as good as the same": len(gone), "kept": len(rows) - len(gone)}
        rows = np.delete(rows, gone)
        texts = cleaned.texts.take(pa.array(rows))
    if evaluation:
        leaks = find_leaks(_Texts(texts), evaluation, threshold=config.leaks)
        copies = sum(leak.similarity == 1 for leak in leaks)
        rows = np.delete(rows, [leak.row for leak in leaks])
        yields["leak guard"] = {"copies": copies, "near copies": len(leaks) - copies, "kept": len(rows)}
        _write_leaks(out, leaks, evaluation, config.leaks)
    if not len(rows):
        raise VocabularyProblem(f"nothing is left of {source.name} after cleaning ({yields}); is it about music?")
    write_skips(out, source.skips)
    return write_vocabulary(out, _table(cleaned, rows, source, config), _card(out, source, config, yields, songs))


def clean_answers(
    batches: Iterator[list[Answer]],
    *,
    config: CleanConfig,
    songs: Sequence[tuple[str, str]],
    workers: int,
    rejected: list[tuple[str, str, float, str]] | None = None,
    on_progress: Callable[[int], None] = lambda answers: None,
) -> Cleaned:
    """Every sentence that passes the filters; nothing is compared with another one here. `rejected` gets the others."""
    texts: list[pa.Array] = []
    origins: list[pa.Array] = []
    ids: list[NDArray[np.uint64]] = []
    reasons: Counter[str] = Counter()
    answers = sentences = 0
    for size, kept in _in_order(batches, config, songs, workers, rejected is not None):
        if rejected is not None:
            rejected += kept.rejected
        texts.append(pa.array(kept.texts, pa.string()))
        origins.append(pa.array(kept.origins, pa.string()))
        ids.append(np.array(kept.ids, dtype=np.uint64))
        reasons.update(kept.reasons)
        answers += size
        sentences += kept.sentences
        on_progress(answers)
    return Cleaned(
        texts=pa.chunked_array(texts, pa.string()),
        provenance=pa.chunked_array(origins, pa.string()),
        ids=np.concatenate(ids) if ids else np.empty(0, dtype=np.uint64),
        answers=answers,
        sentences=sentences,
        reasons=reasons,
    )


@dataclass(kw_only=True)
class _Kept:
    texts: list[str]
    origins: list[str]
    ids: list[int]
    reasons: Counter[str]
    rejected: list[tuple[str, str, float, str]]
    """Text, reason, the classifier's score, provenance."""
    sentences: int


_filters: SentenceFilters | None = None
"""Of this worker process."""


def _open(config: CleanConfig, songs: Sequence[tuple[str, str]]) -> None:
    global _filters
    _filters = SentenceFilters(
        names=NameIndex(songs),
        fewest_words=config.fewest_words,
        most_words=config.most_words,
        english=config.english,
        about_music=config.about_music,
    )


def _clean_batch(batch: list[Answer], keep_rejected: bool) -> _Kept:
    assert _filters is not None, "set when the process starts"
    kept = _Kept(texts=[], origins=[], ids=[], reasons=Counter(), rejected=[], sentences=0)
    for answer in batch:
        if answer.whole:
            pieces = [strip_markers(answer.text)]
        else:
            pieces = answer_sentences(answer.text, title=answer.title, artist=answer.artist, cut_short=answer.cut_short)
        own = name_forms(answer.title, answer.artist) if answer.title else ()
        kept.sentences += len(pieces)
        for piece in pieces:
            reason = _filters.reason(piece, own)
            if reason:
                kept.reasons[reason] += 1
                if keep_rejected:
                    score = round(Relevance.load().probability(piece), 4)
                    kept.rejected.append((piece, reason, score, answer.provenance))
            else:
                kept.texts.append(piece)
                kept.origins.append(answer.provenance)
                kept.ids.append(caption_id(piece))
    return kept


def _in_order(
    batches: Iterator[list[Answer]],
    config: CleanConfig,
    songs: Sequence[tuple[str, str]],
    workers: int,
    keep_rejected: bool,
) -> Iterator[tuple[int, _Kept]]:
    if workers == 1:
        _open(config, songs)
        for batch in batches:
            yield len(batch), _clean_batch(batch, keep_rejected)
        return
    with worker_processes(workers, _open, config, tuple(songs)) as pool:
        waiting = []
        for batch in batches:
            waiting.append((len(batch), pool.submit(_clean_batch, batch, keep_rejected)))
            if len(waiting) >= _IN_FLIGHT * workers:
                size, future = waiting.pop(0)
                yield size, future.result()
        for size, future in waiting:
            yield size, future.result()


class _Texts(Sequence[str]):
    """An Arrow column as a sequence of strings, which are made as they are asked for."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(self._column, pa.ChunkedArray):  # more than 2 GB of text
            self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return self._column.slice(start, stop - start).to_pylist()
        return self._column[int(at)].as_py()


def _write_leaks(out: str | os.PathLike[str], leaks: Sequence[Leak], evaluation: Sequence[str], limit: float) -> None:
    name = os.fspath(out).removesuffix(".parquet")
    report = {
        "evaluation_texts": len(evaluation),
        "threshold": limit,
        "found": len(leaks),
        "leaks": [asdict(leak) for leak in leaks],
    }
    Storage(posixpath.dirname(name) or ".").write_json(posixpath.basename(name) + ".leaks.json", report)


def _write_rejected(file: str | os.PathLike[str], rejected: Sequence[tuple[str, str, float, str]]) -> None:
    name = os.fspath(file)
    columns = [pa.array(column) for column in zip(*rejected, strict=True)] if rejected else [pa.array([])] * 4
    with Storage(posixpath.dirname(name) or ".").write(posixpath.basename(name)) as out:
        csv.write_csv(pa.table(columns, names=["text", "reason", "score", "provenance"]), pa.PythonFile(out, mode="w"))


def _table(cleaned: Cleaned, rows: NDArray[np.int64], source: AnswerSource, config: CleanConfig) -> pa.Table:
    at, count = pa.array(rows), len(rows)

    def constant(value: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int8)), [value]).cast(pa.string())

    columns = [
        ids_to_hex(cleaned.ids[rows]),
        cleaned.texts.take(at),
        constant(config.kind),
        constant(source.source),
        constant(source.licence),
        cleaned.provenance.take(at),
        _facts(cleaned.ids[rows], cleaned.texts.take(at), source.vocabulary),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _facts(ids_N: NDArray[np.uint64], texts: pa.ChunkedArray, vocabulary: Vocabulary | None) -> pa.Array:
    """Those that a source's vocabulary knows of a caption with the same id, else what the caption's words state."""
    if vocabulary is not None and vocabulary.facts is not None:
        at = np.minimum(np.searchsorted(vocabulary.ids, ids_N), len(vocabulary) - 1)
        known = vocabulary.facts.combine_chunks().take(pa.array(at, mask=vocabulary.ids[at] != ids_N)).to_pylist()
    else:
        known = [None] * len(ids_N)
    stated = (
        list(facts_of(text.as_py())) if facts is None else facts for text, facts in zip(texts, known, strict=True)
    )
    return pa.array(stated, SCHEMA.field("facts").type)


def _card(
    out: str | os.PathLike[str],
    source: AnswerSource,
    config: CleanConfig,
    yields: dict[str, dict[str, int]],
    songs: Sequence[tuple[str, str]],
) -> VocabularyCard:
    return VocabularyCard(
        name=posixpath.basename(os.fspath(out)).removesuffix(".parquet"),
        kind=config.kind,
        source=source.source,
        licence=source.licence,
        evaluation_derived=source.evaluation_derived,
        note=f"Cleaned from {source.name}.",
        yields=yields,
        config={**source.config, "clean": asdict(config), "songs_excluded_by_name": len(songs)},
    )
