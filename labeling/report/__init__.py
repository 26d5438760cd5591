"""The report on a crate: `stats.json` for machines, `report/index.html` to look at and listen to."""

from labeling.report.page import Report, write_report

__all__ = ["Report", "write_report"]
