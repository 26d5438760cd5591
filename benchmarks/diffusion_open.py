"""What it takes to open a crate for training: seconds and memory of a rank, by the number of clips.

    python -m benchmarks.diffusion_open --clips 40800000

The crate has a header and no audio: six clips a track, 32 tracks a shard, row groups of 96. Its table of row groups is
written by the product's own writer, and each rank is a process of its own that opens the crate as training does, up to
the first clip of the first step. `--make` makes the table from track ids by the product's own deal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from diffusion.data.clip_table import GROUPS, MadeSplit, cache_folder, kept_split, note_checked
from diffusion.data.crate_data import CrateClips
from diffusion.data.holdout import RunsSeen, part_tracks
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.training.runs import named_run
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.plan import Pour
from pipeline.records import EmbedderCard
from pipeline.storage import Storage

_TRACKS_PER_SHARD, _CLIPS_PER_TRACK, _GROUP = 32, 6, 96


def write_header(folder: Path, clips: int) -> Crate:
    tracks = clips // _CLIPS_PER_TRACK
    pour = Pour(tracks=tracks, shards=-(-tracks // _TRACKS_PER_SHARD), hash="0")
    card = EmbedderCard(
        name="none", sample_rate_hz=48_000, window_s=10.0, dimension=4, text_limit_tokens=77, licence="", revision="",
        weights_hash="0",
    )  # fmt: skip
    crate = Crate(
        storage=Storage(folder), config=ClipsConfig(), embedder=card, embedder_source="none", pours=(pour,)
    )  # fmt: skip
    crate.write_header()
    note_checked([crate.clips_hash, "", None, None])
    return crate


def groups_of(clips: int) -> np.ndarray:
    count = clips // _GROUP
    groups = np.zeros(count, GROUPS)
    number = np.arange(count)
    groups["shard"], groups["group"] = number // 2, number % 2
    groups["first"], groups["rows"] = number * _GROUP, _GROUP
    return groups


def drawn(clips: int) -> MadeSplit:
    """Sides as the deal gives them, without its work: one track in a hundred for validation, one for test."""
    tracks = np.random.default_rng(0).random(clips // _CLIPS_PER_TRACK + 1)
    of_track = np.where(tracks < 0.01, 2, np.where(tracks < 0.02, 4, 1)).astype(np.uint8)
    side = np.repeat(of_track, _CLIPS_PER_TRACK)[: clips // _GROUP * _GROUP]
    return MadeSplit.counted(groups_of(clips), side, {"hash": "0", "left_out": {}})


def dealt(crate: Crate, clips: int) -> MadeSplit:
    seen = RunsSeen()
    for i in range(clips // _GROUP * _GROUP // _CLIPS_PER_TRACK):
        seen.add(track := f"track-{i:012x}", f"{track} of its artist", _CLIPS_PER_TRACK)
    runs = seen.runs()
    return MadeSplit.of(groups_of(clips), runs.clips_R, part_tracks(crate, runs, 0.02))


def open_as_a_rank(folder: str) -> dict[str, float]:
    """Memory beyond what the program and its libraries take before."""
    config = named_run("paper", "super-resolution")
    before, started = _resident_mb(), time.perf_counter()
    clips = CrateClips(folder, (24_000, 16_000), text=False)
    split = clips.split(config.holdout_share)
    loaders = [
        ClipLoader([ClipSource(clips, rows)], config.stage, seed=0, text_drop=0.1, ranks=64)
        for rows in (split.train, split.validation)
    ]
    places = [loader.order.locate(position) for loader in loaders for position in range(2048)]
    part = split.train.parts[places[0].part]
    assert len(part.kept)
    seconds = time.perf_counter() - started
    return {"clips": loaders[0].order.clips, "seconds": round(seconds, 2), "mb": round(_resident_mb() - before),
            "peak_mb": round(_peak_mb() - before)}  # fmt: skip


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mb() -> float:
    """Of this program alone; getrusage would count what forked it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40_800_000)
    parser.add_argument("--make", action="store_true", help="deal track ids, instead of opening what was dealt")
    parser.add_argument("--rank", metavar="CRATE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank:
        print(json.dumps(open_as_a_rank(args.rank)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        crate = write_header(Path(folder) / "crate", args.clips)
        if args.make:
            before, started = _resident_mb(), time.perf_counter()
            made = dealt(crate, args.clips)
            peak = _peak_mb() - before
            print(f"dealt {len(made.side)} clips in {time.perf_counter() - started:.1f} s, {peak:.0f} MB at most")
            return
        identity = {
            "clips": [crate.clips_hash, ""], "share": 0.02, "split": ["", ""], "curation": "", "duplicates": False,
            "contaminated": False,
        }  # fmt: skip
        kept_split(identity, lambda: drawn(args.clips), keep=True)
        size = sum(path.stat().st_size for path in cache_folder().rglob("*")) / 1e6
        print(f"table of {args.clips} clips: {size:.0f} MB on disk, mapped")
        for _ in range(2):
            run = [sys.executable, "-m", "benchmarks.diffusion_open", "--rank", str(Path(folder) / "crate")]
            print(subprocess.run(run, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
