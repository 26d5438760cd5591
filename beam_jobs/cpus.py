"""How many CPUs and how much memory this process may use: a container or a batch system often gives less than the
machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["DRIVER_BYTES", "WORKER_BYTES", "usable_cpus", "usable_memory", "usable_workers"]

DRIVER_BYTES, WORKER_BYTES = 1_000_000_000, 1_000_000_000
"""What a driver and a worker of the main job take with the bundled model and vocabularies (docs/cluster.md)."""


def usable_cpus(root: Path = Path("/")) -> int:
    """The least of the machine's CPUs, this process's affinity, the quota of its control groups (v1 and v2) and what
    Slurm gave on this node; >= 1.

    root: where `proc` and `sys` are.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group, v2 in _groups(root, "cpu", "cpu,cpuacct") for quota in _quota(group, v2=v2)]
    quota = min([*quotas, *_whole_number("SLURM_CPUS_ON_NODE")], default=math.inf)
    return max(1, math.floor(min(count, max(quota, 1))))


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes: the least of the machine's memory, the limits of this process's control groups (v1 and v2) and what Slurm
    gave on this node."""
    limits = [limit for group, _ in _groups(root, "memory") for limit in _memory_limit(group)]
    limits += [mib << 20 for mib in _whole_number("SLURM_MEM_PER_NODE")]
    limits += [
        mib * cpus << 20 for mib in _whole_number("SLURM_MEM_PER_CPU") for cpus in _whole_number("SLURM_CPUS_ON_NODE")
    ]
    try:
        first = (root / "proc/meminfo").read_text().splitlines()[0]  # MemTotal: 24037348 kB
        limits.append(int(first.split()[1]) << 10)
    except (OSError, ValueError, IndexError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits)


def usable_workers(root: Path = Path("/")) -> int:
    """As many as there are CPUs, or as the memory holds beside the driver; >= 1."""
    return max(1, min(usable_cpus(root), (usable_memory(root) - DRIVER_BYTES) // WORKER_BYTES))


def _whole_number(variable: str) -> list[int]:
    """The value of a variable of the environment, where it is set; 0 means "all" to Slurm, and says nothing."""
    given = os.environ.get(variable, "")
    return [int(given)] if given.isdecimal() and int(given) else []


def _groups(root: Path, *controllers_v1: str) -> Iterator[tuple[Path, bool]]:
    """The folders of the control groups above this process, and whether each is of version 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for mount in ("sys/fs/cgroup", *(f"sys/fs/cgroup/{name}" for name in (*controllers_v1, "unified"))):
            # In a container the path is the host's, and its own group is the mount itself.
            for folder in ("", *(str(p) for p in (Path(path), *Path(path).parents))):
                yield root / mount / folder.strip("/"), not controllers


def _memory_limit(group: Path) -> list[int]:
    """v1 says "no limit" by a number near 2^63. Unreadable files say nothing."""
    found = []
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            said = (group / name).read_text().strip()
        except OSError:
            continue
        found += [int(said)] if said.isdecimal() else []
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
