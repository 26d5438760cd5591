"""Exports against copying the same bytes, their memory from 1,000 to 100,000 clips, and cutting from sources against
the clips job without its model.

    python -m benchmarks.exports speed [--clips 600]     MB/s of each layout and of a copy, two workers each, one run
    python -m benchmarks.exports memory [--clips 100000] peak memory of all processes at 1,000 clips and at --clips
    python -m benchmarks.exports source                  ms a clip: cut from sources, and the clips job without model
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_jobs.export import ExportJob
from beam_jobs.job import ShardJob
from benchmarks.memory import PeakMemory
from pipeline.audio.decode_guard import GuardedDecoder
from pipeline.audio.flac import encode_flac
from pipeline.config import ClipsConfig
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.growth import pour
from pipeline.crate.schema import audio_columns, clips_schema, labels_schema, rejects_schema
from pipeline.crate.seals import write_sealed
from pipeline.crate.shards import ShardWriter, part_name, write_marker
from pipeline.export.export import begin_export
from pipeline.export.spec import ExportSpec
from pipeline.ids import clip_id, track_id
from pipeline.mine import decoder_rates, mine_shard
from pipeline.parquet import parquet_file
from pipeline.records import EmbedderCard, ShardReport, Track
from pipeline.source.listing import Listing, list_input
from pipeline.storage import Storage

DEMO_MUSIC = Path(__file__).parent.parent / "examples" / "demo_music"
CLIPS_A_TRACK = 6
CARD = EmbedderCard(
    name="none",
    sample_rate_hz=24_000,
    window_s=1.0,
    dimension=8,
    text_limit_tokens=77,
    licence="",
    revision="",
    weights_hash="0" * 16,
)


class NoModel:
    """Stands where the model is, and costs nothing."""

    card = CARD

    def embed_audio(self, windows_BT: np.ndarray) -> np.ndarray:
        return np.ones((len(windows_BT), CARD.dimension), np.float32)


def made_crate(root: Path, clips: int, clip_s: float) -> Crate:
    """A crate of `clips` clips of noise with three captions each, written as the jobs write it, without mining."""
    config = ClipsConfig(clip_s=clip_s, clips_per_track=CLIPS_A_TRACK, sample_rates_hz=(24_000,))
    keys = [f"{number:07d}.flac" for number in range(-(-clips // CLIPS_A_TRACK))]
    tracks = sorted((Track(track_id=track_id(k), key=k, path=f"/nowhere/{k}") for k in keys), key=lambda t: t.track_id)
    crate = Crate.begin(Storage(root), config, CARD)
    crate, _ = pour(crate, Listing(source="made", tracks=tuple(tracks)))
    write_sealed(crate.storage, "labels/made/run.json", RUN | {"covers": crate.covers})
    dice = np.random.default_rng(0)
    audio = [
        encode_flac((0.2 * dice.standard_normal(round(24_000 * clip_s))).astype(np.float32), 24_000) for _ in range(8)
    ]
    count = len(crate.shards)
    for index in crate.shards:
        chosen = tracks[index * len(tracks) // count : (index + 1) * len(tracks) // count]
        _write_shard(crate, index, chosen, audio, clip_s)
    return crate


RUN = {
    "run_hash": "made",
    "drawn_by": "made",
    "profile": "noise2music",
    "prompt": False,
    "seed": 0,
    "slots": {"llm_lf": {"kind": "long"}, "rater_sf": {"kind": "short"}},
}


def _write_shard(crate: Crate, index: int, tracks: list[Track], audio: list[bytes], clip_s: float) -> None:
    rows = 0
    labels = []
    with crate.storage.write(crate.clips_part(index), durable=False) as file:
        schema = clips_schema(crate.config, CARD.dimension)
        writer = ShardWriter(file, schema, media=audio_columns(crate.config))
        for track in tracks:
            for number in range(CLIPS_A_TRACK):
                identity = clip_id(track.track_id, number * clip_s)
                row = dict.fromkeys(schema.names) | {
                    "clip_id": identity,
                    "track_id": track.track_id,
                    "start_s": number * clip_s,
                    "duration_s": clip_s,
                    "audio": {"bytes": audio[rows % len(audio)], "path": f"{identity}.flac"},
                    "embedding": [0.0] * CARD.dimension,
                    "tags": ["tag"],
                    "extra": [],
                    "licence": "CC0-1.0",
                    "source_key": track.key,
                    "source_sha256": "0" * 64,
                    "source_duration_s": CLIPS_A_TRACK * clip_s,
                    "source_sample_rate_hz": 44_100,
                    "source_channels": 2,
                }
                writer.add([row])
                drawn = [_caption(f"a calm piece with piano, number {rows}, said in way {way}") for way in range(3)]
                labels.append({"clip_id": identity, "metadata": [], "llm_lf": drawn, "rater_sf": [_caption("calm")]})
                rows += 1
        writer.close()
    with crate.storage.write(crate.rejects_part(index), durable=False) as rejects:
        pq.write_table(rejects_schema().empty_table(), rejects)
    report = ShardReport(shard=index, rows=rows, seconds=0.0, counts={"clips": rows, "tracks": len(tracks)})
    files = {crate.clips_part(index): file, crate.rejects_part(index): rejects}
    write_marker(crate.storage, *crate.at(CLIPS, index), report, run_hash=crate.shard_hash(index), files=files)
    name = part_name(*crate.at("labels/made", index))
    with crate.storage.write(name, durable=False) as label_file:
        pq.write_table(pa.Table.from_pylist(labels, schema=labels_schema(["llm_lf", "rater_sf"])), label_file)
    run_hash = crate.made_hash("made", index)
    write_marker(crate.storage, *crate.at("labels/made", index), report, run_hash=run_hash, files={name: label_file})


def _caption(text: str) -> dict[str, object]:
    return {"caption_id": "0", "text": text, "score": 0.5, "rank": 0, "count": 1, "probability": 0.1}


Seconds = tuple[float, float]
"""On the clock, and of the processor."""


def run_shards(job: ShardJob, shards: list[int]) -> Seconds:
    """One process over its shards, without its start."""
    worker = job.open()
    started = time.monotonic(), time.process_time()
    for shard in shards:
        worker.run(shard)
    seconds = time.monotonic() - started[0], time.process_time() - started[1]
    worker.close()
    return seconds


def copy_files(names: list[str], out: str) -> Seconds:
    """One process that copies files and waits until they are on the disk, as a shard does."""
    started = time.monotonic(), time.process_time()
    for name in names:
        target = Path(out) / Path(name).name
        shutil.copyfile(name, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    return time.monotonic() - started[0], time.process_time() - started[1]


def speed(clips: int) -> None:
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        root = Path(folder)
        crate = made_crate(root / "crate", clips, 30.0)
        files = [str(root / "crate" / crate.clips_part(k)) for k in crate.shards]
        size = sum(Path(f).stat().st_size for f in files) / 1e6
        print(f"{clips} clips of 30 s, {size:.0f} MB, two processes; MB/s by the slower one, two rounds")
        for number in range(2):
            (root / f"copy{number}").mkdir()
            copies = [pool.submit(copy_files, files[k::2], str(root / f"copy{number}")) for k in range(2)]
            copied = _both([done.result() for done in copies])
            said = [f"copy {size / copied[0]:.0f}, {size / copied[1]:.0f} a CPU second"]
            shutil.rmtree(root / f"copy{number}")
            for layout in ("hf", "wds", "folder", "captions"):
                out = root / f"{layout}{number}"
                export = begin_export(crate, out, ExportSpec(layout=layout, labels="made"))
                job = ExportJob(root=export.storage.url, crate=crate.storage.url, pours=export.pour_shards)
                todo = list(crate.shards)
                parts = [pool.submit(run_shards, job, todo[k::2]) for k in range(2)]
                took = _both([done.result() for done in parts])
                share = copied[0] / took[0]
                said.append(f"{layout} {size / took[0]:.0f} ({share:.2f} of a copy), {size / took[1]:.0f} a CPU second")
                shutil.rmtree(out)
            print("; ".join(said), flush=True)


def _both(parts: list[Seconds]) -> Seconds:
    """The slower one's clock, and the processor's seconds of both."""
    return max(clock for clock, _ in parts), sum(cpu for _, cpu in parts)


def memory(sizes: list[int], layouts: list[str]) -> None:
    for number in sizes:
        with tempfile.TemporaryDirectory() as folder:
            made_crate(Path(folder) / "crate", number, 0.5)
            for layout in layouts:
                options = ["--index", "audioldm,lhotse"] if layout == "folder" else []
                command = [sys.executable, "-m", "cratedig", "export", layout, f"{folder}/crate", *options]
                started = time.monotonic()
                process = subprocess.Popen(
                    [*command, "--out", f"{folder}/{layout}", "--workers", "2"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                peak = PeakMemory(process.pid, every_s=0.2)
                while process.poll() is None:
                    peak.watch_once()
                    time.sleep(0.2)
                print(
                    f"{number} clips, {layout}: peak {peak.peak_mib:.0f} MiB, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
                assert process.returncode == 0, layout
                shutil.rmtree(f"{folder}/{layout}")


def source() -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = list_input(str(DEMO_MUSIC / "metadata.csv"))
        crate = Crate.begin(Storage(Path(folder) / "crate"), ClipsConfig(), CARD)
        crate, _ = pour(crate, listing)
        times: dict[str, list[float]] = {}
        with GuardedDecoder(crate.config, decoder_rates(crate)) as decoder:
            clips = 0
            for _ in range(2):
                started = time.monotonic()
                found = [
                    mine_shard(crate, k, embedder=NoModel(), decoder=decoder, beat=lambda counts: None)
                    for k in crate.shards
                ]
                clips = sum(report.rows for report in found)
                times.setdefault("clips job without model", []).append(time.monotonic() - started)
                _label(crate)
                for rate, channels in ((24_000, 1), (44_100, 2)):
                    out = Path(folder) / f"{rate}"
                    spec = ExportSpec(layout="hf", labels="made", audio="source", rate_hz=rate, channels=channels)  # type: ignore[arg-type]
                    export = begin_export(crate, out, spec)
                    job = ExportJob(root=export.storage.url, crate=crate.storage.url, pours=export.pour_shards)
                    times.setdefault(f"source, {rate} Hz x {channels}", []).append(
                        run_shards(job, list(crate.shards))[0]
                    )
                    shutil.rmtree(out)
        for name, seconds in times.items():
            print(f"{name}: {1000 * min(seconds) / clips:.0f} ms a clip (of {len(seconds)} rounds, {clips} clips)")


def _label(crate: Crate) -> None:
    """Labels for a crate that was mined without a model."""
    write_sealed(crate.storage, "labels/made/run.json", RUN | {"covers": crate.covers})
    for index in crate.shards:
        with crate.storage.open(crate.clips_part(index)) as file:
            ids = parquet_file(file).read(columns=["clip_id"]).column(0).to_pylist()
        rows = [
            {"clip_id": i, "metadata": [], "llm_lf": [_caption("a piece")], "rater_sf": [_caption("calm")]} for i in ids
        ]
        name = part_name(*crate.at("labels/made", index))
        with crate.storage.write(name) as wrote:
            pq.write_table(pa.Table.from_pylist(rows, schema=labels_schema(["llm_lf", "rater_sf"])), wrote)
        report = ShardReport(shard=index, rows=len(ids), seconds=0.0, counts={})
        run_hash = crate.made_hash("made", index)
        write_marker(crate.storage, *crate.at("labels/made", index), report, run_hash=run_hash, files={name: wrote})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "source"))
    parser.add_argument("--clips", type=int)
    parser.add_argument("--layouts", default="hf,wds,folder,captions", help="of `memory` (default: all)")
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.clips or 600)
    elif args.what == "memory":
        memory([1_000, args.clips or 100_000], args.layouts.split(","))
    else:
        source()


if __name__ == "__main__":
    main()
