"""How many clips are hardly music, and how many drawn captions hardly fit: said of every run, left out where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labeling.label import LabelRun
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.shards import part_name
from pipeline.parquet import read_table
from pipeline.threads import in_order

__all__ = ["weak_clips", "weak_labels"]


def weak_clips(crate: Crate, limit: float | None) -> Iterator[str]:
    """A warning where clips of the crate lie below `limit`, the model's own; nothing where it has none."""
    if limit is None or crate.config.min_music is not None:
        return
    below = total = 0
    done = [index for index, marker in enumerate(crate.markers(CLIPS)) if marker is not None]
    for clips in in_order(lambda index: _columns(crate, crate.clips_part(index), ["music_score"]), done, at_once=8):
        scores = clips.column(0).drop_null()
        total += len(scores)
        below += pc.sum(pc.less(scores, limit)).as_py() or 0
    if below:
        yield (
            f"warning: {below} of {total} clips ({below / total:.0%}) sound more like speech or noise than like music "
            f"(music_score below {limit:g}); --min-music {limit:g} leaves such clips out"
        )


def weak_labels(crate: Crate, run: LabelRun, limit: float | None) -> Iterator[str]:
    """What --min-similarity left out of each slot; without it, the share of captions below `limit`, the model's own."""
    names = [slot.name for slot in run.profile.slots]
    if run.min_similarity is not None:
        counts = Counter[str]()
        for marker in crate.markers(run.folder):
            counts.update(marker["counts"] if marker else {})
        for name in names:
            out = counts[f"{name}:below-min-similarity"]
            yield f"captions {name}: {out} left out, below --min-similarity {run.min_similarity:g}"
    elif limit is not None:
        below, total = Counter[str](), Counter[str]()
        parts = (part_name(*crate.at(run.folder, index)) for index in crate.shards)
        for labels in in_order(partial(_columns, crate, columns=names), parts, at_once=8):
            for name in names:
                scores = pc.struct_field(pc.list_flatten(labels.column(name)), "score").to_numpy()
                total[name] += len(scores)
                below[name] += int(np.count_nonzero(scores < limit))
        for name in filter(below.get, names):
            share = below[name] / total[name]
            yield (
                f"warning: {below[name]} of {total[name]} captions of {name} ({share:.0%}) hardly fit "
                f"their clip (score below {limit:g}); --min-similarity {limit:g} leaves such captions out"
            )


def _columns(crate: Crate, name: str, columns: Sequence[str]) -> pa.Table:
    with crate.storage.open(name) as file:
        return read_table(file, columns=columns)
