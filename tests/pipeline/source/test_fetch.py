"""Where a track's bytes come from, and what is said when they do not."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import DecodeFailure
from pipeline.source.fetch import fetched


def reason(path: str) -> tuple[str, str, str]:
    with pytest.raises(DecodeFailure) as caught, fetched(path):
        pass
    return caught.value.stage, caught.value.reason, caught.value.detail


def test_a_local_file_is_read_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"abc" * 1_000_000)
    with fetched(str(file)) as (path, sha256, size):
        assert (path, size) == (str(file), 3_000_000)
        assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    with fetched(f"file://{file}") as (path, _, _):
        assert path == str(file)


def test_a_remote_file_lies_in_a_temporary_one_while_it_is_used() -> None:
    data = os.urandom(2_500_000)
    with fsspec.open("memory://music/a.wav", "wb") as file:
        file.write(data)
    with fetched("memory://music/a.wav") as (path, sha256, size):
        assert Path(path).read_bytes() == data
        assert (sha256, size) == (hashlib.sha256(data).hexdigest(), 2_500_000)
    assert not Path(path).exists()


def test_missing_empty_and_unreadable_files_have_their_reason(tmp_path: Path) -> None:
    assert reason(str(tmp_path / "none.wav")) == ("read", "missing", "no such file")
    assert reason("memory://music/none.wav") == ("read", "missing", "no such file")
    (tmp_path / "empty.wav").touch()
    assert reason(str(tmp_path / "empty.wav")) == ("read", "empty", "0 bytes")
    assert reason(str(tmp_path)) == ("read", "unreadable", "not a regular file")
    assert reason(str(tmp_path / ("x" * 300)))[:2] == ("read", "unreadable")


def test_a_detail_can_be_written_to_any_file() -> None:
    failure = DecodeFailure("unreadable", "caf\udce9.wav " + "x" * 1000, stage="read")
    assert failure.detail.startswith("caf\\udce9.wav xxx")
    assert len(failure.detail) == 500
    again = pickle.loads(pickle.dumps(failure))
    assert (again.reason, again.detail, again.stage) == ("unreadable", failure.detail, "read")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert reason(str(tmp_path / "pipe.wav")) == ("read", "unreadable", "not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "a.wav").chmod(0)
    assert reason(str(tmp_path / "a.wav")) == ("read", "unreadable", "Permission denied")
