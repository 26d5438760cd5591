"""What an evaluation costs: clips a second beside the clips job, and memory against the number of clips.

    python -m benchmarks.evaluation speed CRATE MUSIC       CRATE mined from MUSIC; two workers each
    python -m benchmarks.evaluation memory                  1,000 to 100,000 clips, each in a process of its own

`speed`: the clips job on MUSIC (decode, cut, resample, embed, encode as FLAC, write), the encoding job on the same
files, and on the crate's audio; by wall time and by CPU time of all processes, since a busy machine moves the first.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["main"]

_DIMENSION = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    speed = parts.add_parser("speed")
    speed.add_argument("crate")
    speed.add_argument("music")
    speed.add_argument("--workers", type=int, default=2)
    parts.add_parser("memory")
    one = parts.add_parser("one")
    one.add_argument("folder")
    args = parser.parse_args()
    if args.part == "speed":
        _speed(args.crate, args.music, args.workers)
    elif args.part == "memory":
        _memory()
    else:
        _one(args.folder)
    return 0


def _speed(crate: str, music: str, workers: int) -> None:
    from beam_jobs.clips import ClipsJob
    from beam_jobs.encode import encode_set
    from beam_jobs.engine import Engine, run_job
    from labeling.embedders.by_name import embedder_card
    from labeling.evaluation.clip_sets import open_set
    from pipeline.config import ClipsConfig
    from pipeline.crate.crate import Crate
    from pipeline.crate.growth import pour
    from pipeline.source.listing import list_input
    from pipeline.storage import Storage

    scratch = Path(tempfile.mkdtemp(prefix="evaluation-"))
    engine = Engine(workers=workers)

    def clips_job() -> int:
        made = Crate.begin(Storage(scratch / "crate"), ClipsConfig(), embedder_card(), embedder_source="bundled")
        made = pour(made, list_input(music))[0]
        run_job(ClipsJob(root=made.storage.url, pours=made.pour_shards, embedder="bundled", device="cpu"), engine)
        return sum(pq.ParquetFile(made.storage.path(made.clips_part(s))).metadata.num_rows for s in made.shards)

    def encode(source: str, name: str, through_hz: int) -> Callable[[], int]:
        def run() -> int:
            clips = open_set(source, clip_s=30.0)
            return encode_set(
                clips, Storage(scratch / name), device="cpu", through_hz=through_hz, engine=engine
            ).counts()["clips"]

        return run

    print("| job | clips | wall s | clips/s | CPU s | clips a CPU s |\n|---|---|---|---|---|---|")
    for title, work in (
        ("clips job on the files", clips_job),
        ("encoding the files", encode(music, "files", 0)),
        ("encoding the crate's audio at 16 kHz", encode(crate, "audio", 16_000)),
        ("taking the crate's embeddings", encode(crate, "stored", 0)),
    ):
        wall, cpu = time.perf_counter(), _cpu_s()
        count = work()
        wall, cpu = time.perf_counter() - wall, _cpu_s() - cpu
        print(f"| {title} | {count} | {wall:.1f} | {count / wall:.1f} | {cpu:.1f} | {count / cpu:.1f} |", flush=True)
    shutil.rmtree(scratch)


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _memory() -> None:
    print("| clips | peak RSS, MiB |\n|---|---|")
    for count in (1_000, 10_000, 30_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            _write_parts(Path(folder), count)
            command = [sys.executable, "-m", "benchmarks.evaluation", "one", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"| {count:,} | {done.stdout.strip()} |", flush=True)


def _write_parts(folder: Path, count: int) -> None:
    """An encoded set as the job leaves it, of made-up vectors: 500 clips a shard."""
    from labeling.evaluation.encoded import _schema
    from labeling.evaluation.moments import Moments, write_moments
    from pipeline.crate.shards import part_name, write_marker
    from pipeline.records import ShardReport
    from pipeline.storage import Storage

    storage, shards, rng = Storage(folder), count // 500, np.random.default_rng(0)
    for shard in range(shards):
        vectors = rng.normal(size=(500, _DIMENSION)).astype(np.float32)
        at = ("parts", shard, shards)
        rows = [
            {"clip_id": f"c{shard}-{i}", "track_id": f"t{shard}", "key": f"{shard}.mp3", "start_s": 0.0,
             "duration_s": 30.0, "source_rate_hz": 44_100, "vectors": [v], "reason": "", "detail": ""}
            for i, v in enumerate(vectors)
        ]  # fmt: skip
        files = {}
        with storage.write(part_name(*at)) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=_schema(_DIMENSION)), file)
        files[part_name(*at)] = file
        with storage.write(part_name(*at, "npz")) as file:
            file.write(write_moments(Moments.of(vectors), {}, "m"))
        files[part_name(*at, "npz")] = file
        report = ShardReport(shard=shard, rows=500, seconds=0.0, counts={"clips": 500})
        write_marker(storage, *at, report, run_hash="x", files=files)


def _one(folder: str) -> None:
    from labeling.embedders.by_name import embedder_card
    from labeling.evaluation.compare import Side, compare_sets
    from labeling.evaluation.encoded import EncodedSet
    from pipeline.storage import Storage

    storage = Storage(folder)
    shards = len(storage.list("parts", ".parquet"))
    side = Side.of("made up", EncodedSet(storage=storage, folder="parts", shards=shards), None)
    compare_sets(side, side, embedder_card(), "clip")
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    raise SystemExit(main())
