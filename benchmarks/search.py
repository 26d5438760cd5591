"""Caption search at size: exact against a plain FAISS flat index, the fast path, and the memory of two workers.

python -m benchmarks.search [--captions 4000000] [--dimension 512] [--queries 128] [--threads 2]
                            [--scratch FOLDER [--steps make,exact,build,fast,workers]]

Captions are random around random centres, queries are drawn from neither (a centre, more noise): what an audio
embedding is to captions. Paths that are compared answer the same queries in one step; times are the best of --repeats.
Writes 21 GB at the default size: the matrix in float32, in float16 and as a flat index, and the codes.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import proportional_mib
from labeling.search.exact import ExactSearch, Found
from labeling.search.fast import FaissSearch, IndexCard, build_index, open_index, recall_at_k, tune_width, write_index
from pipeline.storage import Storage

__all__ = ["main"]

K = 10
_BLOCK = 50_000
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=4_000_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--scratch", help="folder for the matrices, which stay there (default: a temporary one)")
    parser.add_argument("--steps", default=",".join(_STEPS), help=f"of {', '.join(_STEPS)} (default: all)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        _worker(Path(args.worker), args.threads)
        return
    with contextlib.ExitStack() as stack:
        folder = Path(args.scratch or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for step in args.steps.split(","):
            _STEPS[step](folder, args)
            gc.collect()  # this process must not share the matrix while others are measured


def _make(folder: Path, args: argparse.Namespace) -> None:
    """Captions in both precisions, the flat index, the queries and as many others to tune with."""
    began = time.perf_counter()
    _write_captions(folder, args.captions, args.dimension, args.queries)
    _flat_index(folder, args.captions, args.dimension)
    print(f"{args.captions:,} x {args.dimension} made in {time.perf_counter() - began:.0f} s", flush=True)


def _measure_exact(folder: Path, args: argparse.Namespace) -> None:
    """The exact path, in both precisions, against a plain flat index."""
    queries_QD = np.load(folder / "queries.npy")
    flat_s, flat_found = _measure_flat(folder / "flat.faiss", queries_QD, args.threads, args.repeats)
    _row("FAISS flat, float32", flat_s, args.queries)
    exact_s, best = _measure_matrix(folder / "captions.npy", queries_QD, args)
    _row("exact path, float32 on disk", exact_s, args.queries, f"{flat_s / exact_s:.2f} x flat")
    half_s, half_found = _measure_matrix(folder / "half.npy", queries_QD, args)
    _row("exact path, float16 on disk", half_s, args.queries, f"{flat_s / half_s:.2f} x flat")
    print(f"exact and flat agree on {recall_at_k(best, flat_found):.4f} of the top {K}; float16 on", end=" ")
    print(
        f"{recall_at_k(half_found, best):.4f}; memory beside the mapped files: {_anonymous_mib():,.0f} MiB", flush=True
    )


def _measure_matrix(path: Path, queries_QD: NDArray[np.float32], args: argparse.Namespace) -> tuple[float, Found]:
    _forget_others(path)
    exact = ExactSearch(np.load(path, mmap_mode="c"), threads=args.threads)
    return _best(lambda: exact.top(queries_QD, K), args.repeats)


def _forget_others(path: Path) -> None:
    """Leave the page cache to one file: three of them do not fit 24 GB, and what is measured must be in memory."""
    for other in path.parent.iterdir():
        if other != path and hasattr(os, "posix_fadvise"):
            with other.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _build(folder: Path, args: argparse.Namespace) -> None:
    import faiss

    _forget_others(folder / "captions.npy")
    began = time.perf_counter()
    index = build_index(np.load(folder / "captions.npy", mmap_mode="c"), threads=args.threads)
    faiss.write_index(index, str(folder / "codes.faiss"))
    print(f"codes built in {time.perf_counter() - began:.0f} s", flush=True)


def _measure_flat(path: Path, queries_QD: NDArray[np.float32], threads: int, repeats: int) -> tuple[float, Found]:
    import faiss

    _forget_others(path)
    flat = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    faiss.omp_set_num_threads(threads)
    seconds, (scores_QK, rows_QK) = _best(lambda: flat.search(queries_QD, K), repeats)
    return seconds, Found(rows_QK=rows_QK, scores_QK=scores_QK)


def _measure_fast(folder: Path, args: argparse.Namespace) -> None:
    """Choose the width on other queries, write the index, and search by it and exactly."""
    import faiss

    full = np.load(folder / "captions.npy", mmap_mode="c")
    queries_QD, tuning_QD = np.load(folder / "queries.npy"), np.load(folder / "tuning.npy")
    exact = ExactSearch(full, threads=args.threads)
    index = faiss.read_index(str(folder / "codes.faiss"), faiss.IO_FLAG_MMAP_IFC)
    search = FaissSearch(full, index, width=1, threads=args.threads)
    reached = tune_width(search, exact, tuning_QD, k=K, recall=0.995)
    card = IndexCard(
        captions=len(full),
        dimension=full.shape[1],
        matrix="captions.npy",
        width=search.width,
        k=K,
        recall=reached,
        queries=len(tuning_QD),
        faiss=faiss.__version__,
    )
    write_index(Storage(folder), "captions.faiss", search.index, card)
    exact_s, best = _best(lambda: exact.top(queries_QD, K), args.repeats)
    _row("exact path, float32 on disk", exact_s, args.queries)
    fast_s, found = _best(lambda: search.top(queries_QD, K), args.repeats)
    _row(f"fast path, width {search.width}", fast_s, args.queries, f"{exact_s / fast_s:.1f} x exact")
    print(f"recall@{K} {recall_at_k(found, best):.4f} on these queries, {reached:.4f} on {len(tuning_QD)} to tune with")


def _write_captions(folder: Path, captions: int, dimension: int, queries: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(captions // 100, 10), dimension), dtype=np.float32)
    full = np.lib.format.open_memmap(folder / "captions.npy", "w+", np.float32, (captions, dimension))
    half = np.lib.format.open_memmap(folder / "half.npy", "w+", np.float16, (captions, dimension))
    for start in range(0, captions, _BLOCK):
        count = min(_BLOCK, captions - start)
        rows = centres[rng.integers(0, len(centres), count)]
        rows += 0.7 * rng.standard_normal((count, dimension), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        full[start : start + count] = rows
        half[start : start + count] = rows
    full.flush()
    half.flush()
    asked = 0.6 * centres[rng.integers(0, len(centres), 2 * queries)]
    asked += 0.9 * rng.standard_normal(asked.shape, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    np.save(folder / "queries.npy", asked[:queries])
    np.save(folder / "tuning.npy", asked[queries:])


def _flat_index(folder: Path, captions: int, dimension: int) -> None:
    """A flat index's file, without ever holding it: the header of a small one, then the matrix as it is on disk."""
    import faiss

    small = faiss.IndexFlatIP(dimension)
    small.add(np.zeros((1, dimension), dtype=np.float32))
    data = faiss.serialize_index(small).tobytes()
    header = bytearray(data[: len(data) - 4 * dimension])
    header[8:16] = struct.pack("<q", captions)  # after the four-letter name and the dimension
    header[-8:] = struct.pack("<Q", captions * dimension)
    path = folder / "flat.faiss"
    with path.open("wb") as target, (folder / "captions.npy").open("rb") as source:
        target.write(header)
        source.seek(np.load(folder / "captions.npy", mmap_mode="r").offset)
        shutil.copyfileobj(source, target, 1 << 24)


