"""How many clips are hardly music, and how many drawn captions hardly fit: said of every run, left out where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labeling.embedders.scoring import read_scoring
from labeling.label import LabelRun
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.dataset import read_once

__all__ = ["WeakClips", "WeakLabels", "left_out_labels", "said_of", "weak_clips", "weak_labels"]


class WeakClips:
    """Counts, as shards are seen, clips below `limit`, the model's own; nothing where it has none."""

    def __init__(self, limit: float | None) -> None:
        self._limit, self._below, self._total = limit, 0, 0

    def columns(self, shard: int) -> dict[str, list[str]]:
        return {} if self._limit is None else {CLIPS: ["music_score"]}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        if self._limit is not None:
            scores = tables[CLIPS].column("music_score").drop_null()
            self._total += len(scores)
            self._below += pc.sum(pc.less(scores, self._limit)).as_py() or 0

    def lines(self) -> Iterator[str]:
        """A warning where there are some."""
        if self._below:
            yield (
                f"warning: {self._below} of {self._total} clips ({self._below / self._total:.0%}) sound more like "
                f"speech or noise than like music (music_score below {self._limit:g}); --min-music {self._limit:g} "
                "leaves such clips out"
            )


class WeakLabels:
    """Counts, as shards are seen, drawn captions below `limit`, the model's own; nothing where it has none."""

    def __init__(self, run: LabelRun, limit: float | None) -> None:
        self._folder, self._limit = run.folder, limit
        self._names = [] if limit is None else [slot.name for slot in run.profile.slots]
        self._below, self._total = Counter[str](), Counter[str]()

    def columns(self, shard: int) -> dict[str, list[str]]:
        return {self._folder: [f"{name}.list.element.score" for name in self._names]} if self._names else {}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        for name in self._names:
            scores = pc.struct_field(pc.list_flatten(tables[self._folder].column(name)), "score").to_numpy()
            self._total[name] += len(scores)
            self._below[name] += int(np.count_nonzero(scores < self._limit))

    def lines(self) -> Iterator[str]:
        """A warning for each slot that has some."""
        for name in filter(self._below.get, self._names):
            yield (
                f"warning: {self._below[name]} of {self._total[name]} captions of {name} "
                f"({self._below[name] / self._total[name]:.0%}) hardly fit their clip (score below {self._limit:g}); "
                f"--min-similarity {self._limit:g} leaves such captions out"
            )


def weak_clips(crate: Crate, embedder: str) -> WeakClips:
    """A watcher; it has nothing to see where the crate was asked to leave such clips out."""
    scoring = read_scoring(embedder, crate.embedder.weights_hash)
    return WeakClips(scoring.min_music if scoring and crate.config.min_music is None else None)


def weak_labels(crate: Crate, run: LabelRun, embedder: str) -> WeakLabels:
    """A watcher; it has nothing to see where the run was asked to leave such captions out, or did not take off what the
    model's measure takes off."""
    scoring = read_scoring(embedder, crate.embedder.weights_hash)
    by_model = scoring is not None and any(c.debias == scoring.offset_hash for c in run.candidates.values())
    return WeakLabels(run, scoring.min_similarity if scoring and by_model and run.min_similarity is None else None)


def left_out_labels(crate: Crate, run: LabelRun) -> Iterator[str]:
    """What --min-similarity left out of each slot."""
    if run.min_similarity is not None:
        counts = Counter[str]()
        for marker in crate.markers(run.folder):
            counts.update(marker["counts"] if marker else {})
        for slot in run.profile.slots:
            out = counts[f"{slot.name}:below-min-similarity"]
            yield f"captions {slot.name}: {out} left out, below --min-similarity {run.min_similarity:g}"


def said_of(crate: Crate, watcher: WeakClips | WeakLabels) -> Iterator[str]:
    """What a watcher says after the crate was read for it; not read where it has nothing to see."""
    if crate.shards and watcher.columns(0):
        read_once(crate, [watcher])
    yield from watcher.lines()
