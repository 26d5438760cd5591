"""Exact caption search: a chunked matrix product with a running top-K.

Q queries, N captions, D dimensions, K best, M captions of one chunk. Memory does not depend on N. The order is total:
higher score first, and where scores are equal the smaller caption id, which is the smaller row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import IndexMismatch
from pipeline.threads import torch_threads

if TYPE_CHECKING:
    import torch

__all__ = ["CaptionSearch", "Captions", "ExactSearch", "Found"]

_QUERY_BLOCK = 64
"""Queries go through in blocks of fixed size: the last bits of a matrix product depend on its shape."""
_CHUNK_CAPTIONS = 16_384


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best captions of each query."""

    rows_QK: NDArray[np.int64]
    """Rows of the vocabulary, best first."""
    scores_QK: NDArray[np.float32]


class Captions(Protocol):
    """(N, D) float32 or float16: an array, or what reads one in parts."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> NDArray[Any]: ...


class CaptionSearch(Protocol):
    """Anything that finds the best captions for audio embeddings."""

    def top(self, queries_QD: NDArray[np.float32], k: int) -> Found: ...


class ExactSearch:
    """The default, and the oracle for every faster path."""

    def __init__(self, captions_ND: Captions, *, threads: int = 1) -> None:
        self._captions_ND = captions_ND
        self._threads = threads

    def top(self, queries_QD: NDArray[np.float32], k: int) -> Found:
        """Raises IndexMismatch where queries and captions have different dimensions."""
        N, D = self._captions_ND.shape
        if queries_QD.shape[1] != D:
            raise IndexMismatch(
                f"the audio embeddings have {queries_QD.shape[1]} dimensions, the caption embeddings {D}; "
                "embed both with the same model: cratedig vocab embed"
            )
        k = min(k, N)
        blocks = [
            _padded(queries_QD[start : start + _QUERY_BLOCK]) for start in range(0, len(queries_QD), _QUERY_BLOCK)
        ]
        with torch_threads(self._threads):
            rows_QK, scores_QK = _unpack(self._best(blocks, k))
        return Found(rows_QK=rows_QK[: len(queries_QD)], scores_QK=scores_QK[: len(queries_QD)])

    def _best(self, blocks: list[NDArray[np.float32]], k: int) -> NDArray[np.int64]:
        """Packed best of all blocks. Each chunk is read, and widened from float16, once for all of them."""
        import torch

        queries = [torch.from_numpy(block_QD) for block_QD in blocks]
        best = [np.zeros((len(block_QD), 0), dtype=np.int64) for block_QD in blocks]
        least = [torch.full((len(block_QD),), -torch.inf) for block_QD in blocks]
        for start in range(0, len(self._captions_ND), _CHUNK_CAPTIONS):
            chunk_MD = torch.from_numpy(self._captions_ND[start : start + _CHUNK_CAPTIONS]).to(torch.float32)
            for at, block in enumerate(queries):
                scores_QM = block @ chunk_MD.T
                # A later caption with the score of the k-th has the larger row: only a higher score gets in.
                better = (scores_QM.amax(dim=1) > least[at]).nonzero()[:, 0].numpy()
                if not len(better):
                    continue
                if best[at].shape[1] < k:
                    found = np.concatenate([best[at], _best_of_chunk(scores_QM, start, k)], axis=1)
                    best[at] = _largest(found, k)
                else:
                    found = _best_of_chunk(scores_QM[torch.from_numpy(better)], start, k)
                    best[at][better] = _largest(np.concatenate([best[at][better], found], axis=1), k)
                if best[at].shape[1] == k:
                    least[at] = torch.from_numpy(_unpack(best[at][:, -1:])[1][:, 0])
        return np.concatenate(best) if best else np.zeros((0, k), dtype=np.int64)


def _padded(block_QD: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.zeros((_QUERY_BLOCK, block_QD.shape[1]), dtype=np.float32)
    padded[: len(block_QD)] = block_QD
    return padded


def _best_of_chunk(scores_QM: torch.Tensor, start: int, k: int) -> NDArray[np.int64]:
    """Packed (score, row) of each query's best in the chunk, in the total order."""
    k = min(k, scores_QM.shape[1])
    found = scores_QM.topk(min(k + 1, scores_QM.shape[1]), dim=1, sorted=True)
    scores, columns = found.values[:, :k].numpy(), found.indices[:, :k].numpy().copy()
    if found.values.shape[1] > k:
        # topk takes any of equal scores: where the k-th and the next are equal, choose by row.
        for q in np.flatnonzero((found.values[:, k - 1] == found.values[:, k]).numpy()):
            row = scores_QM[q].numpy()
            columns[q] = np.lexsort((np.arange(len(row)), -row))[:k]
            scores[q] = row[columns[q]]
    return _pack(scores, columns + start)


def _pack(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer for each (score, row), larger for a higher score, then for a smaller row; rows below 2^31."""
    bits = np.ascontiguousarray(scores + np.float32(0)).view(np.int32)
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    return (ordered << 32) | (0x7FFFFFFF - rows)


def _unpack(packed: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    ordered = (packed >> 32).astype(np.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    return 0x7FFFFFFF - (packed & 0xFFFFFFFF), bits.view(np.float32)


def _largest(packed_QN: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return -np.sort(-packed_QN, axis=1)[:, :k]
