"""Clips joined with their labels, checked."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.crate.crate import Crate
from pipeline.crate.dataset import iterate_clips, the_label_run
from pipeline.errors import BadInput, CrateMismatch


def test_every_clip_comes_with_its_labels_and_its_sound(finished_crate: Path) -> None:
    crate = Crate.open(finished_crate)
    rows = list(iterate_clips(crate, the_label_run(crate), columns=["audio_16k", "duration_s"]))
    assert len(rows) == 16
    assert all(row.clip["clip_id"] == row.labels["clip_id"] for row in rows)
    samples, rate = rows[0].audio("audio_16k")
    assert (len(samples), rate) == (32_000, 16_000)
    assert set(rows[0].clip) == {"clip_id", "audio_16k", "duration_s"}


def test_without_labels(finished_crate: Path) -> None:
    assert all(row.labels == {} for row in iterate_clips(Crate.open(finished_crate), columns=["index"]))


def test_labels_that_do_not_match_are_refused(finished_crate: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    files = sorted((tmp_path / "crate/labels/first").rglob("*.parquet"))
    shorter = next(f for f in files if pq.read_metadata(f).num_rows > 1)
    pq.write_table(pq.read_table(shorter).slice(1), shorter)
    with pytest.raises(CrateMismatch, match=r"where the clips have .*cratedig verify"):
        list(iterate_clips(crate, "first", columns=[]))
    files[0].unlink()
    with pytest.raises(CrateMismatch, match="finish the labels: cratedig label"):
        list(iterate_clips(crate, "first", columns=[]))


def test_which_labels(finished_crate: Path) -> None:
    crate = Crate.open(finished_crate)
    assert the_label_run(crate) == "first"
    with pytest.raises(BadInput, match="has no labels 'second'; it has: first"):
        the_label_run(crate, "second")


def test_what_the_readme_says_of_datasets_and_soundfile(finished_crate: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="what the README shows")
    files = f"{finished_crate}/clips/**/*.parquet"
    clips = datasets.load_dataset("parquet", data_files=files, split="train")
    for name in ("audio", "audio_16k"):
        clips = clips.cast_column(name, datasets.Audio(decode=False))
    samples, rate_hz = soundfile.read(io.BytesIO(clips[0]["audio"]["bytes"]))
    assert (len(samples), rate_hz) == (48_000, 24_000)
