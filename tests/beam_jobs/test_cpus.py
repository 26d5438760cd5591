"""The CPUs that may be used, not those that the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_jobs import cpus
from beam_jobs.cpus import usable_cpus, usable_memory, usable_workers


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 64),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 64),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "350000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000",
            },
            64,
        ),
    ],
)
def test_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], wanted: int) -> None:
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert usable_cpus(put(tmp_path, files)) == wanted


def test_slurm_gives_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    assert usable_cpus(tmp_path) == 6
    put(tmp_path, {"proc/meminfo": "MemTotal:       65536000 kB\n"})
    assert usable_memory(tmp_path) == 65_536_000 * 1024
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "2000")
    assert usable_memory(tmp_path) == 12_000 << 20
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3500")
    assert usable_memory(tmp_path) == 3_500 << 20
    assert usable_workers(tmp_path) == 2  # 3.67 GB less the driver's


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 64_000_000 << 10),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 64_000_000 << 10),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "2147483648\n"}, 2 << 30),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "500000000\n"}, 500_000_000),
        (
            {
                "proc/self/cgroup": "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472",
            },
            3 << 30,
        ),
    ],
)
def test_memory_of_control_groups(tmp_path: Path, files: dict[str, str], wanted: int) -> None:
    root = put(tmp_path, {"proc/meminfo": "MemTotal:       64000000 kB\nMemFree: 1 kB\n", **files})
    assert usable_memory(root) == wanted
    assert usable_workers(root) >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_affinity_is_what_workers_default_to() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from beam_jobs.engine import Engine; print(Engine().workers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
