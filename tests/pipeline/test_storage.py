"""A file is there whole or not at all, and what goes wrong is said in one line."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.storage import Storage


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with storage.write("a/b.bin") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
        assert not storage.exists("a/b.bin")
    assert storage.read_bytes("a/b.bin") == b"onetwo"
    assert (file.sha256, file.size) == (hashlib.sha256(b"onetwo").hexdigest(), 6)
    assert storage.sha256("a/b.bin") == file.sha256


def test_nothing_is_left_of_a_write_that_failed_and_the_old_file_stands(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_bytes("a.bin", b"old")
    with pytest.raises(ValueError, match="half way"), storage.write("a.bin") as file:
        file.write(b"new")
        raise ValueError("half way")
    assert storage.read_bytes("a.bin") == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_sweep_removes_what_killed_writers_left(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / ".tmp-123").write_bytes(b"half")
    (tmp_path / "clips" / "part.parquet").write_bytes(b"whole")
    assert Storage(tmp_path).sweep("clips") == 1
    assert os.listdir(tmp_path / "clips") == ["part.parquet"]


def test_remote_storage_works_alike() -> None:
    storage = Storage("memory://crate")
    storage.write_json("x/y.json", {"b": 1, "a": [2]})
    assert storage.read_json("x/y.json") == {"a": [2], "b": 1}
    assert storage.list("x", ".json") == ["y.json"]
    assert storage.list("nowhere") == []
    assert not storage.is_local
    storage.remove("x")
    assert not storage.exists("x/y.json")


def in_small_file_system(tmp_path: Path, options: str, script: str) -> str:
    """Run `script` with a tmpfs at tmp_path, in a mount namespace so that nothing else sees it."""
    command = f'mount -t tmpfs -o {options} none "{tmp_path}" && exec "{sys.executable}" -c "$0" "{tmp_path}"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"needs a mount namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_one_clear_error_and_harms_nothing(tmp_path: Path) -> None:
    script = """
import sys, numpy, pyarrow, pyarrow.parquet
from pipeline.errors import RunFailed
from pipeline.storage import Storage
storage = Storage(sys.argv[1])
storage.write_bytes("first.bin", b"x" * 100_000)
table = pyarrow.table({"x": numpy.random.default_rng(0).random(500_000)})
for attempt in ("bytes", "parquet"):
    try:
        with storage.write("second.bin") as file:
            file.write(b"x" * 4_000_000) if attempt == "bytes" else pyarrow.parquet.write_table(table, file)
    except RunFailed as error:
        print(error, storage.list(""))
"""
    lines = in_small_file_system(tmp_path, "size=1m", script).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(f"no space left for {tmp_path}/second.bin; what is finished is safe: free some space")
        assert line.endswith("['first.bin']")


def test_a_read_only_disk_is_one_clear_error(tmp_path: Path) -> None:
    script = """
import sys
from pipeline.errors import BadInput
from pipeline.storage import Storage
try:
    Storage(sys.argv[1] + "/crate").write_bytes("first.bin", b"x")
except BadInput as error:
    print(error)
"""
    said = in_small_file_system(tmp_path, "ro", script)
    assert "cannot be written (Read-only file system); give an output folder that you may write to" in said


def test_an_error_of_the_caller_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), Storage(tmp_path).write("a.bin"):
        raise BrokenPipeError("of something else")
    assert os.listdir(tmp_path) == []


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="a part of that path is a file"):
        Storage(tmp_path / "file" / "crate").write_bytes("a.bin", b"x")


def refusal(root: Path) -> str:
    """What another thread is told that wants to write into `root`; empty where it may."""
    said: list[str] = []

    def take() -> None:
        try:
            with Storage(root).lock():
                said.append("")
        except BadInput as error:
            said.append(str(error))

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return said[0]


def test_one_writer_at_a_time_who_may_ask_twice(tmp_path: Path) -> None:
    root = tmp_path / "crate"
    with Storage(root).lock():
        with Storage(root).lock():
            assert f"another cratedig is writing into {root}; wait for it" in refusal(root)
        assert refusal(root)
    assert refusal(root) == ""


def test_damaged_json_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "crate.json").write_text("{")
    with pytest.raises(BadInput, match=r"crate.json is not valid JSON .*; it was damaged after it was written"):
        Storage(tmp_path).read_json("crate.json")


def test_a_disk_without_inodes_is_one_clear_error_and_harms_nothing(tmp_path: Path) -> None:
    script = """
import sys
from pipeline.errors import RunFailed
from pipeline.storage import Storage
storage = Storage(sys.argv[1])
try:
    for number in range(100):
        storage.write_bytes(f"{number:03d}.bin", b"x")
except RunFailed as error:
    print(error)
