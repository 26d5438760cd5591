"""A run of two ranks, killed 20 times with SIGKILL, beside the same run left alone: the same losses and weights.

    python -m benchmarks.diffusion_kills --crate CRATE --out NEW

The vocoder of `tiny`, 60 steps with a checkpoint every two, through torchrun on the CPU. A kill comes at a random time
after the start; it hits both ranks and their launcher, or one rank alone, in turn. The same --out goes on where it was
stopped itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from diffusion.model.checkpoint import latest_checkpoint, read_checkpoint
from diffusion.training.run_log import read_losses

_STAGE = "spectrogram-vocoder"


def start(crate: str, out: Path, steps: int, log: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "--", "cratedig",
        "train", _STAGE, "--crate", crate, "--run", "tiny", "--out", str(out), "--cpu", "--steps", str(steps),
        "--device-batch", "2", "--checkpoint-every", "2",
    ]  # fmt: skip
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )


def ranks_of(launcher: int) -> list[int]:
    """The worker processes, which are the launcher's children."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def kill_once(crate: str, out: Path, steps: int, number: int, log: Path) -> int:
    """Start, wait for a moment drawn between the start and some steps, kill; returns the steps that were done."""
    draw = random.Random(number)
    process = start(crate, out, steps, log)
    folder = out / _STAGE
    before = len(read_losses(folder)) if folder.exists() else 0
    wait_steps, more_s = draw.randrange(0, 5), draw.random()
    while process.poll() is None and not _grown(folder, before, wait_steps):
        time.sleep(0.05)
    time.sleep(more_s)
    if process.poll() is not None:
        raise SystemExit(f"the run ended before kill {number + 1}: give more --steps, and a new --out")
    workers = ranks_of(process.pid)
    if number % 2 and workers:
        os.kill(workers[draw.randrange(len(workers))], signal.SIGKILL)  # the launcher ends the other
        process.wait()
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pid in workers:  # they are of the launcher's session, some launchers give them one of their own
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return len(_lines(folder))


def _grown(folder: Path, before: int, by: int) -> bool:
    last = latest_checkpoint(folder / "checkpoints")
    resumed = read_checkpoint(last).step if last else 0
    lines = _lines(folder)
    return bool(lines) and len(lines) >= max(min(before, resumed) + by, 1)


def _lines(folder: Path) -> list[str]:
    path = folder / "losses.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crate", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many; the same command goes on")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    args.out.mkdir(parents=True, exist_ok=True)
    calm, torn, log = args.out / "calm", args.out / "torn", args.out / "log.txt"
    state = args.out / "kills.json"
    kills = json.loads(state.read_text()) if state.exists() else []
    if latest_checkpoint(calm / _STAGE / "checkpoints") is None:
        assert start(args.crate, calm, args.steps, log).wait() == 0, log.read_text()[-2000:]
    while len(kills) < args.kills:
        if time.monotonic() > end:
            raise SystemExit(f"{len(kills)} kills so far; the same command goes on")
        kills.append(kill_once(args.crate, torn, args.steps, len(kills), log))
        state.write_text(json.dumps(kills))
        print(f"kill {len(kills)}: at step {kills[-1]} ({'one rank' if len(kills) % 2 == 0 else 'all'})", flush=True)
    assert start(args.crate, torn, args.steps, log).wait() == 0, log.read_text()[-2000:]
    one, other = read_losses(calm / _STAGE), read_losses(torn / _STAGE)
    equal = sum(a == b for a, b in zip(one, other, strict=True))
    print(f"{len(kills)} kills; {equal} of {len(one)} steps with the same loss, norm and rate to the last digit")
    weights = [read_checkpoint(folder / _STAGE).state["sha256"] for folder in (calm, torn)]
    print("weights, average and optimizer: " + ("the same bytes" if weights[0] == weights[1] else f"differ: {weights}"))


if __name__ == "__main__":
    main()
