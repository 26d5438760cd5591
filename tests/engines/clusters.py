"""Real clusters on one machine, for a test's time: a standalone Flink, worker pools, a Dask scheduler with workers."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.engines import fetch

ROOT = Path(__file__).parents[2]
_PACKAGES = (
    "java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.text java.time java.util "
    "java.util.concurrent java.util.concurrent.atomic java.util.concurrent.locks sun.net.util sun.nio.ch sun.nio.cs "
    "sun.security.action sun.util.calendar"
).split()
OPENS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _PACKAGES]
"""Flink 1.19 and Spark 3.5 look into classes that Java 17 closes."""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def engine_or_skip(name: str) -> Path:
    """An engine that was brought before, or is brought now where `CRATEDIG_ENGINES` asks for it; else skipped."""
    path = fetch.cached(name)
    if path is None and os.environ.get("CRATEDIG_ENGINES"):
        try:
            path = fetch.fetch(name)
        except fetch.Missing as missing:
            pytest.skip(f"{name}: {missing}")
    if path is None:
        pytest.skip(f"{name} is not in {fetch.CACHE}: python -m tests.engines.fetch {name}, or make engines")
    if name in ("flink-server", "spark-server", "flink") and shutil.which("java") is None:
        pytest.skip("java is not installed")
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def wait_until(ready: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, f"{what} after {timeout_s:.0f} s"
        time.sleep(0.2)


def answers(port: int, host: str = "localhost") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@dataclass
class Processes:
    """Processes that end with the test."""

    folder: Path
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=ENVIRONMENT | environment
            )
        return self.started[name]

    def kill(self, name: str) -> None:
        process = self.started.pop(name)
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self.started.values():
            process.terminate()
        for process in self.started.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    folder.mkdir(parents=True, exist_ok=True)
    started = Processes(folder)
    try:
        yield started
    finally:
        started.close()


class Flink:
    """A job manager and task managers; each in a network of its own where it is to have a pool of its own."""

    def __init__(self, started: Processes, *, networks: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        self._home, self._started, self._host = engine_or_skip("flink"), started, host
        self._networks = networks
        self._classes = ":".join(str(jar) for jar in sorted((self._home / "lib").glob("*.jar")))
        self.rest, self._rpc = free_port(), free_port()
        self._configure("job-manager", host)
        main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        started.start("job-manager", self._java("job-manager", main, "-Xmx600m"))
        wait_until(lambda: answers(self.rest), "no Flink")

    def task_manager(self, number: int) -> None:
        """Start the task manager of that number (0, 1, ...)."""
        name = f"task-manager-{number}"
        network = self._networks[number] if self._networks else ""
        self._configure(name, f"{self._host.rpartition('.')[0]}.{number + 2}" if network else self._host)
        # The figures that Flink's own start script computes from taskmanager.memory.process.size.
        tool = ["-cp", f"{self._home}/bin/bash-java-utils.jar:{self._classes}"]
        tool += ["org.apache.flink.runtime.util.bash.BashJavaUtils", "GET_TM_RESOURCE_PARAMS", "--configDir"]
        said = subprocess.run(["java", *tool, self._folder(name)], capture_output=True, text=True, check=True).stdout
        figures = [line.partition("RESULT:")[2].split() for line in said.splitlines() if "EXEC_RESULT:" in line]
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        command = self._java(name, main, *figures[0]) + figures[1]
        self._started.start(name, (["ip", "netns", "exec", network] if network else []) + command)

    def wait_for_slots(self, slots: int) -> None:
        wait_until(lambda: self.ask("overview")["slots-total"] >= slots, f"fewer than {slots} slots")

    def ask(self, what: str) -> dict:  # type: ignore[type-arg]
        with urllib.request.urlopen(f"http://localhost:{self.rest}/{what}", timeout=10) as answer:
            return dict(json.load(answer))

    def jobs(self) -> dict[str, str]:
        """Name -> state, of all that were ever submitted."""
        return {job["name"]: job["state"] for job in self.ask("jobs/overview")["jobs"]}

    def _folder(self, name: str) -> str:
        return os.fspath(self._started.folder / f"{name}-conf")

    def _configure(self, name: str, host: str) -> None:
        Path(self._folder(name)).mkdir(exist_ok=True)
        (Path(self._folder(name)) / "flink-conf.yaml").write_text(
            f"jobmanager.rpc.address: {self._host}\njobmanager.rpc.port: {self._rpc}\njobmanager.bind-host: 0.0.0.0\n"
            f"taskmanager.host: {host}\ntaskmanager.bind-host: 0.0.0.0\nrest.address: localhost\n"
            f"rest.bind-address: 127.0.0.1\nrest.port: {self.rest}\njobmanager.memory.process.size: 1200m\n"
            "taskmanager.memory.process.size: 1500m\ntaskmanager.numberOfTaskSlots: 1\nparallelism.default: 2\n"
            f"io.tmp.dirs: {self._started.folder}\n"
            "heartbeat.interval: 1000\nheartbeat.timeout: 8000\n"
        )

    def _java(self, name: str, main: str, *settings: str) -> list[str]:
        return ["java", *settings, *OPENS, "-cp", self._classes, main, "--configDir", self._folder(name)]


@contextlib.contextmanager
def networks(count: int) -> Iterator[tuple[str, list[str]]]:
    """Networks of their own on one bridge, as pods or machines are; the bridge's address and their names."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs ip(8) and root for networks of their own")
    tag, prefix = f"cd{os.getpid() % 10000}", f"10.{os.getpid() % 200 + 20}.7"
    names = [f"{tag}n{number}" for number in range(count)]
    try:
        done = _ip("link", "add", f"{tag}b", "type", "bridge", check=False)
        if done.returncode:
            pytest.skip(f"may not make networks of its own here: {done.stderr.strip()}")
        _ip("addr", "add", f"{prefix}.1/24", "dev", f"{tag}b")
        _ip("link", "set", f"{tag}b", "up")
        for number, name in enumerate(names):
            _ip("netns", "add", name)
            _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", f"{name}a", "master", f"{tag}b", "up")
            _ip("-n", name, "addr", "add", f"{prefix}.{number + 2}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", name, "link", "set", device, "up")
        yield f"{prefix}.1", names
    finally:
        for name in names:
            _ip("netns", "del", name, check=False)
        _ip("link", "del", f"{tag}b", check=False)


