"""Generation against real server processes: faults, kills, resuming; the same answers in the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine, run_job
from beam_jobs.generate import GenerateJob, begin_generation, generation_counts, write_batch
from pipeline.errors import BadInput, CrateMismatch, RunFailed
from pipeline.process import is_alive
from vocab.llm.backend import BackendSettings, Sampling
from vocab.llm.prompts import PromptTemplate
from vocab.llm.songs import Song

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


def songs(count: int, *odd: str) -> list[Song]:
    titles = [f"Song {number}" for number in range(1, count + 1)] + list(odd)
    return [
        Song(row=row, title=title, artist="Nobody", values={"title": title, "artist": "Nobody"})
        for row, title in enumerate(titles, start=1)
    ]


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def _start(*options: str) -> subprocess.Popen[str]:
        script = ROOT / "tests/vocab/llm/fault_server.py"
        command = [sys.executable, str(script), str(port), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        running.append(process)
        return process

    yield _start
    for process in running:
        process.kill()
        process.wait()


def job_in(root: Path, port: int, many: list[Song], **changes: Any) -> GenerateJob:
    settings = {"patience_s": 20.0, "concurrency": 8, "attempts": 4} | changes.pop("settings", {})
    options: dict[str, Any] = {"seed": 0, "songs_per_shard": 8, "licence": "CC0-1.0", "sampling": Sampling(samples=2)}
    return begin_generation(
        root,
        many,
        settings=BackendSettings(kind="server", model="tiny", url=f"http://127.0.0.1:{port}/v1", **settings),
        template=PromptTemplate.load(),
        **(options | changes),
    )


def answers(root: Path) -> dict[tuple[int, int], str]:
    """(song row, sample) -> its answer, or the reason for which there is none."""
    found: dict[tuple[int, int], str] = {}
    for part in sorted((root / "answers").glob("*.parquet")):
        for row in pq.read_table(part).to_pylist():
            key = (row["song_row"], row["sample"])
            assert key not in found
            found[key] = row["text"] or row["finish_reason"]
    return found


def test_passing_faults_are_retried_and_the_rest_is_counted(
    tmp_path: Path, port: int, start: Start, lane: Engine
) -> None:
    start("--faults")
    many = songs(20, "Broken Song", "A Too Long Song")
    job = job_in(tmp_path, port, many)
    run_job(job, lane)
    found = answers(tmp_path)
    assert set(found) == {(row, sample) for row in range(1, 23) for sample in (0, 1)}
    assert all(found[row, sample].startswith(" A slow") for row in range(1, 21) for sample in (0, 1))
    assert found[21, 0] == 'failed: HTTP 500: {"error": "out of memory"}'
    assert found[22, 1] == 'refused: HTTP 400: {"error": "the prompt is longer than the context"}'
    counts = generation_counts(job)
    assert (counts["songs"], counts["answers"], counts["failed"], counts["refused"]) == (22, 40, 2, 2)
    assert (counts["tokens"], counts["sentences"]) == (560, 80)


def test_killed_twice_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, port: int, start: Start, lane: Engine
) -> None:
    """The job dies once and the server once; what is there in the end is what an undisturbed run gives."""
    many = songs(64)
    server = start("--delay", "0.05")
    script = (
        "from pathlib import Path; from tests.beam_jobs.test_generate import job_in, songs; "
        "from beam_jobs.engine import Engine, run_job\n"
        f"if __name__ == '__main__':\n    job = job_in(Path({str(tmp_path / 'a')!r}), {port}, songs(64))\n"
        "    run_job(job, Engine(workers=1))"
    )
    (tmp_path / "go.py").write_text(script)
    first = subprocess.Popen(
        [sys.executable, str(tmp_path / "go.py")], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    _wait_for(lambda: len(list((tmp_path / "a").glob("answers/*.done.json"))) >= 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    job = job_in(tmp_path / "a", port, many)
    left = len(job.todo())
    assert 0 < left <= 6
    server.kill()
    server.wait()
    restarted: list[subprocess.Popen[str]] = []
    began = time.monotonic()

    def restart(ended: bool) -> None:
        if not ended and not restarted and time.monotonic() - began > 6:
            restarted.append(start())

    assert run_job(job, lane, restart) == left
    run_job(job_in(tmp_path / "b", port, many), lane)
    assert answers(tmp_path / "a") == answers(tmp_path / "b")
    assert len(answers(tmp_path / "a")) == 128
    parts = sorted(path.name for path in (tmp_path / "a/answers").glob("*.parquet"))
    assert all((tmp_path / "a/answers" / n).read_bytes() == (tmp_path / "b/answers" / n).read_bytes() for n in parts)


def _wait_for(condition: Callable[[], bool], limit_s: float = 300) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not come to this in time"
        time.sleep(0.02)


def test_another_models_name_ends_the_run(tmp_path: Path, port: int, start: Start, lane: Engine) -> None:
    start("--model", "llama")
    with pytest.raises(RunFailed, match=r"answered with the model 'llama', asked for was 'tiny'; give --model"):
        run_job(job_in(tmp_path, port, songs(4)), lane)
    assert answers(tmp_path) == {}


def test_a_server_that_is_not_there_is_named(tmp_path: Path, port: int, lane: Engine) -> None:
    job = job_in(tmp_path, port, songs(4), settings={"patience_s": 0.5})
    with pytest.raises(RunFailed, match=rf"127.0.0.1:{port}/v1 has not answered for .* start the server and run"):
        run_job(job, lane)


def test_a_server_that_fails_on_everything_ends_the_run(tmp_path: Path, port: int, start: Start, lane: Engine) -> None:
    start()
    job = job_in(tmp_path / "a", port, songs(0, "Broken 1", "Broken 2"), settings={"patience_s": 1.0})
    with pytest.raises(RunFailed, match=r"has not answered for 1 s \(HTTP 500: .*out of memory"):
        run_job(job, lane)
    job = job_in(tmp_path / "b", port, songs(1, "Broken 1", "Broken 2"), settings={"attempts": 1})
    with pytest.raises(RunFailed, match=r"4 of 6 prompts of a shard have no answer \(failed: HTTP 500"):
        run_job(job, lane)
    assert answers(tmp_path / "b")[1, 0].startswith(" A slow"), "what was answered is kept"


@pytest.mark.parametrize("words", ["429 slow down", "500 proxy error", "404 the model tiny is still loading"])
def test_an_outage_of_any_kind_is_waited_for(tmp_path: Path, port: int, start: Start, words: str, lane: Engine) -> None:
    """Longer than all attempts of one prompt take together: every song is answered in the end."""
    down = tmp_path / "down"
    start("--down", str(down), "--delay", "0.02")
    job = job_in(tmp_path / "a", port, songs(40), settings={"attempts": 2, "concurrency": 4})
    seen: list[float] = []

    def outage(ended: bool) -> None:
        done = len(list((tmp_path / "a").glob("answers/*.done.json")))
        if not seen and done >= 1:
            down.write_text(words)
            seen.append(time.monotonic())
        elif len(seen) == 1 and time.monotonic() - seen[0] > 4:
            down.unlink()
            seen.append(time.monotonic())

    run_job(job, lane, outage)
    assert len(seen) == 2, "the outage came and went while the job ran"
    assert all(text.startswith(" A slow") for text in answers(tmp_path / "a").values())
    assert len(answers(tmp_path / "a")) == 80


def test_a_used_up_quota_ends_the_run_at_once(tmp_path: Path, port: int, start: Start, lane: Engine) -> None:
    (tmp_path / "down").write_text("429 insufficient_quota: see billing")
    start("--down", str(tmp_path / "down"))
    with pytest.raises(RunFailed, match=r"HTTP 429: .*insufficient_quota"):
        run_job(job_in(tmp_path / "a", port, songs(2)), lane)


def test_failed_songs_are_asked_again_by_the_same_command(
    tmp_path: Path, port: int, start: Start, lane: Engine
) -> None:
    many = songs(6, "Broken Song", "A Too Long Song")
    server = start()
    run_job(job_in(tmp_path / "a", port, many, settings={"attempts": 1}), lane)
    before = answers(tmp_path / "a")
    assert before[7, 0].startswith("failed: HTTP 500")
    server.kill()
    server.wait()
    start("--mended")
    job = job_in(tmp_path / "a", port, many)
    assert job.todo() == [0]
    run_job(job, lane)
    after = answers(tmp_path / "a")
    assert after[7, 0].startswith(" A slow")
    assert after[8, 0].startswith("refused: HTTP 400"), "for good"
    assert {key: after[key] for key in before if key[0] < 7} == {key: before[key] for key in before if key[0] < 7}
    assert job_in(tmp_path / "a", port, many).todo() == [], "what is refused is not asked again"


def test_chat_and_wrong_addresses(tmp_path: Path, port: int, start: Start, lane: Engine) -> None:
    start()
    run_job(job_in(tmp_path / "chat", port, songs(3), settings={"chat": True}), lane)
    assert len(answers(tmp_path / "chat")) == 6
    from vocab.llm.backend import PromptRequest
    from vocab.llm.backend_server import ServerBackend

    wrong = ServerBackend(BackendSettings(kind="server", model="tiny", url=f"http://127.0.0.1:{port}/api"))
    with pytest.raises(BadInput, match=r"answered HTTP 404: .*check the address"):
        wrong.complete([PromptRequest(id="x", prompt="x", messages=(), seed=0)], Sampling(), lambda _: None)
    with pytest.raises(BadInput, match="is no server's address"):
        ServerBackend(BackendSettings(kind="server", model="tiny", url="localhost:8000"))


def test_messages_and_more_fields_reach_the_server(tmp_path: Path, port: int, start: Start, lane: Engine) -> None:
    start("--log", str(tmp_path / "log"), "--no-system", "--model", "tiny-2026-01-02")
    settings = {
        "chat": True,
        "chat_template_kwargs": {"enable_thinking": False},
        "structured": True,
        "request": {"max_completion_tokens": 9, "max_tokens": None},
        "concurrency": 1,
    }
    sampling = Sampling(top_k=40, min_p=0.1, stop=())
    job = job_in(tmp_path / "run", port, songs(2), settings=settings, sampling=sampling)
    run_job(job, lane)
    assert all(text.startswith(" A slow") for text in answers(tmp_path / "run").values())
    bodies = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [body["messages"][0]["role"] for body in bodies] == ["system", "user", "user"], "asked again, folded"
    roles = [message["role"] for message in bodies[-1]["messages"]]
    assert roles == ["user", "assistant"] * 8 + ["user"]
    assert bodies[-1]["messages"][-1]["content"] == '"Song 2" by Nobody:'
    assert {key: bodies[-1].get(key) for key in ("top_k", "min_p", "max_completion_tokens", "max_tokens", "stop")} == {
        "top_k": 40,
        "min_p": 0.1,
        "max_completion_tokens": 9,
        "max_tokens": None,
        "stop": None,
    }
    assert bodies[-1]["chat_template_kwargs"] == {"enable_thinking": False}
    assert bodies[-1]["response_format"]["json_schema"]["schema"]["required"] == ["captions"]


def test_a_batch_goes_out_and_comes_back_in_pieces(tmp_path: Path, port: int, lane: Engine) -> None:
    many = songs(10)
    job = job_in(tmp_path / "a", port, many)
    assert write_batch(job, tmp_path / "out.jsonl") == 20
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len({line["custom_id"] for line in lines}) == 20
    assert lines[0]["url"] == "/v1/completions"

    def answer(line: dict[str, Any], status: int = 200) -> str:
        body: dict[str, Any] = {"model": "tiny", "choices": [{"text": f"A {line['body']['seed']}.", "index": 0}]}
        body = body if status == 200 else {"error": "too long"}
        return json.dumps({"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}}) + "\n"

    (tmp_path / "one.jsonl").write_text("".join(answer(line) for line in reversed(lines[:7])))
    (tmp_path / "two.jsonl").write_text("".join(answer(line) for line in lines[8:]) + answer(lines[7], 400))
    batch = {"batch_answers": (str(tmp_path / "one.jsonl"),)}
    run_job(job_of_batch(tmp_path / "a", many, batch), lane)
    assert sum(text.startswith("failed: no answer") for text in answers(tmp_path / "a").values()) == 13
    assert write_batch(job_in(tmp_path / "a", port, many), tmp_path / "rest.jsonl") == 14, "songs that lack an answer"
    batch = {"batch_answers": (str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"))}
    run_job(job_of_batch(tmp_path / "a", many, batch), lane)
    found = answers(tmp_path / "a")
    assert found[4, 1].startswith("refused: HTTP 400")
    assert [found[row, 0] for row in range(1, 11)] == [f"A {line['body']['seed']}." for line in lines[::2]]
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    with pytest.raises(RunFailed, match=r"bad\.jsonl, line 1, is no line of a batch's output"):
        run_job(job_of_batch(tmp_path / "c", many, {"batch_answers": (str(tmp_path / "bad.jsonl"),)}), lane)


def job_of_batch(root: Path, many: list[Song], settings: dict[str, Any]) -> GenerateJob:
    return begin_generation(
        root,
        many,
        settings=BackendSettings(kind="batch", model="tiny", **settings),
        template=PromptTemplate.load(),
        seed=0,
        songs_per_shard=8,
        licence="CC0-1.0",
        sampling=Sampling(samples=2),
    )


def test_a_server_of_ones_own_is_started_watched_and_ended(tmp_path: Path) -> None:
    script = ROOT / "tests/vocab/llm/fault_server.py"
    rows = "".join(f"Song {number},Nobody\n" for number in range(1, 41))
    (tmp_path / "songs.csv").write_text("title,artist\n" + rows)
    command = [sys.executable, "-m", "cratedig", "vocab", "generate", str(tmp_path / "songs.csv")]
    command += ["--out", str(tmp_path / "run"), "--model", "tiny", "--songs-per-shard", "4", "--concurrency", "2"]
    command += ["--serve", f"{sys.executable} {script} {{port}} --delay 0.2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    job = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def servers() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                status = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if str(script).encode() in words and int(status[1]) in (job.pid, 1) and status[0] != "Z":
                found.append(int(folder.name))
        return found

    _wait_for(lambda: len(list((tmp_path / "run").glob("answers/*.done.json"))) >= 2)
    (first,) = servers()
    os.kill(first, signal.SIGKILL)
    _wait_for(lambda: bool(servers()) and servers() != [first])
    _wait_for(lambda: len(list((tmp_path / "run").glob("answers/*.done.json"))) >= 5)
    (second,) = servers()
    job.send_signal(signal.SIGKILL)
    job.wait()
    _wait_for(lambda: not is_alive(second))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "40 answers, 80 sentences" in done.stdout
    assert servers() == []
    wrong = [*command[:-1], f"{sys.executable} -c 'raise SystemExit({{port}} and 3)'", "--seed", "1"]
    wrong[wrong.index(str(tmp_path / "run"))] = str(tmp_path / "other")
    failed = subprocess.run(wrong, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 2 or failed.returncode == 1
    assert "the server ended with exit code 3 before it answered" in failed.stderr


def test_another_run_in_the_folder_is_refused(tmp_path: Path, port: int) -> None:
    job_in(tmp_path / "a", port, songs(4))
    with pytest.raises(CrateMismatch, match="has seed 0, asked for is 1"):
        job_in(tmp_path / "a", port, songs(4), seed=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"is not empty .*notes\.txt"):
        job_in(tmp_path / "b", port, songs(4))
