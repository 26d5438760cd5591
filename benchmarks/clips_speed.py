"""The whole clips job with two workers against its kernels measured alone on two processes, both in one run.

    python -m benchmarks.clips_speed [--tracks 40] [--embedder bundled]

The kernels are what nobody can do without: decode (FFmpeg to one mono array), resample, mel, model, FLAC, Parquet.
Each of two processes runs them one after the other over its half of the tracks, in plain loops, at the same time; the
sum of their seconds a clip is the floor. The job is the real one: plan read, source hashed, decoder guarded in a child,
quality judged, shards and markers written. Its rate is given with and without the start of its workers.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr

from beam_jobs.clips import ClipsJob
from beam_jobs.engine import Engine, run_job
from labeling.embedder import embedder_card, load_embedder
from pipeline.config import ClipsConfig
from pipeline.crate import CLIPS, Crate
from pipeline.flac import encode_flac
from pipeline.listing import list_input
from pipeline.mine import EMBED_BATCH_CLIPS
from pipeline.shards import read_marker

DEMO_MUSIC = Path(__file__).parent.parent / "examples" / "demo_music"
CONFIG = ClipsConfig()
TRACK_S = 182.0
RATE_HZ = 44_100


def make_tracks(folder: Path, count: int) -> list[Path]:
    """Stereo 44.1 kHz Vorbis of just over three minutes, made of the demo music."""
    sources = [f for f in sorted(DEMO_MUSIC.iterdir()) if f.suffix in (".mp3", ".ogg", ".opus", ".m4a")]
    made = []
    for i in range(min(count, len(sources))):
        mono = decode_mono(sources[i])[0]
        repeated = np.resize(mono, round(TRACK_S * RATE_HZ))
        stereo = np.stack([repeated, np.roll(repeated, 400)], axis=1)
        path = folder / f"{i:03d}.ogg"
        with soundfile.SoundFile(path, "w", RATE_HZ, 2, format="OGG", subtype="VORBIS") as out:
            for start in range(0, len(stereo), RATE_HZ):  # libsndfile overflows its stack on long writes of Vorbis
                out.write(stereo[start : start + RATE_HZ])
        made.append(path)
    for i in range(len(made), count):
        path = folder / f"{i:03d}.ogg"
        path.write_bytes(made[i % len(made)].read_bytes())
        made.append(path)
    return made


def decode_mono(path: Path) -> tuple[np.ndarray, int]:
    """The kernel: FFmpeg's frames to one mono array."""
    blocks = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            samples = frame.to_ndarray()
            channels = frame.layout.nb_channels
            samples = samples.reshape(-1, channels).T if samples.shape[0] != channels else samples
            scale = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
            blocks.append(samples.mean(axis=0, dtype=np.float32) / np.float32(scale))
        rate = stream.rate
    return np.concatenate(blocks), rate


def write_parquet(rows: list[dict[str, bytes]]) -> None:
    """The kernel: one track's clips to a file in memory."""
    pq.write_table(pa.Table.from_pylist(rows), io.BytesIO(), compression="none")


def time_kernels(paths: list[str], embedder_name: str, start: Any) -> tuple[int, dict[str, float]]:
    """(clips, seconds by kernel) of one process."""
    embedder: Any = load_embedder(embedder_name, device="cpu", threads=1)
    card = embedder.card
    window_T = round(card.window_s * card.sample_rate_hz)
    rates = tuple(dict.fromkeys((*CONFIG.sample_rates_hz, card.sample_rate_hz)))
    spent: Counter[str] = Counter()

    def timed(name: str, work: Callable[..., Any], *inputs: Any) -> Any:
        begun = time.perf_counter()
        result = work(*inputs)
        spent[name] += time.perf_counter() - begun
        return result

    embedder.embed_audio(np.zeros((12, window_T), np.float32))
    start.wait()
    clips = 0
    for path in paths:
        mono, rate = timed("decode", decode_mono, Path(path))
        length = round(CONFIG.clip_s * rate)
        rows, windows = [], []
        for k in range(CONFIG.clips_per_track):
            begin = k * (len(mono) - length) // (CONFIG.clips_per_track - 1)
            clip = mono[begin : begin + length]
            at = {r: timed(f"resample {r // 1000}k", soxr.resample, clip, rate, r) for r in rates}
            windows.append(np.resize(at[card.sample_rate_hz], (3, window_T)))
            rows.append({f"a{r}": timed(f"flac {r // 1000}k", encode_flac, at[r], r) for r in CONFIG.sample_rates_hz})
            clips += 1
        for k in range(0, len(windows), EMBED_BATCH_CLIPS):
            batch = np.concatenate(windows[k : k + EMBED_BATCH_CLIPS])
            mels = timed("mel", embedder.log_mel.batch, batch)
            timed("model", embedder.embed_mels, mels)
        timed("parquet", write_parquet, rows)
    return clips, dict(spent)


def _kernel_process(paths: list[str], embedder: str, start: Any, out: Any) -> None:
    out.put(time_kernels(paths, embedder, start))


def kernels_on_two(tracks: list[Path], embedder: str) -> tuple[float, dict[str, float]]:
    """(clips per second of two processes, milliseconds a clip by kernel)."""
    spawn = multiprocessing.get_context("spawn")
    start, out = spawn.Barrier(2), spawn.Queue()
    halves = [[str(p) for p in tracks[i::2]] for i in range(2)]
    processes = [spawn.Process(target=_kernel_process, args=(half, embedder, start, out)) for half in halves]
    for process in processes:
        process.start()
    results = [out.get() for _ in processes]
    for process in processes:
        process.join()
    rate = sum(clips / sum(spent.values()) for clips, spent in results)
    names = results[0][1]
    per_clip = {n: 1000 * float(np.mean([spent[n] / clips for clips, spent in results])) for n in names}
    return rate, per_clip


def job_on_two(folder: Path, embedder: str, root: Path) -> tuple[int, float, float]:
    """(clips, seconds in all, seconds from the first shard's start to the last one's end)."""
    crate = Crate.create(root, list_input(str(folder)), CONFIG, embedder_card(embedder), embedder_source=embedder)
    job = ClipsJob(root=str(root), shard_count=crate.plan.shards, embedder=embedder, device="cpu")
    begun = time.time()
    run_job(job, Engine(workers=2))
    total = time.time() - begun
    markers = [read_marker(crate.storage, CLIPS, k, crate.plan.shards) or {} for k in crate.shards]
    ends = [(root / f"clips/part-{k:05d}-of-{crate.plan.shards:05d}.done.json").stat().st_mtime for k in crate.shards]
    first = min(end - m["seconds"] for end, m in zip(ends, markers, strict=True))
    return sum(m["rows"] for m in markers), total, max(ends) - first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=40)
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--rounds", type=int, default=2, help="kernels and job in turn, so often (default: 2)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tracks"
        folder.mkdir()
        tracks = make_tracks(folder, args.tracks)
        for turn in range(args.rounds):
            rate, per_clip = kernels_on_two(tracks, args.embedder)
            clips, total_s, work_s = job_on_two(folder, args.embedder, Path(temporary) / f"crate{turn}")
            parts = ", ".join(f"{name} {ms:.1f}" for name, ms in per_clip.items())
            print(f"kernels, ms a clip: {parts}; sum {sum(per_clip.values()):.1f}")
            print(f"kernels alone, two processes: {rate:.2f} clips/s")
            print(
                f"the job, two workers: {clips / work_s:.2f} clips/s, ratio {clips / work_s / rate:.2f}; {clips} clips "
                f"(with the start of the workers {clips / total_s:.2f}, ratio {clips / total_s / rate:.2f})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
