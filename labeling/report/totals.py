"""What a crate holds and what was left out, counted from its shards' identity columns; no audio is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.crate.crate import CLIPS, REJECTS, Crate
from pipeline.crate.left_out import read_row_rejects
from pipeline.crate.schema import rejects_schema
from pipeline.records import Proof

__all__ = ["LISTED_REJECTS", "LeftOutRow", "Reason", "Totals", "TotalsWatcher", "reasons_by_name"]

_EXAMPLES = 3
LISTED_REJECTS = 200


@dataclass(frozen=True, kw_only=True)
class LeftOutRow:
    """One reject, for people."""

    key: str
    level: str
    stage: str
    reason: str
    detail: str
    start_s: float | None


@dataclass(kw_only=True)
class Reason:
    """One reason for leaving out, at one level."""

    level: str
    stage: str
    reason: str
    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first few files, each once."""


@dataclass(kw_only=True)
class Totals:
    """The crate in numbers."""

    planned: int
    written: int = 0
    """Tracks with at least one clip."""
    rejected: int = 0
    """Tracks with a reject and no clip."""
    lost: int = 0
    """Tracks with neither; 0 unless something is broken."""
    clips: int = 0
    clip_rejects: int = 0
    track_rejects: int = 0
    """Rejects of whole tracks. `rejected` also counts tracks that lost clip after clip until none was left."""
    same_content: int = 0
    """Tracks whose file is byte for byte that of another track: kept, since nobody asked to leave them out."""
    hours: float = 0.0
    music: dict[str, float] = field(default_factory=dict)
    """Quantiles of the clips' `music_score`, by name; empty where they have none."""
    bytes: int = 0
    """Of the clips' and rejects' shards."""
    faults: list[str] = field(default_factory=list)
    """As found by a full verification, where one was handed in."""
    verified: bool = False
    """Whether every file was hashed and compared with its marker for this report."""
    reasons: list[Reason] = field(default_factory=list)
    rejects: list[LeftOutRow] = field(default_factory=list)
    """The first ones only, in the order of the plan."""

    @property
    def holds(self) -> bool:
        return self.planned == self.written + self.rejected and not self.lost and not self.faults


class TotalsWatcher:
    """Counts as shards are seen, a few columns of each."""

    def __init__(self, crate: Crate) -> None:
        self._crate, self._seconds = crate, 0.0
        self._totals = Totals(planned=crate.tracks)
        self._reasons: dict[tuple[str, str, str], Reason] = {}
        self._contents: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        self._music: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
        for row in read_row_rejects(crate.storage):
            _add(row, self._totals, self._reasons)

    def columns(self, shard: int) -> dict[str, list[str]]:
        return {CLIPS: ["track_id", "duration_s", "source_sha256", "music_score"], REJECTS: rejects_schema().names}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        totals, clips, rejects = self._totals, tables[CLIPS], tables[REJECTS].to_pylist()
        content_of = dict(zip(*(clips.column(name).to_pylist() for name in ("track_id", "source_sha256")), strict=True))
        written = set(content_of)
        self._contents.append(np.array([int(sha[:16], 16) for sha in content_of.values()], dtype=np.uint64))
        totals.written += len(written)
        totals.rejected += len({row["track_id"] for row in rejects} - written)
        totals.clips += len(clips)
        self._music.append(clips.column("music_score").drop_null().to_numpy())
        self._seconds += pc.sum(clips.column("duration_s")).as_py() or 0.0
        for row in rejects:
            _add(row, totals, self._reasons)

    def totals(self, proof: Proof | None = None) -> Totals:
        """Of all that was seen. `proof`: of a verification that has just been made."""
        totals, contents = self._totals, np.concatenate(self._contents)
        totals.same_content = len(contents) - len(np.unique(contents))
        if len(scores := np.concatenate(self._music)):
            shares = {"lowest": 0.0, "5 %": 0.05, "50 %": 0.5, "95 %": 0.95, "highest": 1.0}
            totals.music = {name: round(float(np.quantile(scores, share)), 3) for name, share in shares.items()}
        totals.hours = round(self._seconds / 3600, 6)
        totals.lost = totals.planned - totals.written - totals.rejected
        totals.reasons = sorted(self._reasons.values(), key=lambda r: (-r.count, r.level, r.stage, r.reason))
        markers = filter(None, self._crate.markers(CLIPS))
        totals.bytes = sum(wrote["bytes"] for marker in markers for wrote in marker["files"].values())
        if proof is not None:
            totals.verified, totals.faults = True, list(proof.faults)
        return totals


def _add(row: dict[str, Any], totals: Totals, reasons: dict[tuple[str, str, str], Reason]) -> None:
    totals.clip_rejects += row["level"] == "clip"
    totals.track_rejects += row["level"] == "track"
    key = (row["level"], row["stage"], row["reason"])
    reason = reasons.setdefault(key, Reason(level=key[0], stage=key[1], reason=key[2]))
    reason.count += 1
    if len(reason.examples) < _EXAMPLES and row["key"] not in reason.examples:
        reason.examples.append(row["key"])
    if len(totals.rejects) < LISTED_REJECTS:
        totals.rejects.append(
            LeftOutRow(**{name: row[name] for name in ("key", "level", "stage", "reason", "detail", "start_s")})
        )


def reasons_by_name(totals: Totals) -> Counter[str]:
    """`level:reason` -> count, as markers and proofs have it."""
    names: Counter[str] = Counter()
    for reason in totals.reasons:
        names[f"{reason.level}:{reason.reason}"] += reason.count
    return names