def _measure_workers(folder: Path, args: argparse.Namespace) -> None:
    """Memory of one worker process and of two that share one index, pages that both map counted once."""
    for count in (1, 2):
        command = [sys.executable, "-m", "benchmarks.search", "--worker", str(folder)]
        command += ["--threads", str(max(1, args.threads // 2))]
        workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)]
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        total = sum(proportional_mib(worker.pid) for worker in workers)
        private = sum(proportional_mib(worker.pid, files=False) for worker in workers)
        for worker in workers:
            worker.communicate(b"end\n")
        print(
            f"{count} worker{'s' * (count > 1)}: {total:,.0f} MiB, of which {private:,.0f} MiB are no mapped file",
            flush=True,
        )


def _worker(folder: Path, threads: int) -> None:
    """Answer the queries by both paths, say so, and stay until told to end."""
    captions = np.load(folder / "captions.npy", mmap_mode="c")
    search, _ = open_index(Storage(folder), "captions.faiss", captions, matrix="captions.npy", threads=threads)
    queries_QD = np.load(folder / "queries.npy")
    search.top(queries_QD, K)
    ExactSearch(captions, threads=threads).top(queries_QD[:64], K)
    print("ready", flush=True)
    sys.stdin.readline()


def _anonymous_mib() -> float:
    return proportional_mib(os.getpid(), files=False)


def _best(work: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    seconds, result = float("inf"), work()  # the first run also brings the file into memory
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, result


def _row(name: str, seconds: float, queries: int, more: str = "") -> None:
    print(f"{name:32}{1e3 * seconds / queries:10.2f} ms a query   {more}", flush=True)


_STEPS: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "make": _make,
    "exact": _measure_exact,
    "build": _build,
    "fast": _measure_fast,
    "workers": _measure_workers,
}


if __name__ == "__main__":
    main()
