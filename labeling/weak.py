"""How many clips are hardly music, and how many drawn captions hardly fit: said of every run, left out where asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from labeling.label import LabelRun
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.shards import part_name
from pipeline.parquet import read_table

__all__ = ["weak_clips", "weak_labels"]


def weak_clips(crate: Crate, limit: float | None) -> Iterator[str]:
    """A warning where clips of the crate lie below `limit`, the model's own; nothing where it has none."""
    if limit is None or crate.config.min_music is not None:
        return
    below = total = 0
    for index, marker in enumerate(crate.markers(CLIPS)):
        if marker is not None:
            with crate.storage.open(crate.clips_part(index)) as file:
                scores = read_table(file, columns=["music_score"]).column(0).drop_null()
            total += len(scores)
            below += pc.sum(pc.less(scores, limit)).as_py() or 0
    if below:
        yield (
            f"warning: {below} of {total} clips ({below / total:.0%}) sound more like speech or noise than like music "
            f"(music_score below {limit:g}); --min-music {limit:g} leaves such clips out"
        )


def weak_labels(crate: Crate, run: LabelRun, limit: float | None) -> Iterator[str]:
    """What --min-similarity left out of each slot; without it, the share of captions below `limit`, the model's own."""
    for slot in run.profile.slots:
        if run.min_similarity is not None:
            counts = (marker["counts"] for marker in crate.markers(run.folder) if marker)
            out = sum(count.get(f"{slot.name}:below-min-similarity", 0) for count in counts)
            yield f"captions {slot.name}: {out} left out, below --min-similarity {run.min_similarity:g}"
        elif limit is not None:
            below = total = 0
            for index in crate.shards:
                with crate.storage.open(part_name(*crate.at(run.folder, index))) as file:
                    labels = read_table(file, columns=[slot.name]).column(0)
                scores = pc.struct_field(pc.list_flatten(labels), "score").to_numpy()
                total, below = total + len(scores), below + int(np.count_nonzero(scores < limit))
            if below:
                yield (
                    f"warning: {below} of {total} captions of {slot.name} ({below / total:.0%}) hardly fit their clip "
                    f"(score below {limit:g}); --min-similarity {limit:g} leaves such captions out"
                )
