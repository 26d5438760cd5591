"""Exit codes that can be trusted: every command of the command line that ends quickly, many times on a small crate.

    python -m benchmarks.faults exits [--count 50] [--only verify]

A process that has done its work may still abort while its interpreter ends, once in so many times; a script then takes
a sound crate for a broken one. Each command runs in a process of its own; one that hangs counts as another exit code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.crates import write_captions, write_music
from tests.tiny_clap import make_tiny_clap

__all__ = ["exits"]

_LIMIT_S = 300.0


@dataclass(frozen=True)
class Command:
    """What is typed, and the exit code that it must have."""

    arguments: tuple[str, ...]
    code: int = 0

    def run(self, folder: Path) -> str:
        command = [sys.executable, "-m", "cratedig", *self.arguments]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            return f"hung for {_LIMIT_S:.0f} s"
        if done.returncode == self.code:
            return "as expected"
        return f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}"


def _commands() -> list[Command]:
    labels = ("--vocab=llm_lf=long.parquet", "--vocab=rater_sf=short.parquet")
    mine = ("mine", "music", "--out", "crate", "--embedder=clap", "--clip-seconds=2", "--max-reject-share=0.3")
    typed = {
        0: (
            ("--version",),
            ("--help",),
            (*mine, "--workers=1", "--device=cpu", "--no-report", *labels),  # all of it is done
            (*mine, "--dry-run"),
            ("plan", "music", "--out", "crate", "--embedder=clap", "--clip-seconds=2"),
            ("plan", "music", "--dry-run"),
            ("clips", "crate", "--device=cpu", "--max-reject-share=0.3"),
            ("label", "crate", "--device=cpu", *labels),
            ("verify", "crate"),
            ("report", "crate", "--clips=2", *labels),
            ("vocab", "import", "lines.txt", "--out", "imported.parquet"),
            ("vocab", "grammar", "--count=100", "--out", "grammar.parquet"),
            ("vocab", "clean", "lines.txt", "--out", "clean.parquet", "--workers=1"),
            ("vocab", "merge", "long.parquet", "other.parquet", "--out", "merged.parquet"),
            ("vocab", "embed", "embedded.parquet", "--embedder=clap", "--device=cpu"),  # done too
            ("vocab", "stats", "long.parquet"),
            ("embedder", "info", "clap", "--device=cpu"),
            ("models", "--run=tiny"),
            ("train", "--help"),
            ("generate", "--help"),
            ("dedup", "crate"),
            ("split", "crate", "--by=artist", "--max-group=1", "--anew"),
            ("card", "crate", "--contact=removals@example.org", "--published=2026-11-26"),
            ("slurm", "crate", "--dry-run"),
            ("export", "hf", "crate", "--out", "exported"),  # done too, but for the first time
            ("evaluate", "sets", "crate", "crate", "--encoder=clap", "--device=cpu", "--workers=1", "--small"),
        ),
        1: (("verify", "damaged"),),
        2: (
            (),
            ("verify", "nowhere"),
            ("mine", "nowhere", "--out", "other"),
            ("label", "music"),
            ("takedown", "crate", "--path=nothing.wav", "--dry-run"),
            ("vocab", "stats", "no"),
        ),
    }
    return [Command(arguments, code) for code, several in typed.items() for arguments in several]


def exits(count: int, only: str = "") -> int:
    """0 where every exit code was the expected one."""
    with tempfile.TemporaryDirectory(prefix="cratedig-exits-") as temporary:
        folder = Path(temporary)
        _prepare(folder)
        unexpected = 0
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for command in _commands():
                name = " ".join(command.arguments)
                if only not in name:
                    continue
                began = time.monotonic()
                # One at a time, but for what only reads: the others would meet each other's lock.
                writes = command.arguments[:1] not in ((), ("--version",), ("--help",), ("verify",), ("models",))
                one_by_one = (command.run(folder) for _ in range(count))
                ends = Counter(one_by_one if writes else pool.map(lambda _, c=command: c.run(folder), range(count)))
                others = count - ends.pop("as expected", 0)
                unexpected += others
                said = "".join(f"; {n} x {end}" for end, n in ends.items())
                took = time.monotonic() - began
                print(f"{others} of {count} other than {command.code}, {took:.0f} s: cratedig {name}{said}", flush=True)
    print(f"exit codes other than expected: {unexpected}")
    return int(unexpected > 0)


def _prepare(folder: Path) -> None:
    make_tiny_clap(folder / "clap", window_s=1)
    write_music(folder / "music")
    for name, captions in (("long", 40), ("other", 60), ("embedded", 40)):
        write_captions(folder / f"{name}.parquet", "long", captions)
    write_captions(folder / "short.parquet", "short")
    (folder / "lines.txt").write_text("".join(f"A slow piano piece with soft drums, number {n}.\n" for n in range(99)))
    for command in _commands():
        if (command.arguments[0:1] == ("mine",) and "--no-report" in command.arguments) or "embed" in command.arguments:
            end = command.run(folder)
            if end != "as expected":
                sys.exit(f"the crate for this cannot be made: {end}")
    shutil.copytree(folder / "crate", folder / "damaged")
    part = next((folder / "damaged" / "clips").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
