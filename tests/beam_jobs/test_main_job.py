"""The main job on real files and processes: the same bytes whoever does it, and nothing lost."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from pipeline.crate.crate import Crate
from pipeline.crate.manifest import hash_by_markers, write_manifest
from pipeline.crate.verify import verify_crate
from pipeline.errors import CrateMismatch
from pipeline.publishing.card import write_card
from tests.audio_files import chord, write_audio
from tests.crates import CONFIG, label, mine_clips, plan_crate, write_captions

pytestmark = pytest.mark.slow


def data_hash(root: Path) -> str:
    """Of every data file's name and bytes."""
    digest = hashlib.sha256()
    for file in sorted(f for folder in ("clips", "rejects", "labels") for f in (root / folder).rglob("*.parquet")):
        digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()


def test_what_the_plan_promised_is_there_with_reasons_for_the_rest(finished_crate: Path) -> None:
    crate = Crate.open(finished_crate)
    proof = verify_crate(crate)
    assert proof.holds
    # Of 8 files, one is silent and one is text; the others are 5, 5.5, ... 7.5 s long: 2, 2, 3, 3, 3, 3 clips of 2 s.
    assert (proof.planned, proof.written, proof.rejected) == (8, 6, 2)
    assert proof.clips == 16
    # 5 and 5.5 s leave 1 and 1.5 s over; from 6 s on three clips fit. The silent file's two clips are left out.
    assert proof.reasons == {"track:not-audio": 1, "clip:silent": 2, "clip:too-short": 2}
    assert proof.label_rows == {"first": 16}


