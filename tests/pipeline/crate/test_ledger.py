"""Markers in bulk: a ledger spares reading them, never hides what has changed, and holds them where files are dear."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.crate import ledger
from pipeline.crate.ledger import LEDGER, Ledger, fold, forget, ledger_holds, markers_to, read_markers
from pipeline.crate.shards import (
    is_done,
    marker_name,
    own_file,
    part_name,
    read_all,
    read_marker,
    undone,
    write_marker,
)
from pipeline.records import ShardReport
from pipeline.storage import Storage

COUNT = 5
FOLDER = "clips/pour-00000"
PLACES = [(FOLDER, index, COUNT) for index in range(COUNT)]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(tmp_path / "crate" if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def finish(storage: Storage, index: int, content: bytes = b"content", run_hash: str = "run") -> None:
    name = part_name(FOLDER, index, COUNT)
    with storage.write(name) as file:
        file.write(content)
    report = ShardReport(shard=index, rows=index, seconds=0.1, counts={"clips": index})
    write_marker(storage, FOLDER, index, COUNT, report, run_hash=run_hash, files={name: file})


def todo(storage: Storage) -> list[int]:
    return undone(storage, PLACES, lambda shard: "run")


def test_what_is_folded_is_finished(storage: Storage) -> None:
    for index in (0, 1, 3):
        finish(storage, index)
    assert todo(storage) == [2, 4]
    fold(storage, FOLDER)
    assert todo(storage) == [2, 4]
    assert [marker and marker["rows"] for marker in read_all(storage, PLACES)] == [0, 1, None, 3, None]
    assert read_marker(storage, *PLACES[3])["counts"] == {"clips": 3}  # type: ignore[index]
    assert is_done(storage, *PLACES[3], "run")
    assert not is_done(storage, *PLACES[3], "another run")
    own = [name for name in storage.listed(FOLDER) if name.endswith(".done.json")]
    assert len(own) == (3 if storage.is_local else 0)
    finish(storage, 2)  # beside the ledger
    fold(storage, FOLDER)
    assert todo(storage) == [4]


def test_a_ledger_does_not_hide_a_file_that_is_gone_or_cut(storage: Storage) -> None:
    for index in range(COUNT):
        finish(storage, index)
    fold(storage, FOLDER)
    storage.remove(part_name(*PLACES[1]))
    storage.write_bytes(part_name(*PLACES[2]), b"cont")
    assert todo(storage) == [1, 2]


def test_a_marker_that_is_forgotten_or_made_anew_counts(storage: Storage) -> None:
    for index in range(COUNT):
        finish(storage, index)
    fold(storage, FOLDER)
    forget(storage, [marker_name(*PLACES[0]), marker_name(*PLACES[4])])
    assert todo(storage) == [0, 4]
    finish(storage, 0, run_hash="another run")
    finish(storage, 4, content=b"longer content")
    assert todo(storage) == [0]
    fold(storage, FOLDER)
    assert todo(storage) == [0]
    forget(storage, [marker_name(*place) for place in PLACES])
    assert todo(storage) == list(range(COUNT))


def test_of_a_damaged_ledger_nothing_is_believed(storage: Storage) -> None:
    for index in range(COUNT):
        finish(storage, index)
    fold(storage, FOLDER)
    assert ledger_holds(storage, FOLDER)
    whole = storage.read_bytes(f"{FOLDER}/{LEDGER}")
    for damaged in (b"", whole[:-1], whole[:40] + b"x" + whole[41:]):
        storage.write_bytes(f"{FOLDER}/{LEDGER}", damaged)
        assert not ledger_holds(storage, FOLDER)
        assert todo(storage) == ([] if storage.is_local else list(range(COUNT)))


def test_a_local_marker_that_changed_since_is_read_again(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for index in range(COUNT):
        finish(storage, index)
    fold(storage, FOLDER)
    emptied, cut, same_length = (tmp_path / marker_name(*PLACES[index]) for index in (0, 1, 2))
    emptied.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:-5])
    flipped = bytearray(same_length.read_bytes())
    flipped[20] ^= 1
    same_length.write_bytes(flipped)
    os.utime(same_length, ns=(0, time.time_ns() + 1))
    assert todo(storage) == [0, 1, 2]
    # The proof takes nothing from a copy: also a flip that the file's time does not show.
    before = (tmp_path / marker_name(*PLACES[3])).stat()
    (tmp_path / marker_name(*PLACES[3])).write_bytes(bytes(flipped)[: before.st_size].ljust(before.st_size))
    os.utime(tmp_path / marker_name(*PLACES[3]), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_markers(storage, FOLDER, copies=False)[0].keys() == {Path(marker_name(*PLACES[4])).name}


def test_a_crate_copied_from_a_store_to_a_disk_and_back_is_finished(tmp_path: Path) -> None:
    store = Storage(f"memory://{uuid.uuid4().hex}")
    for index in range(COUNT):
        finish(store, index)
    fold(store, FOLDER)
    store.fs.get(store.root, str(tmp_path / "copy"), recursive=True)
    local = Storage(tmp_path / "copy")
    assert todo(local) == []
    finish(local, 1, content=b"again")
    assert todo(local) == []
    fold(local, FOLDER)
    forget(local, [marker_name(*PLACES[2])])
    assert todo(local) == [2]
    assert own_file(local, *PLACES[3]) == marker_name(*PLACES[3])
    assert local.exists(marker_name(*PLACES[3]))
    back = Storage(f"memory://{uuid.uuid4().hex}")
    back.fs.put(str(tmp_path / "copy"), back.root, recursive=True)
    shutil.rmtree(tmp_path / "copy")
    assert todo(back) == [2]
    fold(back, FOLDER)
    assert todo(back) == [2]


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Markers are told, as in a worker with a line to its driver."""
    heard: list[str] = []
    yield heard
    ledger._send = None


def test_a_worker_with_a_line_tells_its_driver_and_writes_nothing(
    storage: Storage, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Ledger(storage, "clips")

    def send(name: str, marker: dict[str, object]) -> None:
        told.append(name)
        driver.add(name, marker)

    markers_to(send)
    finish(storage, 0)
    finish(storage, 2)
    driver.flush()  # not yet: ten seconds have not passed
    if storage.is_local:
        assert told == []
        assert todo(storage) == [1, 3, 4]
        return
    assert told == [marker_name(*PLACES[0]), marker_name(*PLACES[2])]
    assert todo(storage) == list(range(COUNT))
    driver.flush(now=True)
    assert todo(storage) == [1, 3, 4]
    finish(storage, 1)
    driver.flush(now=True)
    assert todo(storage) == [3, 4]


def test_a_look_at_a_folder_is_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(f"memory://{uuid.uuid4().hex}")
    for index in range(COUNT):
        finish(storage, index)
    fold(storage, FOLDER)
    calls: list[str] = []
    memory = fsspec.get_filesystem_class("memory")
    for name in ("ls", "cat_file", "open", "info", "exists", "size", "rm", "pipe_file"):
        plain: Callable[..., object] = getattr(memory, name)

        def counting(self: object, *given: object, _name: str = name, _plain=plain, **named: object) -> object:  # type: ignore[no-untyped-def]
            calls.append(_name)
            return _plain(self, *given, **named)

        monkeypatch.setattr(memory, name, counting)
    assert todo(storage) == []
    asked = [name for name in calls if name in ("ls", "cat_file")]
    assert asked == ["ls", "cat_file"]
    assert not {"exists", "size"} & set(calls)
