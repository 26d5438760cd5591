"""Peak memory of a process and all that it starts, with pages that they share counted once."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["PeakMemory", "proportional_mib"]


def proportional_mib(pid: int, *, files: bool = True) -> float:
    """Proportional set size of one process in MiB; 0 where it has ended. `files`: with pages of mapped files."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return (sizes.get("Pss", 0) - (0 if files else sizes.get("Pss_File", 0))) / 1024


class PeakMemory:
    """Watches a process and its descendants until they end."""

    def __init__(self, pid: int, *, every_s: float = 0.5) -> None:
        self._pid, self._every_s = pid, every_s
        self.peak_mib = 0.0

    def watch(self) -> None:
        while Path(f"/proc/{self._pid}").exists():
            self.watch_once()
            time.sleep(self._every_s)

    def watch_once(self) -> None:
        self.peak_mib = max(self.peak_mib, sum(proportional_mib(pid) for pid in _descendants(self._pid)))


def _descendants(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        try:
            for task in Path(f"/proc/{found[at]}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass
        at += 1
    return found
