"""Runners by name, their options, and what is said where one cannot start; all before any work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from beam_jobs.engine import Engine
from beam_jobs.engines.reach import ignored_options
from beam_jobs.engines.runner_log import last_words
from beam_jobs.engines.runners import RUNNERS, find_runner, job_name, split_options
from cratedig.options import bind_beam_options
from pipeline.errors import BadInput
from tests.beam_jobs.counting_job import CountingJob

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "found"),
    [("flink", "FlinkRunner"), ("FlinkRunner", "FlinkRunner"), ("DASKRUNNER", "DaskRunner"), ("prism", "PrismRunner")],
)
def test_runners_go_by_their_names(given: str, found: str) -> None:
    assert find_runner(given).name == found


@pytest.mark.parametrize(("given", "meant"), [("flnk", "FlinkRunner"), ("SparkRuner", "SparkRunner"), ("slurm", "")])
def test_a_typo_lists_the_runners(given: str, meant: str) -> None:
    with pytest.raises(BadInput) as refused:
        Engine(runner=given)
    said = str(refused.value)
    assert repr(given) in said
    assert all(runner in said for runner in RUNNERS)
    assert "\n" not in said
    assert (f"{meant}, perhaps?" in said) == bool(meant)


def test_another_class_is_a_runner_and_a_missing_one_is_not() -> None:
    module = "apache_beam.runners.portability.fn_api_runner"
    assert find_runner(f"{module}.FnApiRunner").name == f"{module}.FnApiRunner"
    for name in (f"{module}.Nothing", "nowhere.at.all.Runner"):
        with pytest.raises(BadInput, match=r"cannot be loaded .* give the class as package\.module\.Class"):
            find_runner(name)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("--a=1", ["--a=1"]),
        ("--a=1 --b=2", ["--a=1", "--b=2"]),
        ("--a='x y' --b", ["--a=x y", "--b"]),
        ('--environment_config={"command": "/a/boot"}', ['--environment_config={"command": "/a/boot"}']),
        ('--environment_config {"command": "/a/boot"}', ['--environment_config={"command": "/a/boot"}']),
        ("""--environment_config='{"command": "b"}' --c=1""", ['--environment_config={"command": "b"}', "--c=1"]),
        ("", []),
    ],
)
def test_options_come_alone_or_in_company(text: str, options: list[str]) -> None:
    assert split_options(text) == options


def test_an_option_of_beam_is_bound_to_ours() -> None:
    words = [
        "clips",
        "c",
        "--beam-options",
        "--a=1",
        "--beam-opt",
        "--b=2 --c=3",
        "--beam-options=--d=4",
        "--workers",
        "1",
    ]
    bound = ["clips", "c", "--beam-options=--a=1", "--beam-opt=--b=2 --c=3", "--beam-options=--d=4", "--workers", "1"]
    assert bind_beam_options(words) == bound
    assert bind_beam_options(["clips", "--beam-options"]) == ["clips", "--beam-options"]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def rest() -> Iterator[HTTPServer]:
    """Something that answers as a Flink without task managers does."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(self.server.says).encode())  # type: ignore[attr-defined]

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("localhost", 0), Answer)
    server.says = {"slots-total": 0}  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def refusal(runner: str, *options: str) -> str:
    with pytest.raises(BadInput) as refused:
        Engine(runner=runner, beam_options=options, workers=1).check()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_is_missing_is_one_line_with_its_remedy(tmp_path: Path, rest: HTTPServer) -> None:
    port = closed_port()
    jar = tmp_path / "server.jar"
    jar.write_bytes(b"")
    assert refusal("flink", "--flink_job_server_jar=/no/such.jar").endswith(
        "--flink_job_server_jar=/no/such.jar: there is no such file"
    )
    assert "there is no 'no-java'" in refusal(
        "spark", f"--spark_job_server_jar={jar}", "--job_server_java_launcher=no-java"
    )
    assert "--prism_location=/nowhere: there is no such file" in refusal("prism", "--prism_location=/nowhere")
    assert "give --beam-options --job_endpoint=HOST:PORT" in refusal("portable")
    assert "expected HOST:PORT" in refusal("portable", "--job_endpoint=here")
    for runner, option, what in (
        ("portable", f"--job_endpoint=localhost:{port}", "job service"),
        ("flink", f"--flink_master=localhost:{port}", "Flink"),
        ("dask", f"--dask_client_address=tcp://localhost:{port}", "Dask scheduler"),
    ):
        said = refusal(runner, option)
        assert f"no {what} answers at" in said
        assert "Connection refused" in said
        assert option.split("=")[0] in said
    flink = f"--flink_master=localhost:{rest.server_port}"
    assert "has no task manager" in refusal("flink", flink)
    rest.says = {"slots-total": 2}  # type: ignore[attr-defined]
    server = f"--flink_job_server_jar={jar}"
    assert "Beam's own container" in refusal("flink", flink, server)
    assert "no --environment_config is given" in refusal("flink", flink, server, "--environment_type=EXTERNAL")
    rest.says = {"nothing": 1}  # type: ignore[attr-defined]
    assert "invalid int value: 'many'" in refusal("flink", "--parallelism=many")
    with pytest.raises(BadInput, match="for a Beam runner; give --runner NAME"):
        Engine(beam_options=("--parallelism=2",))


