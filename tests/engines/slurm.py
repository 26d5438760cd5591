"""A real Slurm on this machine, for a test's time: munged, slurmctld and slurmd with settings of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.clusters import free_port, processes, wait_until

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")


@contextlib.contextmanager
def slurm(cpus: int = 2) -> Iterator[dict[str, str]]:
    """The environment in which this Slurm's commands work. One node, `cpus` tasks at once; no accounting."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if absent := [name for name in _PROGRAMS if shutil.which(name, path=path) is None]:
        pytest.skip(f"no Slurm here ({absent[0]} is missing): apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("slurmctld and slurmd are started as root here")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder, cpus))
    environment = {"SLURM_CONF": str(configuration), "PATH": path}
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"]
    try:
        with processes(folder / "logs") as started:
            started.start("munged", munged, **environment)
            wait_until((folder / "munge.socket").exists, "no munged")
            started.start("slurmctld", ["slurmctld", "-D", "-c"], **environment)
            started.start("slurmd", ["slurmd", "-D", "-c", "-N", _host()], **environment)
            wait_until(lambda: "idle" in _said("sinfo", environment), "no idle node")
            yield environment
            _said("scancel", environment, "--user=root")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _said(program: str, environment: dict[str, str], *words: str) -> str:
    line = [program, *words]
    return subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, check=False).stdout


def _configuration(folder: Path, cpus: int) -> str:
    """No cgroups, no accounting, as many CPUs as asked: it need not be a machine of one's own."""
    settings = {
        "ClusterName": "tests",
        "SlurmctldHost": f"{_host()}(127.0.0.1)",
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge.socket",
        "CredType": "cred/munge",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "ProctrackType": "proctrack/pgid",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU",
        "ReturnToService": 2,
        "SchedulerParameters": "sched_interval=1,sched_min_interval=0",
        "KillWait": 10,
        "MpiDefault": "none",
        "SlurmdParameters": "config_overrides",
        "NodeName": f"{_host()} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 State=UNKNOWN",
        "PartitionName": "all Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
