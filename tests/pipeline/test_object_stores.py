"""Storage on real object stores: one writer at a time, whoever dies, and what their faults are said to be."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.errors import BadInput, RunFailed
from pipeline.storage import Storage
from tests.stores import STORES, forget_clients, running_store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket."""
    with running_store(request.param, tmp_path_factory.mktemp(request.param)) as client, _environment(client):
        yield "gs://bucket" if request.param == "gcs" else "s3://bucket"


@contextlib.contextmanager
def _environment(client: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in client.items():
            patch.setenv(name, value)
        forget_clients()
        yield
    forget_clients()


def test_a_record_is_written_only_over_what_was_read(store: str) -> None:
    one, other = Storage(f"{store}/records").record("r"), Storage(f"{store}/records").record("r")
    assert one is not None
    assert other is not None
    assert one.read() is None
    assert one.create(b"a")
    assert not other.create(b"b")
    assert not other.replace(b"b", b"c")
    assert other.replace(b"a", b"c")
    assert not one.replace(b"a", b"d")  # by the tag it knows, not by what is there
    assert not one.replace(b"x", b"d")
    one.remove(b"a")
    assert one.read() == b"c"
    one.remove(b"c")
    assert other.read() is None
    assert not one.replace(b"c", b"d")
    assert one.create(b"e")
    one.remove(b"e")


def test_of_many_that_want_a_folder_one_gets_it(store: str) -> None:
    where, held, refused = f"{store}/many", threading.Event(), []
    ends: list[str] = []

    def take() -> None:
        try:
            with Storage(where).lock():
                ends.append("held")
                held.wait(30)
        except BadInput as error:
            ends.append(str(error))
            refused.append(error)
            if len(refused) == 5:
                held.set()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(end == "held" for end in ends) == [False] * 5 + [True]
    assert all(f"another cratedig (process {os.getpid()} on" in end for end in ends if end != "held")
    assert Storage(where).list("") == []


def test_the_lock_of_a_killed_process_is_taken_over(store: str, caplog: pytest.LogCaptureFixture) -> None:
    code = (
        "import sys, time; from pipeline.storage import Storage\n"
        "with Storage(sys.argv[1]).lock(): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, f"{store}/killed"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    storage = Storage(f"{store}/killed")
    with pytest.raises(BadInput, match=f"process {first.pid} on .* is writing into"), storage.lock():
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    with caplog.at_level(logging.WARNING), storage.lock():
        pass
    assert f"was left behind by process {first.pid}" in caplog.text


def test_a_lock_is_renewed_and_its_loss_is_told(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_S", 0.1)
    storage = Storage(f"{store}/renewed")
    record = storage.record(".lock")
    assert record is not None
    with pytest.raises(RunFailed, match="another one has begun to write into"), storage.lock():
        first = record.read()
        end = time.monotonic() + 30
        while (second := record.read()) == first and time.monotonic() < end:
            time.sleep(0.1)
        assert first
        assert second
        assert first != second
        while not record.replace(record.read() or b"", b"{}"):
            pass
        time.sleep(1)
    record.remove(b"{}")