def test_two_workers_write_the_bytes_of_one(
    finished_crate: Path, tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    with Engine(workers=2) as engine:
        mine_clips(crate, engine)
        label(crate, vocabularies, engine, name="first")
    assert data_hash(tmp_path / "crate") == data_hash(finished_crate)
    assert write_manifest(crate)["content_hash"] == hash_by_markers(Crate.open(finished_crate))


@pytest.fixture
def job_service() -> str:
    """Beam's portable job service, in a process of its own."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                break
        time.sleep(0.2)
    yield f"localhost:{port}"
    process.terminate()
    process.wait(timeout=20)


def test_beams_portable_runner_writes_the_same_bytes(
    finished_crate: Path, tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path, job_service: str
) -> None:
    portable = Engine(
        runner="PortableRunner", beam_options=(f"--job_endpoint={job_service} --environment_type=LOOPBACK",), workers=1
    )
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    mine_clips(crate, portable)
    label(crate, vocabularies, portable, name="first")
    assert data_hash(tmp_path / "crate") == data_hash(finished_crate)


def test_random_kills_cost_time_only(
    finished_crate: Path, tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    dice = random.Random(4)
    stop = threading.Event()
    killed: list[int] = []

    def killer() -> None:
        while not stop.wait(dice.uniform(1.0, 3.0)) and len(killed) < 3:
            children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            pids = [int(p) for f in children for p in f.read_text().split()]
            lanes = [p for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
            if lanes:
                victim = dice.choice(lanes)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        with Engine(workers=2, attempts=10) as engine:
            mine_clips(crate, engine)
            label(crate, vocabularies, engine, name="first")
    finally:
        stop.set()
        thread.join()
    assert killed
    assert data_hash(tmp_path / "crate") == data_hash(finished_crate)
    assert not list((tmp_path / "crate").rglob(".tmp-*"))
    assert not (tmp_path / "crate" / ".progress").exists()


def test_a_rerun_does_only_what_is_missing(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    assert mine_clips(crate, lane) == 0
    untouched = (tmp_path / "crate" / crate.clips_part(0)).stat().st_mtime_ns
    (tmp_path / "crate" / crate.clips_part(1)).unlink()
    assert not verify_crate(crate).holds
    assert mine_clips(crate, lane) == 1
    assert (tmp_path / "crate" / crate.clips_part(0)).stat().st_mtime_ns == untouched
    assert data_hash(tmp_path / "crate") == data_hash(finished_crate)


def test_mended_files_are_taken_in_by_retry_rejects_wherever_they_lie_now(
    finished_crate: Path, tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    shutil.copytree(music, tmp_path / "music")
    (tmp_path / "music" / "song1.mp3").rename(tmp_path / "song1.mp3")
    (tmp_path / "music" / "song1.mp3").write_bytes(b"")
    crate = plan_crate(tmp_path / "music", tmp_path / "crate", tiny_clap)
    with Engine(workers=1) as engine:
        mine_clips(crate, engine)
        label(crate, vocabularies, engine, name="first")
        label(crate, vocabularies, engine, name="debiased", debias="crate")
        assert verify_crate(crate).reasons["track:empty"] == 1
        (tmp_path / "music").rename(tmp_path / "moved")
        shutil.copy(tmp_path / "song1.mp3", tmp_path / "moved" / "song1.mp3")
        crate = plan_crate(tmp_path / "moved", tmp_path / "crate", tiny_clap)
        assert len(crate.retry_rejects()) == 2  # the empty file's shard and the one of the text called .mp3
        mine_clips(crate, engine)
        label(crate, vocabularies, engine, name="first")
        assert verify_crate(crate).holds
        assert data_hash(tmp_path / "crate") == data_hash(finished_crate)
        # Hub correction takes off a mean over clips: it must be that of the clips as they are now.
        shutil.copytree(finished_crate, tmp_path / "undisturbed")
        for root in (tmp_path / "crate", tmp_path / "undisturbed"):
            label(Crate.open(root), vocabularies, engine, name="debiased", debias="crate")
    assert data_hash(tmp_path / "crate") == data_hash(tmp_path / "undisturbed")


def test_clips_that_are_no_music_are_left_out_and_counted(
    finished_crate: Path, music: Path, tmp_path: Path, tiny_clap: Path, lane: Engine
) -> None:
    scores = pq.read_table(sorted((finished_crate / "clips").rglob("*.parquet")), columns=["music_score"]).column(0)
    limit = float(np.median(scores.to_numpy()))
    crate = plan_crate(music, tmp_path / "crate", tiny_clap, CONFIG.model_copy(update={"min_music": limit}))
    mine_clips(crate, lane)
    left = pq.read_table(sorted((tmp_path / "crate/clips").rglob("*.parquet"))).column("music_score").to_numpy()
    assert sorted(left) == sorted(score for score in scores.to_numpy() if score >= limit)
    proof = verify_crate(crate)
    assert proof.holds
    assert proof.reasons["clip:not-music"] == len(scores) - len(left) > 0
    from labeling.weak import WeakClips, said_of

    (line,) = said_of(Crate.open(finished_crate), WeakClips(limit))
    assert line.startswith(f"warning: {len(scores) - len(left)} of {len(scores)} clips")
    assert list(said_of(crate, WeakClips(limit))) == []


def test_tags_of_files_are_the_metadata_of_clips(tmp_path: Path, tiny_clap: Path, lane: Engine) -> None:
    from beam_jobs.labels import label_crate

    rate = 44_100
    (tmp_path / "music").mkdir()
    tags = {"title": "Tagged", "artist": "Ada", "album": "One", "genre": "Folk", "comment": "secret"}
    write_audio(tmp_path / "music/a.flac", chord(2, rate), rate, "flac", tags=tags)
    write_audio(tmp_path / "music/b.mp3", chord(2, rate), rate, "mp3", tags=tags | {"title": "Two"})
    (tmp_path / "songs.csv").write_text("path,title,shelf\nmusic/a.flac,Listed,upper\nmusic/b.mp3,,\n")
    crate = plan_crate(tmp_path / "songs.csv", tmp_path / "crate", tiny_clap)
    assert mine_clips(crate, lane) == 1
    run = label_crate(crate, profile="curated", engine=lane)
    rows = pq.read_table(sorted((tmp_path / "crate" / run.folder).rglob("*.parquet"))).to_pylist()
    assert sorted(row["metadata"] for row in rows) == [["Listed", "Ada", "Folk"], ["Two", "Ada", "Folk"]]
    assert sorted(row["prompt"] for row in rows) == [
        "Listed; by Ada; Folk; album: One; shelf: upper",
        "Two; by Ada; Folk; album: One",
    ]
    clips = pq.read_table(sorted((tmp_path / "crate/clips").rglob("*.parquet"))).to_pylist()
    found = {clip["source_key"]: clip for clip in clips}
    assert found["music/a.flac"]["from_list"] == ["shelf", "title"]
    assert found["music/a.flac"]["from_file"] == ["album", "artist", "comment", "tags", "title"]
    assert found["music/b.mp3"]["extra"] == [{"name": "comment", "value": "secret"}]


def test_datasets_loads_clips_and_labels_without_our_code(finished_crate: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the dev extra has it")
    import io

    import soundfile

    crate = shutil.copytree(finished_crate, tmp_path / "crate")
    write_card(Crate.open(crate))
    clips = datasets.load_dataset("parquet", data_files=str(crate / "clips" / "**" / "*.parquet"), split="train")
    assert datasets.load_dataset(str(crate), split="train")["clip_id"][:] == clips["clip_id"][:]
    by_card = datasets.load_dataset(str(crate), "labels-first", split="train")
    assert by_card["clip_id"][:] == clips["clip_id"][:]
    assert isinstance(clips.features["audio"], datasets.Audio)
    assert clips.features["audio"].sampling_rate == 24_000
    assert clips.features["audio_16k"].sampling_rate == 16_000
    labels = datasets.load_dataset(
        "parquet", data_files=str(crate / "labels" / "first" / "**" / "*.parquet"), split="train"
    )
    assert clips["clip_id"][:] == labels["clip_id"][:]
    for column in ("audio", "audio_16k"):  # decoding is torchcodec's, whose wheel wants CUDA libraries
        clips = clips.cast_column(column, datasets.Audio(decode=False))
    raw = clips[0]["audio"]["bytes"]
    samples, rate = soundfile.read(io.BytesIO(raw))
    assert (len(samples), rate) == (48_000, 24_000)
    assert np.abs(samples).max() > 0.05


def test_the_embedder_must_be_the_one_the_crate_was_begun_with(
    tmp_path: Path, music: Path, tiny_clap: Path, finished_crate: Path, vocabularies: Path, lane: Engine
) -> None:
    from tests.tiny_clap import make_tiny_clap

    other = make_tiny_clap(tmp_path / "other", window_s=1, seed=1)
    with pytest.raises(CrateMismatch, match=r"was embedded by tiny .*, asked for is other .*another folder"):
        plan_crate(music, finished_crate, other)
    shutil.copytree(finished_crate, tmp_path / "crate")
    write_captions(tmp_path / "long.parquet", "long", 50)
    write_captions(tmp_path / "short.parquet", "short", 50)
    with pytest.raises(CrateMismatch, match="captions must go through the same model"):
        label(Crate.open(tmp_path / "crate"), tmp_path, lane, embedder=str(other))
