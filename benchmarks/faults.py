"""Faults: 300 damaged files, runs whose processes are killed at random moments, and exit codes.

    python -m benchmarks.faults damaged     300 files made by damaging good ones: each accounted for
    python -m benchmarks.faults kills       20 runs with a SIGKILL at a random moment: 20 times the same hash
    python -m benchmarks.faults exits       every command that ends quickly, 50 times: its exit code

`kills` runs the real command in a process of its own and kills a random process of its tree (the command itself, a
worker, or a decoder); where the command itself dies, it is typed again, as a user would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.exits import exits
from tests.pipeline.audio.mutations import make_good_files, mutate
from vocab.store import Kind, bundled_vocabulary, write_vocabulary

DEMO_MUSIC = Path(__file__).parent.parent / "examples" / "demo_music"


def mine(source: Path, out: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "cratedig", "mine", str(source), "--out", str(out)]
    return [*command, "--workers=2", "--max-reject-share=1", "--no-report", *options]


def damaged(count: int) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        good = make_good_files(root / "good")
        mutants = list(mutate(good, root / "bad", count=count, seed=0))
        begun = time.monotonic()
        done = subprocess.run(mine(root / "bad", root / "crate", "--clip-seconds=2"), capture_output=True, text=True)
        print(done.stdout.strip())
        print(f"exit code {done.returncode}, {time.monotonic() - begun:.0f} s")
        clips = pq.read_table(sorted((root / "crate/clips").rglob("*.parquet")), columns=["source_key"])
        rejects = pq.read_table(sorted((root / "crate/rejects").rglob("*.parquet"))).to_pylist()
        with_clips = set(clips.column("source_key").to_pylist())
        whole = {r["key"]: r["reason"] for r in rejects if r["level"] == "track"}
        other = {r["key"]: r["reason"] for r in rejects if r["level"] == "clip" and r["key"] not in with_clips}
        ends: dict[str, Counter[str]] = {}
        lost = 0
        for mutant in mutants:
            key = mutant.path.name
            end = "clips" if key in with_clips else whole.get(key) or other.get(key) or "LOST"
            lost += end == "LOST"
            ends.setdefault(mutant.kind, Counter())[end] += 1
        for kind, counts in sorted(ends.items()):
            print(f"  {kind:16} " + ", ".join(f"{name} {n}" for name, n in counts.most_common()))
        print(f"{len(mutants)} damaged files, {lost} unaccounted for")
        return 1 if lost or done.returncode else 0


def few_captions(folder: Path) -> list[str]:
    """Options for vocabularies of 2,000 captions, every n-th of the bundled ones: the runs are about faults."""
    options = []
    kinds: dict[str, Kind] = {"llm_lf": "long", "rater_sf": "short"}
    for slot, kind in kinds.items():
        vocabulary = bundled_vocabulary(kind)
        rows = np.linspace(0, len(vocabulary) - 1, 2_000).astype(np.int64)
        write_vocabulary(folder / f"{kind}.parquet", vocabulary.table.take(rows), vocabulary.card)
        options.append(f"--vocab={slot}={folder / kind}.parquet")
    return options


def content_hash(crate: Path) -> str:
    return str(json.loads((crate / "manifest.json").read_text())["content_hash"])


def process_tree(pid: int) -> list[int]:
    """The process and all that came of it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def role(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    names = {
        b"cratedig\0mine": "command",
        b"spawn_main": "worker",
        b"resource_tracker": "tracker",
        b"decode_child": "decoder",
        b"/prism-": "job server",
    }
    return next((name for mark, name in names.items() if mark in line), "other")


def kills(runs: int) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        root, dice = Path(temporary), random.Random(0)
        options = ("--clip-seconds=10", *few_captions(root))
        begun = time.monotonic()
        subprocess.run(mine(DEMO_MUSIC / "metadata.csv", root / "calm", *options), check=True, capture_output=True)
        length = time.monotonic() - begun
        expected = content_hash(root / "calm")
        print(f"undisturbed: {expected} in {length:.0f} s")
        same, victims = 0, Counter[str]()
        number = 0
        while number < runs:
            out = root / "crate"
            shutil.rmtree(out, ignore_errors=True)
            command = mine(DEMO_MUSIC / "metadata.csv", out, *options)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0.05, 0.95) * length)
            tree = [pid for pid in process_tree(process.pid) if role(pid) in ("command", "worker", "decoder")]
            victim = dice.choice(tree) if process.poll() is None and tree else 0
            if not victim:
                process.wait()
                continue  # it had ended already: another moment
            what = role(victim)
            os.kill(victim, signal.SIGKILL)
            victims[what] += 1
            number += 1
            code = process.wait(timeout=600)
            again = what == "command"
            if again:
                code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
            ended = content_hash(out) if code == 0 else f"exit code {code}"
            same += ended == expected
            print(f"  run {number:2}: killed {what}{', typed again' if again else ''}: {ended}", flush=True)
        print(f"{same} of {runs} crates with the hash of the undisturbed one; killed: {dict(victims)}")
        return 0 if same == runs else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("damaged", "kills", "exits"))
    parser.add_argument("--count", type=int, help="files (default: 300), runs (20) or times a command (50)")
    parser.add_argument("--only", default="", help="exits: commands that contain this")
    args = parser.parse_args()
    if args.what == "exits":
        return exits(args.count or 50, args.only)
    return damaged(args.count or 300) if args.what == "damaged" else kills(args.count or 20)


if __name__ == "__main__":
    sys.exit(main())