def _ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check)


def worker_pool(started: Processes, name: str, port: int, network: str = "") -> None:
    """Beam's own pool, as a sidecar of a task manager runs it."""
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    command += ["--container_executable="]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts workers by `python`
    started.start(name, (["ip", "netns", "exec", network] if network else []) + command, PATH=path)


def boot_script(folder: Path) -> Path:
    """A command that starts a worker with this interpreter, as --environment_type=PROCESS takes one."""
    script = folder / "boot.sh"
    script.write_text(
        f"#!/bin/sh\nexport PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={ROOT} OMP_NUM_THREADS=1\n"
        f"export RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1\ncd {shlex.quote(str(folder))}\n"  # boot leaves a file there
        f'exec {engine_or_skip("boot")} "$@"\n'
    )
    script.chmod(0o755)
    return script


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, Processes]]:
    """A scheduler and workers, each in a process of its own."""
    port = free_port()
    address = f"tcp://localhost:{port}"
    with processes(folder) as started:
        line = [sys.executable, "-m", "distributed.cli.dask_scheduler", f"--port={port}", "--no-dashboard"]
        started.start("scheduler", line)
        wait_until(lambda: answers(port), "no Dask scheduler")
        for number in range(workers):
            dask_worker(started, address, number)
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=90)
        yield address, started


def dask_worker(started: Processes, address: str, number: int) -> None:
    line = [sys.executable, "-m", "distributed.cli.dask_worker", address, f"--name=worker-{number}", "--nthreads=1"]
    started.start(f"worker-{number}", [*line, "--no-dashboard", "--no-nanny", "--death-timeout=60"])
