"""What captions state: for a model that wants them found by their facts, and drawn by what they mean.

N captions of the vocabulary, M of them searched, P facts of one caption at most, F facts with a vector, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from labeling.search.caption_embeddings import read_array, write_array
from labeling.search.exact import Captions
from pipeline.storage import Storage
from vocab.grammar.lexicon import stated_facts
from vocab.store import Vocabulary

__all__ = [
    "STATED_FILES",
    "StatedCaptions",
    "instrument_of",
    "meanings",
    "read_fact_vectors",
    "read_meanings",
    "stated_table",
    "write_stated",
]

_STATED, _VECTORS, _MEANINGS = "stated.npy", "fact-vectors.npy", "meanings.npy"
STATED_FILES = (_STATED, _VECTORS, _MEANINGS)
"""What `write_stated` leaves in a set of candidates."""


class StatedCaptions:
    """(M, D): the embedding of each caption and the vectors of the facts that it states, added up when it is asked for.

    A clip's product with the sum is the caption's own score and those of its facts.
    """

    def __init__(
        self, captions: Captions, stated_MP: NDArray[np.unsignedinteger[Any]], vectors_FD: NDArray[np.float32]
    ) -> None:
        self._captions, self._stated_MP = captions, stated_MP
        self._vectors_FD = np.concatenate([vectors_FD, np.zeros((1, vectors_FD.shape[1]), np.float32)])
        self.shape = captions.shape

    @classmethod
    def read(cls, storage: Storage, folder: str, captions: Captions) -> StatedCaptions:
        """With what `write_stated` wrote."""
        return cls(captions, read_array(storage, f"{folder}/{_STATED}"), read_array(storage, f"{folder}/{_VECTORS}"))

    def __len__(self) -> int:
        return len(self._captions)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        sum_MD = np.array(self._captions[key], dtype=np.float32)
        for fact_M in self._stated_MP[key].T:
            sum_MD += self._vectors_FD[fact_M]
        return sum_MD


def stated_table(
    vocabulary: Vocabulary, vectors: Mapping[str, NDArray[np.float32]], rows_M: NDArray[np.int64] | None = None
) -> NDArray[np.unsignedinteger[Any]]:
    """(M, P): which facts with a vector each of these captions states, by their place; F where no more.

    rows_M: all captions where it is None. A caption that comes without a list of its facts is read for them.
    """
    column = vocabulary.table.column("facts")
    column = column if rows_M is None else column.take(pa.array(rows_M))
    place = {fact: at for at, fact in enumerate(vectors)}
    flat = pc.index_in(pc.list_flatten(column), value_set=pa.array(list(vectors), pa.string()))
    places = flat.fill_null(len(place)).to_numpy()
    parents = pc.list_parent_indices(column).to_numpy()
    parents, places = parents[places < len(place)], places[places < len(place)]
    unlisted = np.flatnonzero(pc.is_null(column).to_numpy())
    texts = vocabulary.texts.take(pa.array(unlisted if rows_M is None else rows_M[unlisted])).to_pylist()
    read = [
        (row, place[fact]) for row, text in zip(unlisted, texts, strict=True) for fact in _read(text) if fact in place
    ]
    if read:
        more = np.array(read, dtype=np.int64)
        parents, places = np.concatenate([parents, more[:, 0]]), np.concatenate([places, more[:, 1]])
        order = np.argsort(parents, kind="stable")
        parents, places = parents[order], places[order]
    counts_M = np.bincount(parents, minlength=len(column))
    column_at = np.arange(len(parents)) - np.repeat(np.cumsum(counts_M) - counts_M, counts_M)
    stated_MP = np.full((len(column), int(counts_M.max(initial=0))), len(place), dtype=np.min_scalar_type(len(place)))
    stated_MP[parents, column_at] = places
    return stated_MP


def instrument_of(fact: str) -> str:
    """An instrument that leads is one that plays; any other fact is itself."""
    return f"instrument:{fact[5:]}" if fact.startswith("lead:") else fact


def _read(text: str) -> dict[str, None]:
    """What a text states, and the instruments that lead, as the lists of captions have it."""
    said = stated_facts(text)
    return dict.fromkeys([*said, *map(instrument_of, said)])


def meanings(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """(N,) equal for captions whose lists of facts are equal; a caption without a list, or that states nothing, means
    what no other does."""
    said = pc.binary_join(vocabulary.table.column("facts"), "\n")
    codes = said.combine_chunks().dictionary_encode()
    own = pc.or_kleene(pc.is_null(said), pc.equal(said, "")).fill_null(True).to_numpy()
    meaning_N = codes.indices.fill_null(0).to_numpy().astype(np.int64)
    return np.where(own, len(codes.dictionary) + np.arange(len(meaning_N)), meaning_N)


def write_stated(
    storage: Storage,
    folder: str,
    vocabulary: Vocabulary,
    vectors: Mapping[str, NDArray[np.float32]],
    rows_M: NDArray[np.int64] | None,
) -> None:
    """`stated_table`, the vectors and `meanings` in files, for workers that then need no texts; what stands is kept."""
    write_array(storage, f"{folder}/{_STATED}", lambda: stated_table(vocabulary, vectors, rows_M))
    write_array(storage, f"{folder}/{_VECTORS}", lambda: np.stack(list(vectors.values())))
    write_array(storage, f"{folder}/{_MEANINGS}", lambda: meanings(vocabulary))


def read_meanings(storage: Storage, folder: str) -> NDArray[np.int64]:
    """(N,) what `write_stated` wrote."""
    return read_array(storage, f"{folder}/{_MEANINGS}")


def read_fact_vectors(storage: Storage, folder: str) -> NDArray[np.float32]:
    """(F, D) what `write_stated` wrote."""
    return read_array(storage, f"{folder}/{_VECTORS}")
