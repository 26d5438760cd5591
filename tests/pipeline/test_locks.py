"""A folder has one writer: also without flock, after a kill, and among machines and containers with the same name."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.errors import BadInput, RunFailed
from pipeline.locks import FileRecord, hold_record
from pipeline.process import is_gone, this_process
from pipeline.progress import Heartbeat, read_heartbeats
from pipeline.storage import Storage
from tests.pipeline.test_storage import refusal

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pipeline.errors import BadInput
from pipeline.locks import FileRecord, hold_record
try:
    with hold_record(FileRecord(Path(sys.argv[2])), "the crate"):
        print("held", flush=True)
        time.sleep(float(sys.argv[3]))
except BadInput as refused:
    print(refused, flush=True)
"""


def holder(lease: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(ROOT), str(lease), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_record(lease: Path, *, host: str = "another", pid: int = 1, space: str = "elsewhere", age_s: float) -> None:
    who = {"host": host, "pid": pid, "space": space, "renewed": time.time() - age_s, "token": "x"}
    lease.write_text(json.dumps(who))


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_without_flock_a_lease_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with Storage(tmp_path).lock():
        assert (tmp_path / ".lock.lease").exists()
        assert re.search(rf"process {os.getpid()} on .* is writing into .*; wait for it", refusal(tmp_path))
    with Storage(tmp_path).lock():
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock"]


def test_another_refusal_of_flock_is_said_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(BadInput, match=r"\.lock cannot be written \(Input/output error\)"), Storage(tmp_path).lock():
        pass


def test_the_lease_of_a_killed_process_is_taken_over_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = holder(tmp_path / "lease", 60)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match=f"process {first.pid} on"), hold_record(FileRecord(tmp_path / "lease"), "it"):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING), hold_record(FileRecord(tmp_path / "lease"), "the crate"):
        pass
    assert f"lock of the crate was left behind by process {first.pid} on {socket.gethostname()}" in caplog.text
    assert time.monotonic() - began < locks._WATCH_S  # its death is known: nobody watches whether it renews


def test_of_many_that_want_a_stale_lease_one_gets_it(tmp_path: Path) -> None:
    me = this_process()
    write_record(tmp_path / "lease", pid=dead_pid(), space=me["space"], age_s=1)
    said = [process.communicate(timeout=60)[0] for process in [holder(tmp_path / "lease", 3) for _ in range(6)]]
    assert said.count("held\n") == 1
    assert all("another cratedig (process" in words for words in said if words != "held\n")
    assert list(tmp_path.iterdir()) == []


def test_an_old_lease_of_another_machine_is_watched_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.1)
    monkeypatch.setattr(locks, "_WATCH_S", 2)
    lease = tmp_path / "lease"
    write_record(lease, age_s=locks.STALE_S - 5)
    with pytest.raises(BadInput, match="process 1 on another"), hold_record(FileRecord(lease), "it"):
        pass

    # Its clock is an hour behind, but it is alive: it renews.
    write_record(lease, age_s=3600)
    renewal = threading.Timer(0.2, write_record, [lease], {"age_s": 3599})
    renewal.start()
    with pytest.raises(BadInput, match="process 1 on another"), hold_record(FileRecord(lease), "it"):
        pass
    renewal.join()

    with hold_record(FileRecord(lease), "it"):  # nobody renews it any more
        time.sleep(0.3)
        assert json.loads(lease.read_text())["pid"] == os.getpid()
    lease.write_bytes(b'{"pid"')  # half written, and so it stays
    with hold_record(FileRecord(lease), "it"):
        pass


@pytest.mark.parametrize("renew_s", [0.1, 1000.0])
def test_who_stood_still_and_lost_the_lease_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renew_s: float
) -> None:
    """By the next renewal, or at the end where there was none since."""
    monkeypatch.setattr(locks, "RENEW_S", renew_s)
    lost = pytest.raises(RunFailed, match="another one has begun to write into it")
    with lost, hold_record(FileRecord(tmp_path / "lease"), "it"):
        write_record(tmp_path / "lease", age_s=0)
        time.sleep(0.5)
    assert json.loads((tmp_path / "lease").read_text())["host"] == "another"


def test_what_died_while_it_changed_a_lease_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.1)
    (tmp_path / "lease.change").touch()
    record = FileRecord(tmp_path / "lease")
    assert record.create(b"a")
    assert record.replace(b"a", b"b")
    assert not record.replace(b"a", b"c")
    record.remove(b"a")
    assert record.read() == b"b"
    record.remove(b"b")
    assert list(tmp_path.iterdir()) == []


def test_processes_of_another_container_are_not_taken_for_dead(tmp_path: Path) -> None:
    pid = dead_pid()
    me = this_process()
    assert is_gone({**me, "pid": pid})
    assert not is_gone(me)
    assert not is_gone({**me, "pid": pid, "space": "another container"})
    storage = Storage(tmp_path)
    Heartbeat(storage, "clips", 3)({"clips": 1})
    (name,) = storage.list(".progress/clips")
    beat = storage.read_json(f".progress/clips/{name}")
    for space, orphans in ((me["space"], (3,)), ("another container", ())):
        storage.write_json(f".progress/clips/{name}", {**beat, "worker": {**me, "pid": pid, "space": space}})
        assert read_heartbeats(storage, "clips").orphans == orphans


def test_process_numbers_of_their_own_are_another_space() -> None:
    code = "import json, pipeline.process as p; print(json.dumps(p.this_process()))"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("needs unshare(1)")
    if "unshare" in done.stderr:
        pytest.skip(f"may not make process numbers of its own here: {done.stderr.strip()}")
    there = json.loads(done.stdout)
    assert (there["host"], there["pid"]) == (socket.gethostname(), 1)
    assert there["space"] != this_process()["space"]
