"""What was drawn, as an evaluation reads it: clips of a crate chosen by hash, with the captions of each slot.

B clips, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.clip_sets import chosen_by_hash
from labeling.report.runs import ReportRun
from pipeline.crate.crate import Crate
from pipeline.crate.dataset import shard_rows
from pipeline.errors import BadInput

__all__ = ["Drawn", "LabelSample", "read_labels", "sampled_share"]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One caption that was drawn for one clip."""

    clip: int
    """Its number in the sample."""
    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class LabelSample:
    """Clips in the crate's order, and what was drawn for them; uses are counted over the whole crate."""

    clips: list[dict[str, Any]]
    """clip_id, track_id, source_key, start_s, duration_s, tags."""
    embedding_BD: NDArray[np.float32]
    """By the crate's own embedder."""
    drawn: dict[str, list[Drawn]]
    """Slot -> captions."""
    uses: dict[str, Counter[str]]
    """Slot -> text -> clips of the crate that have it."""
    bare: dict[str, int]
    """Slot -> clips of the crate without a caption."""
    total: int
    """Clips in the crate."""

    @property
    def tracks(self) -> list[str]:
        return [clip["track_id"] for clip in self.clips]


def sampled_share(crate: Crate, most: int) -> float:
    """Of the clips, so that about `most` are taken."""
    from pipeline.crate.crate import CLIPS
    from pipeline.crate.shards import read_marker

    markers = [read_marker(crate.storage, *crate.at(CLIPS, shard)) for shard in crate.shards]
    clips = sum(marker["rows"] for marker in markers if marker)
    if not clips:
        raise BadInput(f"{crate.storage.url} has no clip; there is nothing to judge")
    return min(1.0, most / clips)


def read_labels(crate: Crate, run: ReportRun, share: float) -> LabelSample:
    """Two numbers a clip that is not sampled; of the others everything but audio."""
    clips: list[dict[str, Any]] = []
    vectors = []
    slots = [slot.name for slot in run.slots]
    drawn: dict[str, list[Drawn]] = {slot: [] for slot in slots}
    uses: dict[str, Counter[str]] = {slot: Counter() for slot in slots}
    bare, total = dict.fromkeys(slots, 0), 0
    columns = ["track_id", "source_key", "start_s", "duration_s", "tags", "embedding"]
    for shard in crate.shards:
        for row in shard_rows(crate, shard, run.name, columns=columns):
            total += 1
            taken = chosen_by_hash(row.clip["clip_id"], share)
            for slot in slots:
                labels = row.labels[slot] or []
                bare[slot] += not labels
                uses[slot].update(label["text"] for label in labels)
                if taken:
                    drawn[slot] += [Drawn(clip=len(clips), text=la["text"], score=la["score"]) for la in labels]
            if taken:
                vectors.append(np.asarray(row.clip.pop("embedding"), np.float32))
                clips.append(row.clip)
    return LabelSample(clips=clips, embedding_BD=np.stack(vectors), drawn=drawn, uses=uses, bare=bare, total=total)
