"""Which captions repeat an earlier one, at millions of captions: sketched, paired and compared by several processes.

Processes share the sketches and the texts through files in a temporary folder, mapped by all of them. What goes does
not depend on how many there are. N texts, B bands, H minima.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.process import worker_processes
from vocab.cleaning.minhash import Banding, band_pairs, similarities, sketch, sorted_distinct

__all__ = ["near_duplicates"]

BANDING = Banding()
ROUNDS = 3
_SKETCH_TEXTS = 50_000
_COMPARE_PAIRS = 250_000
_WORTH_PROCESSES = 100_000
"""Texts below which starting processes takes longer than they save."""


def near_duplicates(
    texts: pa.ChunkedArray | pa.Array | Sequence[str], *, threshold: float, workers: int = 1
) -> dict[int, int]:
    """Row to leave out -> the row it repeats: each that is `threshold` similar to an earlier one that stays.

    Not all texts of a full bucket are compared. Where there is a crowd of near-copies, some of it may therefore stay:
    texts that others repeat are compared again with each other, up to ROUNDS times.
    """
    if not len(texts):
        return {}
    with tempfile.TemporaryDirectory(prefix="cratedig-near-") as folder, _processes(workers, len(texts)) as run:
        _write(Path(folder), texts)
        run(_sketch_rows, [(folder, start) for start in range(0, len(texts), _SKETCH_TEXTS)])
        alike = compared = np.empty(0, dtype=np.uint64)
        rows: NDArray[np.int64] | None = None
        gone: dict[int, int] = {}
        for _ in range(ROUNDS):
            found = run(_pair_band, [(folder, band, rows, threshold) for band in range(BANDING.bands)])
            pairs = sorted_distinct(np.concatenate(found))
            pairs = pairs[~np.isin(pairs, compared)]
            compared = np.concatenate([compared, pairs])
            blocks = [pairs[start : start + _COMPARE_PAIRS] for start in range(0, len(pairs), _COMPARE_PAIRS)]
            alike = np.concatenate([alike, *run(_compare, [(folder, block, threshold) for block in blocks])])
            known, gone = len(gone), _leave_out(alike)
            if len(gone) == known:
                break
            rows = np.unique(np.fromiter(gone.values(), dtype=np.int64, count=len(gone)))
        _open.cache_clear()
        return gone


def _leave_out(alike: NDArray[np.uint64]) -> dict[int, int]:
    """In the order of the later row, so that whether the earlier one stays is known when it is asked."""
    earlier, later = _rows_of(alike)
    gone: dict[int, int] = {}
    order = np.lexsort((earlier, later))
    for a, b in zip(earlier[order].tolist(), later[order].tolist(), strict=True):
        if a not in gone and b not in gone:
            gone[b] = a
    return gone


def _rows_of(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


@contextmanager
def _processes(workers: int, texts: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]]:
    """A map over tasks: in this process, or in `workers` others where there is enough to do."""
    if workers == 1 or texts < _WORTH_PROCESSES:
        yield lambda work, tasks: list(map(work, tasks))
        return
    with worker_processes(workers) as pool:
        yield lambda work, tasks: list(pool.map(work, tasks))


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What the processes share, mapped from files."""

    texts: pa.Array
    keys_BN: NDArray[np.uint64]
    low_NH: NDArray[np.uint8]


def _write(folder: Path, texts: pa.ChunkedArray | pa.Array | Sequence[str]) -> None:
    column = texts if isinstance(texts, (pa.ChunkedArray, pa.Array)) else pa.array(texts, pa.string())
    column = column.cast(pa.large_string())  # one chunk of any size: taking rows of many chunks copies them all
    table = pa.table({"text": column}).combine_chunks()
    with pa.OSFile(str(folder / "texts.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    keys, low = (BANDING.bands, len(column)), (len(column), BANDING.bands * BANDING.rows)
    np.lib.format.open_memmap(folder / "keys.npy", "w+", np.uint64, keys)
    np.lib.format.open_memmap(folder / "low.npy", "w+", np.uint8, low)


@lru_cache(maxsize=1)
def _open(folder: str) -> _Shared:
    with pa.memory_map(f"{folder}/texts.arrow") as file:
        texts = pa.ipc.open_file(file).read_all().column("text").chunk(0)
    keys_BN, low_NH = (np.load(f"{folder}/{name}.npy", mmap_mode="r+") for name in ("keys", "low"))
    return _Shared(texts=texts, keys_BN=keys_BN, low_NH=low_NH)


def _sketch_rows(task: tuple[str, int]) -> None:
    folder, start = task
    shared = _open(folder)
    part = slice(start, start + _SKETCH_TEXTS)
    sketches = sketch(shared.texts[part].to_pylist(), BANDING)
    shared.keys_BN[:, part] = sketches.keys_NB.T
    shared.low_NH[part] = sketches.low_NH


def _pair_band(task: tuple[str, int, NDArray[np.int64] | None, float]) -> NDArray[np.uint64]:
    """The likely pairs of one band, of all rows or of `rows`."""
    folder, band, rows, threshold = task
    shared = _open(folder)
    split_from = (band + 1) * BANDING.rows
    if rows is None:
        return band_pairs(shared.keys_BN[band], shared.low_NH, split_from, threshold=threshold)
    pairs = band_pairs(shared.keys_BN[band, rows], shared.low_NH[rows], split_from, threshold=threshold)
    earlier, later = _rows_of(pairs)
    return (rows[earlier].astype(np.uint64) << np.uint64(32)) | rows[later].astype(np.uint64)


def _compare(task: tuple[str, NDArray[np.uint64], float]) -> NDArray[np.uint64]:
    """The pairs that are as similar as that, compared exactly."""
    folder, pairs, threshold = task
    earlier, later = _rows_of(pairs)
    used, place = np.unique(np.concatenate([earlier, later]), return_inverse=True)
    texts = _open(folder).texts.take(pa.array(used)).to_pylist()
    alike = similarities(texts, texts, place.reshape(2, -1).T)
    return pairs[alike >= threshold]
