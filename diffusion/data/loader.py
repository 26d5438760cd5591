"""Batches of examples, made by threads ahead of the step that needs them.

Threads, not processes: FLAC decoding, resampling and random numbers release the interpreter lock, and a row group is in
memory once. The order is fixed by positions, so the number of threads changes nothing but speed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from diffusion.data.clip_table import Rows
from diffusion.data.crate_data import CrateClips, Group
from diffusion.data.example import Example, make_example
from diffusion.data.order import EpochOrder, Mixture, lane_count
from diffusion.model.config import StageConfig

__all__ = ["ClipLoader", "ClipSource", "Waited", "one_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class ClipSource:
    """A crate, the rows of it to use, and its share of the stream."""

    clips: CrateClips
    rows: Rows
    weight: float = 1.0


class ClipLoader:
    """Examples by position, and batches of positions in order."""

    def __init__(
        self,
        sources: Sequence[ClipSource],
        stage: StageConfig,
        *,
        seed: int,
        text_drop: float,
        window: int = 16,
        threads: int = 8,
        prefetch: int = 4,
        ranks: int = 1,
    ) -> None:
        """`window`: row groups that are mixed, all ranks together; of those a rank holds its share in memory."""
        self._sources, self._stage = tuple(sources), stage
        self._seed, self._text_drop = seed, text_drop
        rows = [source.rows.part_rows for source in sources]
        lanes = lane_count(max(map(len, rows)), window=window, ranks=ranks)
        orders = [EpochOrder(part_rows, lanes=lanes, seed=seed) for part_rows in rows]
        self.order = Mixture(orders, [source.weight for source in sources], lanes=lanes, seed=seed)
        self._threads, self._prefetch = threads, prefetch
        self._groups = _Groups(self._sources, keep=(2 * lanes // ranks + prefetch) * len(sources))

    def example(self, position: int) -> Example:
        """The same whenever and wherever it is asked for."""
        place = self.order.locate(position)
        source = self._sources[place.source]
        group = self._groups.get(place.source, place.part)
        row = int(source.rows.parts[place.part].kept[place.row])
        return make_example(
            self._stage,
            {rate: column[row].as_buffer() for rate, column in group.flac.items()},
            group.clip_ids[row],
            group.texts[row],
            clip_s=source.clips.clip_s,
            seed=self._seed,
            position=position,
            text_drop=self._text_drop,
        )

    def batches(self, positions: Iterator[Sequence[int]]) -> Iterator[list[Example]]:
        """One list of examples for each list of positions, `prefetch` lists ahead."""
        pending: deque[list[Future[Example]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="loader") as pool:
            try:
                for batch in positions:
                    pending.append([pool.submit(self.example, position) for position in batch])
                    if len(pending) > self._prefetch:
                        yield [future.result() for future in pending.popleft()]
                while pending:
                    yield [future.result() for future in pending.popleft()]
            finally:
                for futures in pending:
                    for future in futures:
                        future.cancel()


def one_ahead(items: Iterable[Item], make: Callable[[Item], Made]) -> Generator[Made, None, None]:
    """`make` of each item, the next one already in the making in a thread while the caller works with this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="batch") as pool:
        pending: Future[Made] | None = None
        for item in items:
            upcoming = pool.submit(make, item)
            if pending is not None:
                yield pending.result()
            pending = upcoming
        if pending is not None:
            yield pending.result()


class Waited(Iterator[Item]):
    """The same items, and how long was waited for them since that was last asked."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items, self._waited_s = items, 0.0

    def __next__(self) -> Item:
        started = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self._waited_s += time.perf_counter() - started

    def waited_s(self) -> float:
        waited, self._waited_s = self._waited_s, 0.0
        return waited


class _Groups:
    """Row groups lately used. Two threads that want the same one read it once."""

    def __init__(self, sources: Sequence[ClipSource], *, keep: int) -> None:
        self._sources, self._keep = sources, keep
        self._lock = threading.Lock()
        self._futures: OrderedDict[tuple[int, int], Future[Group]] = OrderedDict()

    def get(self, source: int, part: int) -> Group:
        key = (source, part)
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
                while len(self._futures) > self._keep:
                    self._futures.popitem(last=False)
            else:
                self._futures.move_to_end(key)
        if mine:
            try:
                future.set_result(self._sources[source].clips.load(self._sources[source].rows.parts[part]))
            except BaseException as error:
                future.set_exception(error)
        return future.result()