print(all(storage.read_bytes(name) == b"x" for name in storage.list("")), len(storage.list("")) > 5)
"""
    said, stands = in_small_file_system(tmp_path, "size=1m,nr_inodes=20", script).splitlines()
    assert said.startswith(f"no space left for {tmp_path}/")
    assert stands == "True True"


def test_what_cannot_be_removed_is_one_clear_error(tmp_path: Path) -> None:
    script = """
import subprocess, sys
from pipeline.errors import BadInput
from pipeline.storage import Storage
storage = Storage(sys.argv[1])
storage.write_bytes("a/first.bin", b"x")
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
for act in (lambda: storage.remove("a"), lambda: storage.rename("a/first.bin", "b.bin")):
    try:
        act()
    except BadInput as error:
        print(error)
print(storage.list("a"))
"""
    *said, stands = in_small_file_system(tmp_path, "size=1m", script).splitlines()
    assert len(said) == 2
    assert all("cannot be written (Read-only file system)" in line for line in said)
    assert stands == "['first.bin']"


def test_an_object_is_read_in_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a small one by the first; of a large one the end by the first, then a megabyte at least; the bytes are
    those that lie there, however they are asked for."""
    monkeypatch.setattr("pipeline.storage._TAIL", 1000)
    monkeypatch.setattr("pipeline.remote._AT_LEAST", 500)
    storage, dice = Storage("memory://few-requests"), random.Random(0)
    data = dice.randbytes(5000)
    storage.write_bytes("large", data)
    storage.write_bytes("small", data[:900])
    asked: list[tuple[int | None, int | None]] = []
    cat_file = storage.fs.cat_file

    def counting(path: str, start: int | None = None, end: int | None = None) -> bytes:
        asked.append((start, end))
        return bytes(cat_file(path, start=start, end=end))

    monkeypatch.setattr(storage.fs, "cat_file", counting, raising=False)
    with storage.open("small") as file:
        assert file.read() == data[:900]
    assert asked == [(-1000, None)]
    with storage.open("large") as file:
        asked.clear()
        file.seek(4)
        assert file.read(100) + file.read(300) + file.read(96) == data[4:500]
        assert asked == [(4, 504)]
        file.seek(4100)
        assert file.read() == data[4100:]
        assert len(asked) == 1
        for _ in range(200):
            start, length = dice.randrange(5100), dice.randrange(1500)
            file.seek(start)
            assert file.read(length) == data[start : start + length]
        file.seek(-4999, os.SEEK_END)
        assert file.read() == data[1:]


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 4321])
def test_a_whole_object_is_fetched_once_and_a_block_of_it_is_in_memory(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.remote._BLOCK", 1000)
    storage, data = Storage("memory://whole"), random.Random(size).randbytes(size)
    storage.write_bytes("object", data)
    asked: list[tuple[int | None, int | None]] = []
    cat_file = storage.fs.cat_file

    def as_s3(path: str, start: int | None = None, end: int | None = None) -> bytes:
        asked.append((start, end))
        if start is not None and start >= len(cat_file(path)):
            raise OSError(22, "The requested range is not satisfiable")
        return bytes(cat_file(path, start=start, end=end))

    monkeypatch.setattr(storage.fs, "cat_file", as_s3, raising=False)
    blocks = [(start, start + 1000) for start in range(0, size + 1, 1000)]
    assert (storage.read_bytes("object"), asked) == (data, blocks)
    asked.clear()
    with storage.open_whole("object") as file:
        assert isinstance(file, io.BytesIO) == (size < 1000)
        assert file.read() == data
        file.seek(size // 2)
        assert file.read() == data[size // 2 :]
    assert asked == blocks
    assert storage.sha256("object") == hashlib.sha256(data).hexdigest()
    with pytest.raises(FileNotFoundError):
        storage.open_whole("none")


def test_what_a_store_says_in_the_middle_of_an_object_is_not_said_of_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.remote._BLOCK", 1000)
    storage = Storage("memory://breaks")
    storage.write_bytes("object", b"x" * 2500)
    cat_file = storage.fs.cat_file

    def breaks(path: str, start: int = 0, end: int | None = None) -> bytes:
        if start:
            raise OSError(5, "503 Slow Down")
        return bytes(cat_file(path, start=start, end=end))

    monkeypatch.setattr(storage.fs, "cat_file", breaks, raising=False)
    with pytest.raises(OSError, match="503 Slow Down"):
        storage.open_whole("object")


def test_a_full_temporary_folder_is_named(tmp_path: Path) -> None:
    script = """
import sys, tempfile
import pipeline.remote
from pipeline.errors import RunFailed
from pipeline.storage import Storage
pipeline.remote._BLOCK = 50_000
tempfile.tempdir = sys.argv[1]
storage = Storage("memory://full")
with storage.fs.open(storage.path("object"), "wb") as file:
    file.write(b"x" * 200_000)
try:
    storage.open_whole("object")
except RunFailed as error:
    print(error)
"""
    (said,) = in_small_file_system(tmp_path, "size=100k", script).splitlines()
    assert said.startswith(f"no space left for {tmp_path}; what is finished is safe")
