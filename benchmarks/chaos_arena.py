"""Where chaos happens: a calm crate, the command that makes it, and what a failure may say."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import content_hash

__all__ = ["LIMIT_S", "Arena", "Skipped", "prepare", "require"]

LIMIT_S = 900


class Skipped(Exception):
    """This machine cannot have that fault."""


@dataclass(kw_only=True)
class Arena:
    """A calm crate and what it took."""

    root: Path
    dice: random.Random
    calm_s: float = 0.0
    expected: str = ""
    said: list[str] = field(default_factory=list)
    """Last words of failed commands, for people."""

    @property
    def calm(self) -> Path:
        return self.root / "calm"

    def fresh(self) -> Path:
        """A place for a crate."""
        out = self.root / "crate"
        shutil.rmtree(out, ignore_errors=True)
        return out

    def command(self, out: Path | str) -> list[str]:
        given = [f"--vocab=llm_lf={self.root}/long.parquet", f"--vocab=rater_sf={self.root}/short.parquet"]
        given += ["--embedder", str(self.root / "tiny"), "--config", str(self.root / "clips.json"), "--workers=2"]
        given += ["--tracks-per-shard=1", "--max-reject-share=1", "--device=cpu", "--name=run", "--no-report"]
        return [sys.executable, "-m", "cratedig", "mine", str(self.root / "music"), "--out", str(out), *given]

    def run(self, out: Path | str, *, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """The command to its end. before: shell that comes first, in a mount namespace of its own."""
        line = self.command(out)
        if before:
            line = ["unshare", "--mount", "sh", "-c", f'{before}; exec "$0" "$@"', *line]
        return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, env=os.environ | variables)

    def begin(self, out: Path | str, *options: str) -> subprocess.Popen[str]:
        line = [*self.command(out), *options]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def moment(self) -> None:
        """Somewhere in the middle of a run."""
        time.sleep(self.dice.uniform(0.1, 0.9) * self.calm_s)

    def ends_well(self, out: Path) -> None:
        """The same command again, then the hash and the proof."""
        done = self.run(out)
        require(done.returncode == 0, f"typed again: exit code {done.returncode}: {done.stderr[-300:]}")
        require(content_hash(out) == self.expected, f"hash {content_hash(out)}")

    def one_line(self, code: int, stderr: str, *words: str) -> None:
        """A failure that is said in one line."""
        require(code in (1, 2), f"exit code {code}: {stderr[-300:]}")
        require("Traceback" not in stderr, f"a traceback: {stderr[-600:]}")
        last = stderr.strip().splitlines()[-1]
        require(any(word in last for word in words), f"last words: {last}")
        self.said.append(last)


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def prepare(root: Path, seed: int) -> Arena:
    from tests.crates import CONFIG, write_captions, write_music
    from tests.tiny_clap import make_tiny_clap

    arena = Arena(root=root, dice=random.Random(seed))
    write_music(root / "music")
    make_tiny_clap(root / "tiny", window_s=1)
    write_captions(root / "long.parquet", "long")
    write_captions(root / "short.parquet", "short")
    (root / "clips.json").write_text(CONFIG.model_dump_json())
    began = time.monotonic()
    done = arena.run(arena.calm)
    arena.calm_s = time.monotonic() - began
    require(done.returncode == 0, f"the calm run: {done.stderr[-500:]}")
    arena.expected = content_hash(arena.calm)
    print(f"calm: {arena.expected} in {arena.calm_s:.0f} s", flush=True)
    return arena
