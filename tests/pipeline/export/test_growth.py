"""An export of a crate that has grown: the same command takes in what is new."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from beam_jobs.engine import Engine
from pipeline.export.verify import verify_export
from tests.crates import label, mine_clips, plan_crate
from tests.exports import clip_rows, export


def test_new_tracks_come_in_and_nothing_is_left_over(
    music: Path, tmp_path: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    files = sorted(music.iterdir())
    (tmp_path / "music").mkdir()
    for part in (files[:3], files[3:]):
        for file in part:
            shutil.copy(file, tmp_path / "music")
        crate = plan_crate(tmp_path / "music", tmp_path / "crate", tiny_clap)
        with Engine(workers=1) as engine:
            mine_clips(crate, engine)
            label(crate, vocabularies, engine, name="first")
        hf = export(tmp_path / "crate", tmp_path / "hf")
        folder = export(tmp_path / "crate", tmp_path / "folder", layout="folder", index=["tangoflux"])
        clips = [clip["clip_id"] for clip in clip_rows(tmp_path / "crate")]
        rows = [r for f in sorted((tmp_path / "hf/data").glob("*.parquet")) for r in pq.read_table(f).to_pylist()]
        assert [row["clip_id"] for row in rows] == clips
        listed = json.loads((tmp_path / "folder/tangoflux/train.json").read_text())
        assert {Path(item["location"]).stem for item in listed} == set(clips)
        assert verify_export(hf).holds
        assert verify_export(folder).holds
    assert len(crate.pours) == 2
    assert len(clips) == 16
