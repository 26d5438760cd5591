"""The embeddings of a vocabulary's captions: one matrix on disk, mapped into memory by every worker of a machine.

N captions, D dimensions.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.crate.seals import sealed_files, write_sealed
from pipeline.errors import IndexMismatch
from pipeline.ids import content_hash
from pipeline.records import EmbedderCard
from pipeline.storage import HashingFile, Storage

__all__ = [
    "embeddings_name",
    "embeddings_stand",
    "load_embeddings",
    "read_array",
    "seal_embeddings",
    "write_array",
]


def embeddings_name(vocabulary_hash: str, embedder: EmbedderCard) -> str:
    """The matrix's file name: of these captions by this model, and no other."""
    return f"captions-{content_hash([vocabulary_hash, embedder.weights_hash])}.npy"


def embeddings_stand(storage: Storage, name: str) -> bool:
    """Whether the matrix is whole: its checksum is written after it."""
    return storage.exists(f"{name}.json") and storage.exists(name)


def seal_embeddings(storage: Storage, name: str, file: HashingFile) -> None:
    """The last act of writing a matrix: its sha256, for `verify`."""
    write_sealed(storage, f"{name}.json", {"files": sealed_files({name: file})})


def load_embeddings(storage: Storage, name: str, embedder: EmbedderCard) -> NDArray[np.float32]:
    """The (N, D) matrix, mapped, privately, since torch wants writable memory; from an object store a copy on disk is.

    Raises IndexMismatch for another dimension.
    """
    if storage.is_local:
        matrix_ND = np.load(storage.path(name), mmap_mode="c", allow_pickle=False)
    else:
        with storage.open_whole(name) as file:
            matrix_ND = _mapped(file)
    if matrix_ND.ndim != 2 or matrix_ND.shape[1] != embedder.dimension:
        raise IndexMismatch(
            f"{posixpath.join(storage.url, name)} holds vectors of shape {matrix_ND.shape}, {embedder.name} makes "
            f"{embedder.dimension}-d ones; delete the file and run again"
        )
    return matrix_ND


def _mapped(file: IO[bytes]) -> NDArray[np.float32]:
    """The matrix in a file that was opened whole; a small one is in memory already."""
    if not isinstance(file, io.BufferedRandom):
        matrix_ND: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return matrix_ND
    np.lib.format.read_magic(file)
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    return np.memmap(file, dtype=kind, mode="c", offset=file.tell(), shape=shape)


def write_array(storage: Storage, name: str, made: Callable[[], NDArray[Any]]) -> None:
    """An array about the captions, sealed like their matrix; where it stands it is not made."""
    if not embeddings_stand(storage, name):
        with storage.write(name) as file:
            np.lib.format.write_array(file, made(), allow_pickle=False)
        seal_embeddings(storage, name, file)


def read_array(storage: Storage, name: str) -> NDArray[Any]:
    """What `write_array` wrote."""
    with storage.open(name) as file:
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    return array
