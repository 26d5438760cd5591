"""Fast caption search for millions of captions on a CPU: FAISS finds candidates by short codes, an exact product ranks.

Q queries, N captions, D dimensions, K best, W candidates for each of the K (the width). The codes are 4-bit product
quantisation with D/4 parts, 256 MB for four million captions of 512 dimensions; the vectors themselves stay in their
memory-mapped matrix, which the workers of a machine share. FAISS must not be used before a fork: spawn.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labeling.search.exact import Captions, CaptionSearch, Found
from pipeline.crate.seals import read_sealed, sealed_files, write_sealed
from pipeline.errors import BadInput, IndexMismatch
from pipeline.storage import Storage
from pipeline.threads import one_blas_thread

if TYPE_CHECKING:
    import faiss

__all__ = [
    "WIDTHS",
    "FaissSearch",
    "IndexCard",
    "build_index",
    "open_index",
    "recall_at_k",
    "tune_width",
    "write_index",
]

WIDTHS = (2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 400)
TRAINING_CAPTIONS = 16_384
_ADD_ROWS = 65_536
_QUERY_BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class IndexCard:
    """What an index was made of and what it was seen to reach."""

    captions: int
    dimension: int
    matrix: str
    """Name of the embeddings' file; an index is good for no other."""
    width: int
    k: int
    recall: float
    """Share of the exact top K that the index finds at `width`, on the sample queries it was tuned with."""
    queries: int
    faiss: str
    """Version that wrote it."""


class FaissSearch:
    """Finds K x width candidates by their codes and ranks them by the exact product, ties by row."""

    def __init__(self, captions_ND: Captions, index: faiss.Index, *, width: int, threads: int = 1) -> None:
        if index.ntotal != len(captions_ND) or index.d != captions_ND.shape[1]:
            raise IndexMismatch(
                f"the index holds {index.ntotal} captions of {index.d} dimensions, the matrix {len(captions_ND)} of "
                f"{captions_ND.shape[1]}; build it again"
            )
        self._captions_ND, self.index, self._threads = captions_ND, index, threads
        self.width = width

    def top(self, queries_QD: NDArray[np.float32], k: int) -> Found:
        """Raises IndexMismatch where queries and captions have different dimensions."""
        import faiss

        if queries_QD.shape[1] != self.index.d:
            raise IndexMismatch(
                f"the audio embeddings have {queries_QD.shape[1]} dimensions, the index {self.index.d}; "
                "embed both with the same model: cratedig vocab embed"
            )
        faiss.omp_set_num_threads(self._threads)
        k = min(k, len(self._captions_ND))
        wanted = min(k * self.width, len(self._captions_ND))
        rows: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        for start in range(0, len(queries_QD), _QUERY_BLOCK):
            block_QD = np.ascontiguousarray(queries_QD[start : start + _QUERY_BLOCK], dtype=np.float32)
            _, found_QW = self.index.search(block_QD, wanted)
            ranked = [self._rank(query_D, row_W, k) for query_D, row_W in zip(block_QD, found_QW, strict=True)]
            rows += [row_K for row_K, _ in ranked]
            scores += [score_K for _, score_K in ranked]
        return Found(
            rows_QK=np.stack(rows) if rows else np.zeros((0, k), dtype=np.int64),
            scores_QK=np.stack(scores) if scores else np.zeros((0, k), dtype=np.float32),
        )

    @one_blas_thread()
    def _rank(
        self, query_D: NDArray[np.float32], row_W: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        row_W = np.sort(row_W[row_W >= 0])  # in the order of the file, and so that equal scores fall to the smaller row
        score_W = self._captions_ND[row_W].astype(np.float32, copy=False) @ query_D
        best_K = np.argsort(-score_W, kind="stable")[:k]
        return row_W[best_K], score_W[best_K]


def build_index(captions_ND: Captions, *, threads: int = 1, seed: int = 0) -> faiss.Index:
    """Codes of all captions; what they are quantised by is learnt from an evenly drawn sample."""
    import faiss

    N, D = captions_ND.shape
    if D % 8:
        raise BadInput(f"the embeddings have {D} dimensions; the fast search needs a multiple of 8, use the exact one")
    faiss.omp_set_num_threads(1)  # sums of k-means depend on the number of threads; adding does not
    index: Any = faiss.index_factory(D, f"PQ{D // 4}x4fs", faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.seed = 1 + seed
    chosen = np.unique(np.linspace(0, N - 1, min(N, TRAINING_CAPTIONS)).astype(np.int64))
    index.train(captions_ND[chosen].astype(np.float32))
    faiss.omp_set_num_threads(threads)
    for start in range(0, N, _ADD_ROWS):
        index.add(np.ascontiguousarray(captions_ND[start : start + _ADD_ROWS], dtype=np.float32))
    return index


def recall_at_k(found: Found, exact: Found) -> float:
    """Share of the exact best captions that are among those found, over all queries."""
    hits = [len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(found.rows_QK, exact.rows_QK, strict=True)]
    return float(np.sum(hits) / exact.rows_QK.size)


def tune_width(
    search: FaissSearch,
    exact: CaptionSearch,
    queries_QD: NDArray[np.float32],
    *,
    k: int,
    recall: float,
    widths: Sequence[int] = WIDTHS,
) -> float:
    """Set the smallest width that reaches `recall` against `exact` on these queries; returns what it reaches.

    Queries must be of the kind that will come (audio embeddings), not captions: a caption finds itself at any width.
    """
    best = exact.top(queries_QD, k)
    reached = 0.0
    for width in widths:
        search.width = width
        reached = recall_at_k(search.top(queries_QD, k), best)
        if reached >= recall:
            break
    return reached


def write_index(storage: Storage, name: str, index: faiss.Index, card: IndexCard) -> None:
    """Write the index under `name`; its card, `name`.json, comes last."""
    import faiss

    with tempfile.TemporaryDirectory() as scratch:
        local = os.fspath(Path(scratch) / "index")
        faiss.write_index(index, local)
        with storage.write(name) as target, Path(local).open("rb") as source:
            while block := source.read(1 << 22):
                target.write(block)
    write_sealed(storage, f"{name}.json", asdict(card) | {"files": sealed_files({name: target})})


def open_index(
    storage: Storage, name: str, captions_ND: Captions, *, matrix: str, threads: int = 1
) -> tuple[FaissSearch, IndexCard]:
    """The index that `write_index` left under `name`. Raises IndexMismatch where it is of another matrix."""
    import faiss

    if not storage.exists(f"{name}.json"):
        raise BadInput(f"there is no index {name} in {storage.url}; label again with --search fast to build it")
    said = read_sealed(storage, f"{name}.json")
    said.pop("files")
    card = IndexCard(**said)
    if card.matrix != matrix:
        raise IndexMismatch(
            f"{storage.url}/{name} was made of {card.matrix}, not of {matrix}; delete it and label again"
        )
    if storage.is_local:
        index = faiss.read_index(storage.path(name), faiss.IO_FLAG_MMAP_IFC)
    else:
        index = faiss.deserialize_index(np.frombuffer(storage.read_bytes(name), dtype=np.uint8))
    return FaissSearch(captions_ND, index, width=card.width, threads=threads), card
