"""Does the model wait for its data? Examples a second of the loader, to be set beside the step time.

    python -m benchmarks.diffusion_loader --crate CRATE --run gpu80 --threads 8

For each stage: examples/s from FLAC in the crate to arrays ready for the device, CPU milliseconds an example, and what
a device may train at most per second before it waits.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

from diffusion.data.crate_data import CrateClips
from diffusion.data.example import audio_needed
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.model.config import STAGES
from diffusion.training.runs import named_run

__all__ = ["main"]


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crate", type=Path, required=True)
    parser.add_argument("--labels")
    parser.add_argument("--run", default="paper")
    parser.add_argument("--stage", choices=STAGES, action="append")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--examples", type=int, default=64)
    args = parser.parse_args()
    report = {}
    for stage in args.stage or STAGES:
        config = named_run(args.run, stage).stage
        clips = CrateClips(args.crate, audio_needed(config).rates_hz, labels=args.labels, text=config.uses_text)
        loader = ClipLoader(
            [ClipSource(clips, clips.split(0.0).train)], config, seed=0, text_drop=0.1, threads=args.threads
        )
        positions = [list(range(i, i + 8)) for i in range(0, args.examples + 8, 8)]
        for _ in loader.batches(iter(positions[:1])):
            pass
        wall, cpu = time.perf_counter(), cpu_s()
        count = sum(len(batch) for batch in loader.batches(iter(positions[1:])))
        wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
        report[stage] = {
            "examples_per_s": round(count / wall, 1),
            "cpu_ms_per_example": round(1e3 * cpu / count, 2),
            "examples_per_s_of_a_core": round(count / cpu, 1),
        }
    print(json.dumps({"threads": args.threads, "run": args.run, **report}, indent=1))


if __name__ == "__main__":
    main()
