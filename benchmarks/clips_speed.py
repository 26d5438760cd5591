"""The whole clips job with two workers against its kernels measured alone on two processes, both in one run.

    python -m benchmarks.clips_speed [--tracks 96] [--embedder bundled]

The kernels are what nobody can do without: decode (FFmpeg to one mono array), resample, mel, model, FLAC, Parquet.
Each of two processes runs them one after the other over its half of the tracks, in plain loops, at the same time; the
sum of their seconds a clip is the floor. The job is the real one: plan read, source hashed, decoder guarded in a child,
quality judged, shards and markers written. Its workers are warm: starting them is given apart.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections import defaultdict
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
from benchmarks.faults import process_tree
from labeling.embedders.by_name import embedder_card, load_embedder
from pipeline.audio.flac import encode_flac
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.growth import pour
from pipeline.crate.manifest import shard_counts
from pipeline.mine import EMBED_BATCH_CLIPS
from pipeline.source.listing import list_input
from pipeline.storage import Storage

DEMO_MUSIC = Path(__file__).parent.parent / "examples" / "demo_music"
CONFIG = ClipsConfig()
TRACK_S = 182.0
RATE_HZ = 44_100
BLOCK = 1 << 16


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
    """The kernel: FFmpeg's frames, gathered to large blocks, to one mono array."""
    blocks = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        fifo = av.AudioFifo()
        for frame in container.decode(stream):
            frame.pts = None
            fifo.write(frame)
            if fifo.samples >= BLOCK:
                blocks.append(mixed(fifo.read(BLOCK)))
        if fifo.samples:
            blocks.append(mixed(fifo.read(fifo.samples)))
        return np.concatenate(blocks), stream.rate


def mixed(frame: av.AudioFrame) -> np.ndarray:
    """Mono by mean, float32."""
    samples, channels = frame.to_ndarray(), frame.layout.nb_channels
    samples = samples.reshape(-1, channels).T if samples.shape[0] != channels else samples
    scale = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    mono = samples[0].astype(np.float32)
    for other in samples[1:]:
        mono += other
    mono *= np.float32(1 / (scale * channels))
    return mono


def write_parquet(rows: list[dict[str, bytes]]) -> None:
    """The kernel: one track's clips to a file in memory."""
    pq.write_table(pa.Table.from_pylist(rows), io.BytesIO(), compression="none")


def time_kernels(paths: list[str], embedder_name: str, start: Any) -> tuple[int, dict[str, float]]:
    """(clips, seconds by kernel) of one process."""
    embedder: Any = load_embedder(embedder_name, device="cpu", threads=1)
    card = embedder.card
    window_T = round(card.window_s * card.sample_rate_hz)
    rates = tuple(dict.fromkeys((*CONFIG.sample_rates_hz, card.sample_rate_hz)))
    spent: defaultdict[str, float] = defaultdict(float)

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


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, of all that came of it, and of those among them that have ended."""
    total = 0.0
    for child in process_tree(pid):
        try:
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def job_on_two(folder: Path, embedder: str, root: Path) -> tuple[int, float, float, float]:
    """(clips, wall seconds, CPU seconds, wall seconds of starting the workers)."""
    card = embedder_card(embedder)

    def plan(source: str, name: str) -> ClipsJob:
        crate = Crate.begin(Storage(root / name), CONFIG, card, embedder_source=embedder)
        crate, _ = pour(crate, list_input(source))
        return ClipsJob(root=str(root / name), pours=crate.pour_shards, embedder=embedder, device="cpu")

    with Engine(workers=2) as engine:
        begun = time.monotonic()
        run_job(plan(f"{folder}/00[01].ogg", "first"), engine)
        start_s = time.monotonic() - begun
        job = plan(str(folder), "all")
        begun, cpu = time.monotonic(), tree_cpu_s(os.getpid())
        run_job(job, engine)
        wall_s, cpu_s = time.monotonic() - begun, tree_cpu_s(os.getpid()) - cpu
    crate = Crate.open(root / "all")
    return shard_counts(crate)["clips"], wall_s, cpu_s, start_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=96)
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--rounds", type=int, default=2, help="kernels and job in turn, so often (default: 2)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tracks"
        folder.mkdir()
        tracks = make_tracks(folder, args.tracks)
        for turn in range(args.rounds):
            rate, per_clip = kernels_on_two(tracks, args.embedder)
            clips, wall_s, cpu_s, start_s = job_on_two(folder, args.embedder, Path(temporary) / f"round{turn}")
            parts = ", ".join(f"{name} {ms:.1f}" for name, ms in per_clip.items())
            total = sum(per_clip.values())
            print(f"kernels alone, two processes, ms a clip: {parts}; sum {total:.1f}; {rate:.2f} clips/s")
            print(
                f"the job, two workers: {clips / wall_s:.2f} clips/s, ratio {clips / wall_s / rate:.2f}; "
                f"{clips} clips; CPU {1000 * cpu_s / clips:.1f} ms a clip; workers started in {start_s:.1f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