def test_a_jar_that_cannot_be_fetched_says_where_it_would_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from apache_beam.utils.subprocess_server import JavaJarServer

    monkeypatch.setattr(JavaJarServer, "JAR_CACHE", str(tmp_path))
    monkeypatch.setattr(JavaJarServer, "MAVEN_CENTRAL_REPOSITORY", f"http://localhost:{closed_port()}")
    monkeypatch.setattr(JavaJarServer, "GOOGLE_MAVEN_MIRROR", f"http://localhost:{closed_port()}")
    said = refusal("flink", "--job_server_java_launcher=true")
    assert "beam-runners-flink" in said
    assert "give --beam-options --flink_job_server_jar=FILE, or --job_endpoint=HOST:PORT" in said


def test_dataflow_wants_its_packages_or_its_options() -> None:
    said = refusal("dataflow")
    assert "pip install -e '.[dataflow]'" in said or "needs --project, --region, --temp_location" in said


def test_a_misspelt_option_is_named() -> None:
    runner = find_runner("spark", ["--enviroment_type=LOOPBACK", "--spark_master_url=local[2]"])
    assert ignored_options(runner) == ["--enviroment_type=LOOPBACK"]


def test_the_command_says_so_before_it_looks_at_the_crate() -> None:
    line = [sys.executable, "-m", "cratedig", "clips", "/no/crate", "--runner", "flnk"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cratedig: --runner 'flnk'; FlinkRunner, perhaps?")
    assert len(done.stderr.splitlines()) == 1


def test_a_job_is_called_by_crate_and_step(tmp_path: Path) -> None:
    name = job_name(CountingJob(root=str(tmp_path / "My Crate")))
    assert name.startswith("cratedig-my-crate-numbers-")
    assert name != job_name(CountingJob(root=str(tmp_path / "elsewhere/My Crate")))
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    ("text", "said", "final"),
    [
        (
            "RuntimeError: Pipeline x failed: Traceback (most recent call last):\n  File a\n"
            "pipeline.errors.BadInput: /crate cannot be seen; mend it\n\n\tat org.apache.beam.Java(x)",
            "/crate cannot be seen; mend it",
            True,
        ),
        ("Traceback\n  File b\nModuleNotFoundError: No module named 'beam_jobs'\n", "has no cratedig", True),
        ("Traceback\n  File b\nValueError: shard 3 is odd\nmore", "ValueError: shard 3 is odd", False),
        ("it just ended", "it just ended", False),
        ("", "no reason given", False),
    ],
)
def test_the_reason_is_found_in_what_runners_make_of_it(text: str, said: str, final: bool) -> None:
    words, no_second_try = last_words(text)
    assert said in words
    assert "\n" not in words
    assert no_second_try == final
