"""Tracks from servers on good and bad days, and file systems whose driver is not there."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from beam_jobs.clips import ClipsJob
from beam_jobs.engine import Engine
from cratedig.mining.clips import do_clips
from cratedig.view import JobView
from pipeline.crate.crate import Crate
from pipeline.crate.verify import verify_crate
from pipeline.errors import BadInput, DecodeFailure, Outage, RunFailed
from pipeline.remote import file_system
from pipeline.source import fetch
from pipeline.source.fetch import fetched
from pipeline.source.listing import list_input
from pipeline.source.trouble import find_trouble
from tests.audio_files import chord, write_audio
from tests.crates import plan_crate
from tests.pipeline.source.flaky_server import FlakyServer

DATA = os.urandom(300_000)


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer(DATA).running() as server:
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAITS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(fetch, "_in_a_row", 0)


def failure(url: str) -> tuple[str, str, str]:
    with pytest.raises(DecodeFailure) as caught, fetched(url):
        pass
    status = caught.value.__cause__
    assert not isinstance(status, httpx.HTTPStatusError) or str(status.response.status_code) in caught.value.detail
    return caught.value.stage, caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    "path",
    "fine/a.mp3 fine/per%2525.mp3 fine/hash%23.mp3 fine/sp%20ace.mp3 fine/ä.mp3 moved/x.mp3 gzip/x.mp3 chunked/x.mp3 "
    "after/2/503 after/3/429 after/1/408 after/2/500 after/2/520 reset/2 short/3".split(),
)
def test_what_may_pass_is_waited_for(server: FlakyServer, path: str) -> None:
    with fetched(f"{server.url}/{path}") as (local, sha256, size):
        assert Path(local).read_bytes() == DATA
        assert (sha256, size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert not Path(local).exists()


@pytest.mark.parametrize(
    ("path", "reason", "detail", "tries"),
    [
        ("status/404", "missing", "HTTP 404 Not Found", 1),
        ("status/410", "missing", "HTTP 410 Gone", 1),
        ("status/403", "forbidden", "HTTP 403 Forbidden", 1),
        ("status/401", "forbidden", "HTTP 401 Unauthorized", 1),
        ("status/418", "unreadable", "HTTP 418 I'm a Teapot", 1),
        ("status/501", "unreadable", "HTTP 501 Not Implemented", 1),
        ("status/429", "outage", "HTTP 429 Too Many Requests, 4 tries long", 4),
        ("status/503", "outage", "HTTP 503 Service Unavailable, 4 tries long", 4),
        ("reset/9", "outage", "", 4),
        ("short/9", "outage", "RemoteProtocolError: peer closed connection without sending complete message body", 4),
    ],
)
def test_statuses_are_told_apart(server: FlakyServer, path: str, reason: str, detail: str, tries: int) -> None:
    found = failure(f"{server.url}/{path}")
    assert found[:2] == ("read", reason)
    assert found[2].startswith(detail)
    assert server.hits[f"/{path}"] == tries


def test_nobody_listening_is_an_outage() -> None:
    assert failure("http://127.0.0.1:9/x.mp3")[1] == "outage"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_is_given_the_time_that_it_asks_for(server: FlakyServer, form: str) -> None:
    server.retry_after = form
    with fetched(f"{server.url}/after/1/429"):
        pass
    first, second = server.times["/after/1/429"]
    assert 0.9 < second - first < 5


def test_one_outage_after_the_other_ends_the_run(server: FlakyServer) -> None:
    for _ in range(4):
        assert failure(f"{server.url}/status/503")[1] == "outage"
    with pytest.raises(Outage, match=r"/status/503: HTTP 503 Service .*, 4 tries long, and the same with the 4"):
        failure(f"{server.url}/status/503?key=secret")
    with fetched(f"{server.url}/fine/a.mp3"):
        pass
    assert failure(f"{server.url}/status/503")[1] == "outage"


def test_an_outage_leaves_tracks_for_the_next_run(tmp_path: Path, tiny_clap: Path) -> None:
    write_audio(tmp_path / "a.flac", chord(5.0, 44_100), 44_100, "flac")
    with FlakyServer((tmp_path / "a.flac").read_bytes()).running() as server:
        paths = [f"fine/{n}.flac" for n in range(6)] + ["status/503", "status/500", "status/404"]
        (tmp_path / "list.txt").write_text("".join(f"{server.url}/{path}\n" for path in paths))
        crate = plan_crate(tmp_path / "list.txt", tmp_path / "crate", tiny_clap)

        def clips() -> dict[str, int]:
            return dict(do_clips(Crate.open(tmp_path / "crate"), str(tiny_clap), "cpu", Here(), JobView(), 0.9))

        with pytest.raises(Outage, match=r"2 of 9 tracks could not be fetched: .*HTTP 503 .* same command again"):
            clips()
        assert verify_crate(crate).reasons["track:outage"] == 2
        server.healthy = True
        counts = clips()
        assert (counts["tracks"], counts["tracks_rejected"], counts["track:missing"]) == (9, 1, 1)
        assert "track:outage" not in counts
        proof = verify_crate(crate)
        assert proof.holds
        assert proof.written == 8


class Here(Engine):
    """Runs jobs in this process, where the waits of these tests are short."""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from beam_jobs import engine

    def run(job: ClipsJob, todo: list[int], *_: object, **__: object) -> None:
        worker = job.open()
        for shard in todo:
            worker.run(shard)
        worker.close()

    monkeypatch.setattr(engine, "run_lanes", run)


@pytest.mark.parametrize(
    ("scheme", "package", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("https", "aiohttp", "http")]
)
def test_a_missing_driver_is_one_line_with_what_to_install(
    tmp_path: Path, scheme: str, package: str, extra: str
) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(BadInput, match=rf"{scheme}:// needs a driver .*; install it: pip install -e '\.\[{extra}\]'"):
        list_input(f"{scheme}://bucket/music")
    (tmp_path / "list.txt").write_text(f"{scheme}://bucket/a.mp3\n")
    if scheme == "https":  # single tracks come by httpx
        assert len(list_input(str(tmp_path / "list.txt")).tracks) == 1
    else:
        with pytest.raises(BadInput, match=rf"install -e '\.\[{extra}\]'"):
            list_input(str(tmp_path / "list.txt"))


def test_an_unknown_scheme_is_one_line_or_one_row(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing here reads nosuch://; expected a local path, or a URL such as s3://"):
        list_input("nosuch://x/y")
    (tmp_path / "list.txt").write_text("nosuch://x/y.mp3\na.mp3\n")
    listing = list_input(str(tmp_path / "list.txt"))
    assert [(r.key, r.reason) for r in listing.rejects] == [("row 1", "unknown-scheme")]


def test_two_colons_do_not_make_a_url(tmp_path: Path) -> None:
    assert file_system(f"{tmp_path}/a::b")[1] == f"{tmp_path}/a::b"
    (tmp_path / "a::b.wav").write_bytes(b"x")
    with fetched(str(tmp_path / "a::b.wav")) as (path, _, size):
        assert (path, size) == (str(tmp_path / "a::b.wav"), 1)


class _Boto(Exception):
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}


def test_errors_of_object_stores_are_understood() -> None:
    def caused(error: Exception, by: Exception) -> Exception:
        error.__cause__ = by
        return error

    slow = find_trouble(caused(OSError(errno.EBUSY, "slow down"), _Boto(503, {"Retry-After": "7"})))
    assert (slow.reason, slow.detail, slow.wait_s) == ("outage", "HTTP 503 Service Unavailable", 7.0)
    denied = find_trouble(caused(PermissionError("Access Denied"), _Boto(403, {})))
    assert (denied.reason, denied.detail) == ("forbidden", "HTTP 403 Forbidden")
    assert find_trouble(type("EndpointConnectionError", (Exception,), {})("x")).reason == "outage"
    assert find_trouble(ConnectionResetError(errno.ECONNRESET, "")).reason == "outage"
    assert find_trouble(OSError(errno.EISDIR, "")).reason == "unreadable"
    assert find_trouble(_Boto(503, {"retry-after": "9999"})).wait_s == 120.0


def test_a_full_temporary_folder_is_named(server: FlakyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        name = "/full/cratedig-x.audio"

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...
        def seek(self, _: int) -> None: ...
        def truncate(self) -> None: ...
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch.tempfile, "NamedTemporaryFile", lambda **_: Full())
    with (
        pytest.raises(RunFailed, match=r"no space left in /full \(TMPDIR\), where a remote track lies"),
        fetched(f"{server.url}/fine/a.mp3"),
    ):
        pass
