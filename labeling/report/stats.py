"""stats.json: every figure of the report, for machines. The same crate and run give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labeling.report.runs import ReportRun
from labeling.report.slots import SlotFigures, SlotWatcher, sampled_shards
from labeling.report.totals import Totals, TotalsWatcher, reasons_by_name
from pipeline.crate.crate import Crate
from pipeline.crate.dataset import Watcher
from pipeline.records import Proof

__all__ = ["CrateStats", "StatsWatcher"]


@dataclass(frozen=True, kw_only=True)
class CrateStats:
    """All figures of a crate and of one of its label runs."""

    totals: Totals
    run: ReportRun | None
    slots: tuple[SlotFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        totals = asdict(self.totals) | {"holds": self.totals.holds, "by_reason": dict(reasons_by_name(self.totals))}
        for name in ("rejects", "verified"):  # one is long, the other is about the report, not about the crate
            totals.pop(name)
        run = None
        if self.run is not None:
            run = {name: getattr(self.run, name) for name in ("name", "profile", "seed", "method", "run_hash")}
        return {"totals": totals, "labels": run, "slots": {slot.name: asdict(slot) for slot in self.slots}}


class StatsWatcher:
    """Gathers them as shards are seen; memory grows with the captions in use and 16 bytes a clip."""

    def __init__(self, crate: Crate, run: ReportRun | None, *, vocabularies: Mapping[str, str] | None = None) -> None:
        self._run, self._totals = run, TotalsWatcher(crate)
        self._slots: list[SlotWatcher] = []
        if run is not None:
            sampled = sampled_shards(crate)
            self._slots = [SlotWatcher(crate, run, s, sampled, vocabularies=vocabularies) for s in run.slots]

    @property
    def watchers(self) -> list[Watcher]:
        """Who has to see the crate."""
        return [self._totals, *self._slots]

    def stats(self, proof: Proof | None = None) -> CrateStats:
        """proof: of a verification that has just been made."""
        slots = tuple(slot.figures() for slot in self._slots)
        return CrateStats(totals=self._totals.totals(proof), run=self._run, slots=slots)
