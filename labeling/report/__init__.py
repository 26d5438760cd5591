"""The report on a crate: `stats.json` for machines, `report/index.html` to look at and listen to."""

from labeling.report.page import write_report

__all__ = ["write_report"]
