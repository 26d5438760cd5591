"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.process import Terminated, is_alive, sigterm_interrupts, worker_processes

ROOT = Path(__file__).parents[2]
PARENT = """
import os, subprocess, sys, time
from pipeline.process import end_children_with_this
end_children_with_this()
child = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); \
print(p.pid, flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
print(process.pid, process.stdout.readline().strip(), flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")
@pytest.mark.parametrize("how", ["killed", "ended"])
def test_grandchildren_end_with_a_process_that_is_killed_or_ends(how: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "stay" if how == "killed" else "go"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    family = [int(word) for word in parent.stdout.readline().split()]
    assert len(family) == 2
    if how == "killed":
        assert all(map(is_alive, family))
        parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while any(map(is_alive, family)):
        assert time.monotonic() < until, f"{[pid for pid in family if is_alive(pid)]} live on"
        time.sleep(0.05)


def test_sigterm_is_an_interruption_while_it_is_asked_for() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_pool_does_not_wait_for_its_workers() -> None:
    with pytest.raises(Terminated), worker_processes(2) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(4)}
        sleeping = [pool.submit(time.sleep, 300) for _ in range(4)]
        began = time.monotonic()
        raise Terminated
    assert time.monotonic() - began < 60
    assert not any(map(is_alive, pids))
    assert all(future.cancelled() or future.exception() for future in sleeping)


HANDING_OUT = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pipeline.process import Terminated, worker_processes
def sleep_with(what):
    time.sleep(600)
if __name__ == "__main__":
    with worker_processes(1) as pool:
        for _ in range(3):
            pool.submit(sleep_with, bytes(1 << 20))
        time.sleep(2)
        raise Terminated
"""


def test_work_that_is_being_handed_out_does_not_hold_the_end_up(tmp_path: Path) -> None:
    """More than a pipe holds: a pool's own thread waited for a reader that was gone, when the interpreter ended."""
    script = tmp_path / "hand_out.py"
    script.write_text(HANDING_OUT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=90)
    assert "Terminated" in done.stderr


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipeline.process import die_with_parent\n"
    code += "die_with_parent(int(sys.argv[1])); print('lives')"
    for parent, said in ((os.getpid(), "lives\n"), (2**22 + 1, "")):
        done = subprocess.run([sys.executable, "-c", code, str(parent)], capture_output=True, text=True)
        assert done.stdout == said
