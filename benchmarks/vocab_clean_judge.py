"""What became of all sentences of the noise model: duplicates, near-duplicates, and what was lost without need."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmarks.noise_model import NoiseModel
from pipeline.ids import caption_id
from vocab.cleaning.filters import SentenceFilters
from vocab.cleaning.minhash import similarity, sorted_distinct
from vocab.cleaning.names import NameIndex, name_forms
from vocab.cleaning.sentences import strip_markers
from vocab.store import Vocabulary

__all__ = ["judge_output"]

ALIKE = 0.8
_KINDS = {"": 0, "duplicate": 1, "near-duplicate": 2}
_OTHER = 3
_AT_ONCE = 50_000


@dataclass(frozen=True, kw_only=True)
class _Sentences:
    """N sentences, in their order."""

    ids_N: NDArray[np.uint64]
    kinds_N: NDArray[np.uint8]
    """Of _KINDS, or _OTHER."""
    originals_N: NDArray[np.uint64]
    """Id of what a near-duplicate was made from, where they are ALIKE; else 0."""


_model: NoiseModel | None = None
"""Of this worker process."""


def _open(songs: list[tuple[str, str]]) -> None:
    global _model
    _model = NoiseModel(songs)


def _read(numbers: range) -> _Sentences:
    assert _model is not None, "set when the process starts"
    ids_N, originals_N = np.zeros(len(numbers), dtype=np.uint64), np.zeros(len(numbers), dtype=np.uint64)
    kinds_N = np.full(len(numbers), _OTHER, dtype=np.uint8)
    for at, number in enumerate(numbers):
        text, fault, original = _model.sentence(number)
        kinds_N[at] = _KINDS.get(fault, _OTHER)
        ids_N[at] = caption_id(strip_markers(text))
        if fault == "near-duplicate" and similarity(text, original) >= ALIKE:
            originals_N[at] = caption_id(original)
    return _Sentences(ids_N=ids_N, kinds_N=kinds_N, originals_N=originals_N)


def judge_output(vocabulary: Vocabulary, songs: list[tuple[str, str]], sentences: int, workers: int) -> None:
    """Prints a line each for duplicates, near-duplicates, faulty sentences that came through and good ones lost."""
    parts = [range(start, min(start + _AT_ONCE, sentences)) for start in range(0, sentences, _AT_ONCE)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_open, initargs=(songs,)) as pool:
        read = list(pool.map(_read, parts))
    ids_N = np.concatenate([part.ids_N for part in read])
    kinds_N = np.concatenate([part.kinds_N for part in read])
    originals_N = np.concatenate([part.originals_N for part in read])
    kept, yields = vocabulary.ids, vocabulary.card.yields

    _judge_duplicates(ids_N[kinds_N < _OTHER], yields["duplicates"]["the same text"])
    good, first = np.unique(ids_N[kinds_N < _OTHER], return_index=True)
    numbers = np.flatnonzero(kinds_N < _OTHER)[first]
    lost = ~_is_in(good, kept)
    refused = _refused(numbers[lost], songs)
    by_filters = np.zeros(len(good), dtype=bool)
    by_filters[np.flatnonzero(lost)[refused]] = True
    _judge_near_duplicates(ids_N, originals_N, good[~by_filters], good[lost & ~by_filters], kept)
    faulty = ids_N[(kinds_N == _OTHER) & ~_is_in(ids_N, good)]
    through = int(_is_in(faulty, kept).sum())
    print(f"faulty sentences in the output: {through:,} of {len(faulty):,}")
    print(f"good texts left out by the filters: {int(by_filters.sum()):,} of {len(good):,}")


def _is_in(ids: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """What `np.isin` gives; that one hashes, which takes minutes for millions of ids."""
    if not len(ascending):
        return np.zeros(len(ids), dtype=bool)
    return ascending[np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)] == ids


def _judge_duplicates(good_N: NDArray[np.uint64], removed: int) -> None:
    repeated = len(good_N) - len(sorted_distinct(good_N))
    right = min(repeated, removed)
    print(
        f"{'duplicate':15}{repeated:10,}{right / repeated:9.4f}{right / max(removed, 1):11.4f}   {removed:,} left out"
    )


def _judge_near_duplicates(
    ids_N: NDArray[np.uint64],
    originals_N: NDArray[np.uint64],
    good: NDArray[np.uint64],
    removed: NDArray[np.uint64],
    kept: NDArray[np.uint64],
) -> None:
    """A pair is found where not both of it are kept. Removed rightly: one of a pair; others are alike by chance."""
    pairs = (originals_N > 0) & (originals_N != ids_N) & _is_in(ids_N, good) & _is_in(originals_N, good)
    changed, originals = ids_N[pairs], originals_N[pairs]
    found = ~(_is_in(changed, kept) & _is_in(originals, kept))
    planned = _is_in(removed, sorted_distinct(np.concatenate([changed, originals])))
    figures = f"{len(changed):10,}{found.mean():9.4f}{planned.mean():11.4f}"
    by_grammar = f"{int((~planned).sum()):,} of them made alike by the grammar itself"
    print(f"{'near-duplicate':15}{figures}   {len(removed):,} left out, {by_grammar}")


def _refused(numbers: NDArray[np.int64], songs: list[tuple[str, str]]) -> NDArray[np.bool_]:
    """Which of these sentences the filters leave out."""
    model, filters = NoiseModel(songs), SentenceFilters(names=NameIndex(songs))
    reasons = [
        filters.reason(strip_markers(model.sentence(number)[0]), name_forms(*songs[number // 5 % len(songs)]))
        for number in numbers.tolist()
    ]
    return np.array([bool(reason) for reason in reasons], dtype=bool)
