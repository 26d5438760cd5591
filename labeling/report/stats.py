"""stats.json: every figure of the report, for machines. The same crate and run give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labeling.report.runs import ReportRun
from labeling.report.slots import SlotFigures, slot_figures
from labeling.report.totals import Totals, count_totals, reasons_by_name
from pipeline.crate.crate import Crate
from pipeline.crate.verify import Proof

__all__ = ["CrateStats", "gather_stats"]


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


def gather_stats(
    crate: Crate,
    run: ReportRun | None,
    *,
    proof: Proof | None = None,
    vocabularies: Mapping[str, str] | None = None,
) -> CrateStats:
    """Stream over the shards; memory grows with the captions in use, not with the clips."""
    slots = [slot_figures(crate, run, slot, vocabularies=vocabularies) for slot in run.slots] if run else []
    return CrateStats(totals=count_totals(crate, proof), run=run, slots=tuple(slots))
