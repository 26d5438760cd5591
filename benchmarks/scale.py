"""docs/scale.md's table: what 340,000 hours of audio come to, from what a crate on this machine did cost.

    python -m benchmarks.scale CRATE [--machines 100] [--cores 32] ...

CRATE is a finished crate that was mined on this machine, with labels: its markers hold each shard's seconds and bytes.
What this machine cannot tell (a GPU's speed, prices, how long a store takes to answer) is an option, and its default an
assumption that the table names.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from labeling.search.exact import ExactSearch
from pipeline.crate.crate import CLIPS, LABELS, Crate, label_runs, read_run

HOURS, TRACKS, CLIP_S, CLIPS_A_TRACK, TRACKS_A_SHARD = 340_000, 6_800_000, 30, 6, 32
CAPTIONS = {"llm_lf": 4_000_000, "rater_sf": 23_906}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step of a crate took."""

    seconds: float
    """Of one worker."""
    clips: int
    bytes: int
    shards: int

    @property
    def clip_s(self) -> float:
        return self.seconds / max(self.clips, 1)


def step(crate: Crate, folder: str) -> Step:
    found = [marker for marker in crate.markers(folder) if marker]
    return Step(
        seconds=sum(marker["seconds"] for marker in found),
        clips=sum(marker["rows"] for marker in found),
        bytes=sum(wrote["bytes"] for marker in found for wrote in marker["files"].values()),
        shards=len(found),
    )


def search_s(dimension: int, captions: int = 50_000, clips: int = TRACKS_A_SHARD * CLIPS_A_TRACK) -> float:
    """Seconds of one core for the exact search of a clip in a million captions, at a shard's clips at once."""
    dice = np.random.default_rng(0)
    captions_ND = dice.standard_normal((captions, dimension), dtype=np.float32)
    queries_QD = dice.standard_normal((clips, dimension), dtype=np.float32)
    search = ExactSearch(captions_ND)
    search.top(queries_QD, 10)
    started = time.process_time()
    search.top(queries_QD, 10)
    return (time.process_time() - started) / clips / captions * 1e6


def table(crate: Crate, args: argparse.Namespace) -> list[str]:
    run = read_run(crate, label_runs(crate)[0])
    clips, labels = step(crate, CLIPS), step(crate, f"{LABELS}/{label_runs(crate)[0]}")
    searches = {name: (step(crate, slot["candidates"]), slot["captions"]) for name, slot in run["slots"].items()}
    many = TRACKS * CLIPS_A_TRACK
    shards = -(-TRACKS // TRACKS_A_SHARD)
    workers = args.machines * args.cores
    embed_s = args.embed_cpu_ms / 1000
    without = max(clips.clip_s - embed_s, 0.0)
    rows: list[tuple[str, str, str]] = []

    def add(what: str, worker_s: float, how: str) -> float:
        hours = worker_s * many / 3600
        rows.append((what, f"{hours:,.0f} core h = {hours / workers:,.1f} h", how))
        return hours

    add("decode, cut, resample, encode", without, f"{without * 1000:.0f} ms a clip, measured on {clips.clips} clips")
    small = add("embed, bundled model, on CPU", embed_s, f"{args.embed_cpu_ms:.0f} ms a clip")
    large = add("embed, HTSAT-base, on CPU", args.large_cpu_ms / 1000, f"{args.large_cpu_ms:.0f} ms a clip")
    gpu = many * args.large_gpu_ms / 1000 / 3600
    rows.append(("embed, HTSAT-base, on GPU", f"{gpu:,.0f} GPU h", f"{args.large_gpu_ms:g} ms a clip, assumed"))
    million_s, search = search_s(crate.embedder.dimension), 0.0
    for name in searches:
        wanted = CAPTIONS.get(name, searches[name][1])
        how = f"{million_s * 1000:.1f} ms a clip and million captions, exact, measured"
        search += add(f"search {wanted:,} captions ({name})", million_s * wanted / 1e6, how)
    draw = add("draw", labels.clip_s, f"{labels.clip_s * 1000:.2f} ms a clip, measured")
    size = many * (clips.bytes / max(clips.clips, 1))
    alone = f"one process over {args.gigabit:g} Gbit/s: {size * 8 / args.gigabit / 1e9 / 3600:.1f} h"
    prove = add("verify, by workers", args.verify_ms / 1000, f"{args.verify_ms:g} ms a clip; {alone}")
    more = many * sum(found.bytes / max(found.clips, 1) for found, _ in searches.values())
    more += many * labels.bytes / max(labels.clips, 1)
    requests = shards * args.requests
    base = without * many / 3600 + search + draw + prove
    hour = args.machine_usd / args.cores
    rows += [
        ("shards, files", f"{shards:,}, {shards * (2 + 1 + len(searches)):,}", "parts"),
        ("bytes of clips", f"{size / 1e12:,.1f} TB", f"{clips.bytes / max(clips.clips, 1) / 1e3:,.0f} KB a clip"),
        ("bytes of candidates and labels", f"{more / 1e9:,.0f} GB", ""),
        ("requests", f"{requests / 1e6:,.1f} M = {requests * args.request_usd:,.0f} USD", f"{args.requests:g} a shard"),
        ("all, bundled model", _all(base + small, workers, hour, 0.0), f"{args.machine_usd:g} USD a machine hour"),
        ("all, HTSAT-base on CPU", _all(base + large, workers, hour, 0.0), ""),
        ("all, HTSAT-base on GPU", _all(base, workers, hour, gpu * args.gpu_usd), f"{args.gpu_usd:g} USD a GPU hour"),
        ("a month of storage", f"{(size + more) / 1e9 * args.month_usd:,.0f} USD", f"{args.month_usd:g} USD a GB"),
    ]  # fmt: skip
    head = f"| {args.machines} machines of {args.cores} cores | {many:,} clips of {CLIP_S} s | from |"
    return [head, "|---|---|---|", *(f"| {what} | {figure} | {how} |" for what, figure, how in rows)]


def _all(core_hours: float, workers: int, hour_usd: float, gpu_usd: float) -> str:
    return f"{core_hours / workers:,.0f} h, {core_hours * hour_usd + gpu_usd:,.0f} USD"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate", help="a finished, labelled crate that was mined on this machine")
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--cores", type=int, default=32, help="of each machine")
    parser.add_argument("--embed-cpu-ms", type=float, default=27, help="a clip of three windows, the bundled model")
    parser.add_argument("--large-cpu-ms", type=float, default=1_230, help="the same, HTSAT-base (DESIGN's measurement)")
    parser.add_argument("--large-gpu-ms", type=float, default=3.0, help="the same on a GPU; an assumption")
    parser.add_argument("--verify-ms", type=float, default=1.5, help="reading and hashing a clip's 0.8 MB")
    parser.add_argument("--gigabit", type=float, default=10, help="a second, of a machine's network")
    parser.add_argument("--requests", type=float, default=20, help="a shard, of a whole mine (benchmarks.driver)")
    parser.add_argument(
        "--request-usd", type=float, default=2e-6, help="half PUT at 5, half GET at 0.4 a million, less"
    )
    parser.add_argument("--machine-usd", type=float, default=1.2, help="an hour of a machine")
    parser.add_argument("--gpu-usd", type=float, default=2.5, help="an hour of a GPU")
    parser.add_argument("--month-usd", type=float, default=0.023, help="a GB and month of storage")
    args = parser.parse_args()
    print("\n".join(table(Crate.open(args.crate), args)))


if __name__ == "__main__":
    main()
