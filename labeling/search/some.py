"""A search over some of a vocabulary's captions: those that a model can tell.

N captions of the vocabulary, M of them searched, Q queries, D dimensions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.search.caption_embeddings import read_array, write_array
from labeling.search.exact import CaptionSearch, Found
from pipeline.storage import Storage
from vocab.grammar.named import reasons_unheard
from vocab.store import Vocabulary

__all__ = ["SomeCaptions", "SomeSearch", "heard_rows", "read_heard_rows", "unheard", "write_heard_rows"]


def unheard(vocabulary: Vocabulary, hears: Collection[str]) -> Mapping[str, NDArray[np.bool_]]:
    """For each reason why a model that hears only these facts must not choose a caption, which of N it holds for."""
    return reasons_unheard(vocabulary.texts, vocabulary.table.column("facts"), hears)


def heard_rows(vocabulary: Vocabulary, hears: Collection[str]) -> NDArray[np.int64]:
    """Ascending rows of the captions with no such reason."""
    return np.flatnonzero(~np.any(list(unheard(vocabulary, hears).values()), axis=0))


def write_heard_rows(storage: Storage, name: str, vocabulary: Vocabulary, hears: Collection[str]) -> None:
    """`heard_rows` in a file, for workers that then need no texts; nothing where it stands."""
    write_array(storage, name, lambda: heard_rows(vocabulary, hears))


def read_heard_rows(storage: Storage, name: str) -> NDArray[np.int64]:
    """(M,) what `write_heard_rows` wrote."""
    return read_array(storage, name)


class SomeCaptions:
    """(M, D): rows of an (N, D) matrix that stays on disk; a slice or a choice of rows is read when it is asked for."""

    def __init__(self, captions_ND: NDArray[Any], rows_M: NDArray[np.int64]) -> None:
        self._captions_ND, self.rows_M = captions_ND, rows_M
        self.shape = (len(rows_M), captions_ND.shape[1])

    def __len__(self) -> int:
        return len(self.rows_M)

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        return self._captions_ND[self.rows_M[key]]


class SomeSearch:
    """Answers in rows of the whole vocabulary; `rows_M` ascends, so that equal scores still fall to the smaller id."""

    def __init__(self, search: CaptionSearch, rows_M: NDArray[np.int64]) -> None:
        self._search, self._rows_M = search, rows_M

    def top(self, queries_QD: NDArray[np.float32], k: int) -> Found:
        found = self._search.top(queries_QD, k)
        return Found(rows_QK=self._rows_M[found.rows_QK], scores_QK=found.scores_QK)
