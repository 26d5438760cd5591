"""The embeddings of a vocabulary's captions: one matrix on disk, mapped into memory by every worker of a machine.

N captions, D dimensions.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import IndexMismatch
from pipeline.ids import content_hash
from pipeline.records import EmbedderCard
from pipeline.storage import Storage

if TYPE_CHECKING:
    from labeling.embedder import Embedder
    from vocab.store import Vocabulary

__all__ = ["embeddings_name", "load_embeddings", "write_embeddings"]

_BATCH_TEXTS = 2_048


def embeddings_name(vocabulary_hash: str, embedder: EmbedderCard) -> str:
    """The matrix's file name: of these captions by this model, and no other."""
    return f"captions-{content_hash([vocabulary_hash, embedder.weights_hash])}.npy"


def write_embeddings(
    storage: Storage,
    name: str,
    vocabulary: Vocabulary,
    embedder: Embedder,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Embed every caption in the vocabulary's order and write the (N, D) float32 matrix.

    Captions go through the model sorted by length, so that little is padded.
    """
    texts = vocabulary.texts
    order = np.argsort(pc.utf8_length(texts).to_numpy(), kind="stable")
    matrix_ND = np.empty((len(vocabulary), embedder.card.dimension), dtype=np.float32)
    for start in range(0, len(order), _BATCH_TEXTS):
        rows = order[start : start + _BATCH_TEXTS]
        matrix_ND[rows] = embedder.embed_text(texts.take(rows).to_pylist())
        on_progress(start + len(rows))
    with storage.write(name) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": matrix_ND.shape})
        file.write(matrix_ND.data.cast("B"))


def load_embeddings(storage: Storage, name: str, embedder: EmbedderCard) -> NDArray[np.float32]:
    """The (N, D) matrix; where the storage is local it is mapped, privately, since torch wants writable memory.

    Raises IndexMismatch for another dimension.
    """
    if storage.is_local:
        matrix_ND = np.load(storage.path(name), mmap_mode="c", allow_pickle=False)
    else:
        with storage.open(name) as file:
            matrix_ND = np.load(file, allow_pickle=False)
    if matrix_ND.ndim != 2 or matrix_ND.shape[1] != embedder.dimension:
        raise IndexMismatch(
            f"{posixpath.join(storage.url, name)} holds vectors of shape {matrix_ND.shape}, {embedder.name} makes "
            f"{embedder.dimension}-d ones; delete the file and run again"
        )
    return matrix_ND
