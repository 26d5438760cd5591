"""How many CPUs this process may use: a container or a batch system often gives fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["usable_cpus"]


def usable_cpus(root: Path = Path("/")) -> int:
    """The least of the machine's CPUs, this process's affinity and the quota of its control groups (v1 and v2); >= 1.

    root: where `proc` and `sys` are.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_quotas(root), default=math.inf)
    return max(1, math.floor(min(count, max(quota, 1))))


def _quotas(root: Path) -> list[float]:
    """CPUs that each control group above this process allows. Unreadable ones say nothing."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for mount in ("sys/fs/cgroup", *(f"sys/fs/cgroup/{name}" for name in ("cpu", "cpu,cpuacct", "unified"))):
            # In a container the path is the host's, and its own group is the mount itself.
            for folder in ("", *(str(p) for p in (Path(path), *Path(path).parents))):
                found += _quota(root / mount / folder.strip("/"), v2=not controllers)
    return found


def _quota(group: Path, *, v2: bool) -> list[float]:
    try:
        if v2:
            allowed, period = (group / "cpu.max").read_text().split()
            return [] if allowed == "max" else [int(allowed) / int(period)]
        allowed_us = int((group / "cpu.cfs_quota_us").read_text())
        return [allowed_us / int((group / "cpu.cfs_period_us").read_text())] if allowed_us > 0 else []
    except (OSError, ValueError, ZeroDivisionError):
        return []
