"""A run of 2,000 songs through a real server process, killed twice, against the same run undisturbed.

python -m benchmarks.vocab_generate [--songs 2000] [--server small|transformers] [--scratch FOLDER]

`small` is tests/vocab/llm/fault_server.py, with every first attempt at most prompts failing in one of five ways;
`transformers` is `transformers serve` with a model of a few thousand weights. First the job is killed (SIGKILL) and
started again, then the server is killed and, three seconds later, started again. The answers must be as many as those
of the undisturbed run, none twice; with `small`, whose answers depend on prompt and seed alone, also the same.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pyarrow.parquet as pq

from benchmarks.noise_model import song_list

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
SONGS_PER_SHARD = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=2000)
    parser.add_argument("--server", choices=("small", "transformers"), default="small")
    parser.add_argument("--scratch", help="folder for the runs (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        _run(Path(scratch), args.songs, args.server)


def _run(scratch: Path, songs: int, kind: str) -> None:
    rows = "".join(f"{title},{artist}\n" for title, artist in song_list(songs))
    (scratch / "songs.csv").write_text("title,artist\n" + rows)
    server = _Server(scratch, kind)
    shards = -(-songs // SONGS_PER_SHARD)
    began = time.perf_counter()
    try:
        server.start()
        job = _job(scratch, "disturbed", server)
        _wait_for(lambda: _done(scratch / "disturbed") >= shards // 3, job)
        job.send_signal(signal.SIGKILL)
        job.wait()
        print(f"job killed with {_done(scratch / 'disturbed')} of {shards} shards done", flush=True)
        job = _job(scratch, "disturbed", server)
        _wait_for(lambda: _done(scratch / "disturbed") >= 2 * shards // 3, job)
        server.kill()
        print(f"server killed with {_done(scratch / 'disturbed')} of {shards} shards done", flush=True)
        time.sleep(3)
        server.start()
        assert job.wait() == 0, "the job did not finish by itself"
        print(f"finished by itself, {time.perf_counter() - began:.0f} s in all", flush=True)
        began = time.perf_counter()
        assert _job(scratch, "undisturbed", server).wait() == 0
        print(f"undisturbed run: {time.perf_counter() - began:.0f} s", flush=True)
    finally:
        server.kill()
    disturbed, undisturbed = _answers(scratch / "disturbed"), _answers(scratch / "undisturbed")
    same = sum(disturbed[key] == undisturbed[key] for key in disturbed.keys() & undisturbed.keys())
    print(
        f"{songs} songs: {len(disturbed)} answers after two kills, {len(undisturbed)} undisturbed; "
        f"{same} the same text; none twice, {songs - len(disturbed)} lost"
    )
    assert len(disturbed) == len(undisturbed) == songs


class _Server:
    def __init__(self, scratch: Path, kind: str) -> None:
        self.kind = kind
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self.model = "tiny"
        self._process: subprocess.Popen[bytes] | None = None
        if kind == "transformers":
            from tests.vocab.llm.tiny_lm import write_tiny_lm

            self.model = str(write_tiny_lm(scratch / "lm"))

    def start(self) -> None:
        if self.kind == "small":
            command = [str(ROOT / "tests/vocab/llm/fault_server.py"), str(self._port), "--faults"]
        else:
            command = ["-m", "transformers.cli.transformers", "serve", self.model, "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                httpx.get(self.url.removesuffix("/v1") + "/health")
                return
            except httpx.TransportError:
                time.sleep(0.2)
        raise SystemExit("the server did not come up")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _job(scratch: Path, name: str, server: _Server) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cratedig", "vocab", "generate", str(scratch / "songs.csv")]
    command += ["--out", str(scratch / name), "--server", server.url, "--model", server.model, "--max-tokens", "24"]
    command += ["--songs-per-shard", str(SONGS_PER_SHARD)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def _done(run: Path) -> int:
    return len(list((run / "answers").glob("*.done.json")))


def _answers(run: Path) -> dict[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    for part in sorted((run / "answers").glob("*.parquet")):
        for row in pq.read_table(part, columns=["song_row", "sample", "text", "finish_reason"]).to_pylist():
            key = (row["song_row"], row["sample"])
            assert key not in found, f"{key} is there twice"
            assert not row["finish_reason"].startswith("failed"), row
            found[key] = row["text"]
    return found


def _wait_for(condition: object, job: subprocess.Popen[bytes]) -> None:
    assert callable(condition)
    while not condition():
        assert job.poll() is None, "the job ended too early"
        time.sleep(0.05)


if __name__ == "__main__":
    main()
