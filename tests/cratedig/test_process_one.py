"""As in a container: the command is process 1 of its own process numbers, is stopped by SIGTERM and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]
GO_ON = "interrupted; what is finished is kept, the same command goes on from there"


@pytest.fixture(scope="module", autouse=True)
def _own_process_numbers() -> None:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs unshare(1)")
    if done.returncode:
        pytest.skip(f"may not make process numbers of its own here: {done.stderr.strip()}")


def start(*args: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*UNSHARE, sys.executable, "-m", "cratedig", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run(*args: object) -> tuple[int, str]:
    process = start(*args)
    out, errors = process.communicate(timeout=500)
    return process.returncode, out + errors


def stop_when(ready: Callable[[list[int]], bool], *args: object) -> tuple[int, str]:
    """Send SIGTERM to process 1, and to it alone as a container's engine does, once `ready` of its children."""
    process = start(*args)
    deadline = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < deadline:
        if (first := children(process.pid)) and ready(children(first[0])):
            os.kill(first[0], signal.SIGTERM)
            sent = time.monotonic()
            out, errors = process.communicate(timeout=120)
            assert time.monotonic() - sent < 60
            return process.returncode, out + errors
        time.sleep(0.02)
    for first in children(process.pid):  # with it ends all that has its process numbers
        os.kill(first, signal.SIGKILL)
    pytest.fail(f"it was over, or not begun, before it could be stopped: {process.communicate()}")


def children(pid: int) -> list[int]:
    try:
        return [int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    except OSError:
        return []


def content_hash(crate: Path) -> str:
    return str(json.loads((crate / "manifest.json").read_text())["content_hash"])


def test_mine_and_label(tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path, finished_crate: Path) -> None:
    crate = tmp_path / "crate"
    labels = [f"--vocab=llm_lf={vocabularies}/long.parquet", f"--vocab=rater_sf={vocabularies}/short.parquet"]
    mine = ["mine", music, "--out", crate, "--embedder", tiny_clap, "--clip-seconds=2", "--clips-per-track=3", *labels]
    mine += ["--device=cpu", "--workers=2", "--max-reject-share=0.3", "--tracks-per-shard=2", "--name=first"]

    code, said = stop_when(lambda _: any(crate.glob("clips/*/*.done.json")), *mine)
    assert code == 143, said
    assert GO_ON in said
    assert not (crate / "labels").exists()
    code, said = run(*mine)
    assert code == 0, said
    assert "shards are done already" in said
    from pipeline.crate.crate import Crate
    from pipeline.crate.manifest import hash_by_markers

    assert content_hash(crate) == hash_by_markers(Crate.open(finished_crate))

    label = ["label", crate, *labels, "--device=cpu", "--workers=2", "--k=9", "--name=second"]
    code, said = stop_when(lambda workers: len(workers) >= 3, *label)  # two, and Python's resource tracker
    assert (code, GO_ON in said) == (143, True), said
    code, said = run(*label)
    assert code == 0, said
    assert run("verify", crate)[0] == 0


def test_vocab_clean(tmp_path: Path) -> None:
    sides = ("slow", "fast", "calm", "dark", "bright", "soft", "loud", "warm", "sad", "happy")
    words = ("piano", "guitar", "organ", "violin", "flute", "drum", "bass", "cello", "harp", "synth")
    lines = [
        f"A {side} song with a {other} {words[i]} and a {sides[i]} {words[9 - i]}, number {number} of many."
        for number in range(40)
        for side in sides
        for other in sides
        for i in range(10)
    ]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    clean = ["vocab", "clean", tmp_path / "lines.txt", "--out", tmp_path / "clean.parquet", "--workers=2"]
    code, said = stop_when(lambda workers: len(workers) >= 3, *clean)
    assert (code, GO_ON in said) == (143, True), said
    assert not (tmp_path / "clean.parquet").exists()
    code, said = run(*clean)
    assert code == 0, said
    assert (tmp_path / "clean.parquet").exists()
