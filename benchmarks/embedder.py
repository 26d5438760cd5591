"""What an embedder costs on CPU: milliseconds a window, windows a second with two workers, microseconds a caption.

python -m benchmarks.embedder [NAME_OR_PATH] [--workers 2]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, as in the clips job: before NumPy is loaded

import argparse
import multiprocessing
import resource
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["main"]

_BATCH = 12
"""Windows a call: four clips of 30 s."""
_SECONDS = 5.0
_CAPTIONS = [
    f"a {tempo} {mood} {style} piece with {first} and {second}"
    for tempo in ("slow", "fast")
    for mood in ("calm", "happy", "dark", "energetic")
    for style in ("rock", "jazz", "folk", "techno")
    for first in ("piano", "guitar", "strings", "flute")
    for second in ("drums", "bass", "harp", "choir")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embedder", nargs="?", default="bundled")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    from labeling.embedders.by_name import load_embedder
    from labeling.embedders.checks import check_embedder
    from pipeline.errors import EmbedderProblem

    start = time.perf_counter()
    embedder: Any = load_embedder(args.embedder, device="cpu")
    card = embedder.card
    print(f"{card.name}: {card.sample_rate_hz} Hz, windows of {card.window_s:g} s, {card.dimension} dimensions")
    _row("load, with imports", time.perf_counter() - start, "s")
    try:
        _row("check on load", check_embedder(embedder).seconds, "s")
    except EmbedderProblem as problem:  # random weights, say: they cost the same
        print(f"  ({problem})")
    windows_BT = _windows(card.sample_rate_hz, card.window_s, 24)
    if hasattr(embedder, "log_mel"):
        mels = embedder.log_mel.batch(windows_BT)
        _row("log-mel a window", 1e3 * _best(embedder.log_mel.batch, windows_BT) / 24, "ms")
        for batch in (1, 3, _BATCH, 24):
            seconds = _best(embedder.embed_mels, mels[:batch]) / batch
            _row(f"model a window, {batch} at once", 1e3 * seconds, "ms")
    _row("whole a window, one worker", 1e3 * _best(embedder.embed_audio, windows_BT[:_BATCH]) / _BATCH, "ms")
    _row("a caption", 1e6 * _best(embedder.embed_text, _CAPTIONS) / len(_CAPTIONS), "µs")
    _row("memory, largest so far", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")
    alone, together = _workers(args.embedder, 1), _workers(args.embedder, args.workers)
    _row("windows/s, 1 worker", alone, "")
    _row(f"windows/s, {args.workers} workers", together, f"  ({together / alone:.2f} times one)")


def _row(what: str, value: float, unit: str) -> None:
    print(f"  {what:32}{value:10.2f} {unit}")


def _windows(rate_hz: int, window_s: float, count: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return (0.1 * rng.normal(size=(count, round(rate_hz * window_s)))).astype(np.float32)


def _best(call: Any, given: Any) -> float:
    """Shortest of a few, for at most some seconds."""
    best, ends = float("inf"), time.perf_counter() + _SECONDS
    for _ in range(10):
        start = time.perf_counter()
        call(given)
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > ends:
            break
    return best


def _workers(name: str, count: int) -> float:
    """Windows a second of `count` processes that each have their own model."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        pool.map(_load, [name] * count, chunksize=1)
        return sum(pool.map(_run, [name] * count, chunksize=1))


_loaded: dict[str, Any] = {}


def _load(name: str) -> None:
    from labeling.embedders.by_name import load_embedder

    if name not in _loaded:
        _loaded[name] = load_embedder(name, device="cpu")


def _run(name: str) -> float:
    _load(name)
    embedder = _loaded[name]
    windows_BT = _windows(embedder.card.sample_rate_hz, embedder.card.window_s, _BATCH)
    embedder.embed_audio(windows_BT)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        embedder.embed_audio(windows_BT)
        done += len(windows_BT)
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
