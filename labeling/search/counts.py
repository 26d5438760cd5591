"""How often each caption stands in a top K, over all clips of a crate: the one number that ties clips together.

B clips of a shard, K candidates, N captions of the vocabulary, U of them that are a candidate somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.crate.seals import read_sealed, read_sealed_file, sealed_files, write_sealed
from pipeline.errors import CrateMismatch
from pipeline.parquet import read_table
from pipeline.storage import Storage

if TYPE_CHECKING:
    from labeling.search.candidates import CandidateSet

__all__ = [
    "CaptionCounts",
    "add_bucket_counts",
    "bucket_counts",
    "count_all",
    "counts_sha256",
    "read_counts",
    "shared_counts",
    "write_counts",
]

_BUCKET_BITS = 16
"""Counts travel in buckets of 65,536 captions: a dictionary of all of them would not fit a worker."""


@dataclass(frozen=True, kw_only=True)
class CaptionCounts:
    """Captions that are a candidate of some clip, in the vocabulary's order."""

    rows_U: NDArray[np.int64]
    """Of the vocabulary."""
    ids_U: NDArray[np.uint64]
    counts_U: NDArray[np.int64]

    def dense(self, captions: int) -> NDArray[np.int64]:
        """(N,) counts, 0 for captions that are nobody's candidate."""
        counts_N = np.zeros(captions, dtype=np.int64)
        counts_N[self.rows_U] = self.counts_U
        return counts_N


def bucket_counts(caption_BK: NDArray[np.uint64], ids_N: NDArray[np.uint64]) -> Iterator[tuple[int, bytes]]:
    """Of one shard: for each bucket of captions, rows and how often they occur, packed for the shuffle."""
    rows, counts = np.unique(np.searchsorted(ids_N, caption_BK.ravel()), return_counts=True)
    buckets = rows >> _BUCKET_BITS
    for bucket in np.unique(buckets):
        mine = buckets == bucket
        yield int(bucket), _pack(rows[mine], counts[mine])


def add_bucket_counts(packed: Iterable[bytes]) -> bytes:
    """Add up counts of one bucket; associative, so a runner may combine as it likes."""
    total = np.zeros(1 << _BUCKET_BITS, dtype=np.int64)
    bucket = 0
    for data in packed:
        rows, counts = _unpack(data)
        if len(rows):
            bucket = int(rows[0]) >> _BUCKET_BITS
            np.add.at(total, rows & ((1 << _BUCKET_BITS) - 1), counts)
    rows = np.flatnonzero(total)
    return _pack(rows + (bucket << _BUCKET_BITS), total[rows])


def count_all(shards: Iterable[NDArray[np.uint64]], ids_N: NDArray[np.uint64]) -> bytes:
    """The counts of (B, K) caption ids of every shard, packed as one bucket, where one process sees them all."""
    counts_N = np.zeros(len(ids_N), dtype=np.int64)
    for caption_BK in shards:
        rows, counts = np.unique(np.searchsorted(ids_N, caption_BK.ravel()), return_counts=True)
        counts_N[rows] += counts
    rows = np.flatnonzero(counts_N)
    return _pack(rows, counts_N[rows])


def write_counts(
    storage: Storage,
    chosen: CandidateSet,
    buckets: Iterable[bytes],
    ids_N: NDArray[np.uint64],
    *,
    clips: int,
    covers: Mapping[str, Any],
) -> None:
    """Put the buckets together and write them, then the set's own description, which says that it is whole.

    covers: the state of the crate that was counted. Raises CrateMismatch where the counts do not add up to K a clip.
    """
    counts_N = np.zeros(chosen.captions, dtype=np.int64)
    for data in buckets:
        rows, counts = _unpack(data)
        counts_N[rows] = counts
    expected = clips * min(chosen.k, chosen.captions)
    if int(counts_N.sum()) != expected:
        raise CrateMismatch(
            f"{chosen.folder} counts {int(counts_N.sum())} candidates, its {clips} clips have {expected}; "
            f"delete {storage.url}/{chosen.folder} and label again"
        )
    rows_U = np.flatnonzero(counts_N)
    table = pa.table({"row": rows_U, "caption_id": ids_N[rows_U], "count": counts_N[rows_U]})
    with storage.write(chosen.counts_file) as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
    said = {"run_hash": chosen.hash, "covers": dict(covers), "files": sealed_files({chosen.counts_file: file})}
    write_sealed(storage, chosen.set_file, said)


def read_counts(
    storage: Storage, chosen: CandidateSet, covers: Mapping[str, Any] | None = None
) -> CaptionCounts | None:
    """None where they were never made, or cover another state of the crate than `covers`.

    Raises CrateMismatch where they are not what was written.
    """
    try:
        said = read_sealed(storage, chosen.set_file)
    except FileNotFoundError:
        return None
    if said["run_hash"] != chosen.hash or (covers is not None and said["covers"] != dict(covers)):
        return None
    wrote = said["files"][chosen.counts_file]
    table = read_table(read_sealed_file(storage, chosen.counts_file, wrote))
    rows_U, ids_U, counts_U = (table.column(name).to_numpy() for name in ("row", "caption_id", "count"))
    return CaptionCounts(rows_U=rows_U, ids_U=ids_U, counts_U=counts_U)


def counts_sha256(storage: Storage, chosen: CandidateSet) -> str:
    """Of the counts' file, without reading it."""
    return str(read_sealed(storage, chosen.set_file)["files"][chosen.counts_file]["sha256"])


def shared_counts(counts_N: NDArray[np.int64], meaning_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) how often any caption of the same meaning is a candidate."""
    _, code_N = np.unique(meaning_N, return_inverse=True)
    total = np.zeros(int(code_N.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(total, code_N, counts_N)
    return total[code_N]


def _pack(rows: NDArray[np.int64], counts: NDArray[np.int64]) -> bytes:
    return np.stack([rows, counts]).astype("<i8").tobytes()


def _unpack(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, counts = np.frombuffer(data, dtype="<i8").reshape(2, -1)
    return rows, counts
