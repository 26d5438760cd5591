"""A track taken out of an export is nowhere in it, and the rest is what it would be had the track never been there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cratedig.main import main
from pipeline.export.export import Export
from pipeline.export.takedown import remove_tracks
from pipeline.export.verify import verify_export
from tests.exports import clip_rows, export, tree

LAYOUTS = {
    "hf": {"layout": "hf", "with_embeddings": True, "split": "hash:test=.4"},
    "wds": {"layout": "wds"},
    "folder": {"layout": "folder", "index": ["audiocraft", "ace-step", "lhotse"], "root": "/data"},
    "captions": {"layout": "captions"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_left_is_an_export_without_the_track(finished_crate: Path, tmp_path: Path, name: str) -> None:
    clips = clip_rows(finished_crate)
    gone = clips[3]["track_id"]
    shutil.copytree(finished_crate, tmp_path / "without")
    (tmp_path / "without" / "decontaminate").mkdir()
    pq.write_table(pa.table({"track_id": [gone]}), tmp_path / "without" / "decontaminate" / "one.parquet")
    choices = {**LAYOUTS[name], "root": "/data"}
    export(tmp_path / "without", tmp_path / "expected", **choices)
    made = export(finished_crate, tmp_path / "made", **choices)
    removed = remove_tracks(made, [gone])
    assert files_of(tmp_path / "made") == files_of(tmp_path / "expected")
    clips_gone = sum(clip["track_id"] == gone for clip in clips)
    assert removed.counts["dropped:removed"] == clips_gone
    assert removed.counts["clips"] == 16 - clips_gone
    assert verify_export(Export.open(tmp_path / "made")).holds
    for file in (f for f in (tmp_path / "made").rglob("*") if f.is_file()):
        assert gone.encode() not in file.read_bytes(), file
        assert gone not in str(file)
    # Again, and after a kill between the data and its marker: the same end.
    before = tree(tmp_path / "made")
    assert remove_tracks(Export.open(tmp_path / "made"), [gone]).counts == removed.counts
    assert tree(tmp_path / "made") == before


def files_of(root: Path) -> dict[str, str]:
    """All but what says how it came about."""
    return {n: h for n, h in tree(root).items() if n not in ("export.json", "README.md", "croissant.json")}


def test_a_kill_between_data_and_marker_is_mended(finished_crate: Path, tmp_path: Path) -> None:
    gone = clip_rows(finished_crate)[3]["track_id"]
    for name, choices in LAYOUTS.items():
        made = export(finished_crate, tmp_path / name, **choices)
        markers = {f: f.read_bytes() for f in (tmp_path / name / "shards").rglob("*.done.json")}
        once = remove_tracks(made, [gone])
        for file, data in markers.items():
            file.write_bytes(data)
        assert remove_tracks(Export.open(tmp_path / name), [gone]).counts == once.counts
        assert verify_export(Export.open(tmp_path / name)).holds


def test_exports_follow_a_takedown_of_their_crate(finished_crate: Path, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    shutil.copytree(finished_crate, crate)
    gone = clip_rows(finished_crate)[3]["track_id"]
    folders = [str(tmp_path / name) for name in ("hf", "wds")]
    for folder, name in zip(folders, ("hf", "wds"), strict=True):
        export(crate, Path(folder), **LAYOUTS[name])
    command = ["takedown", str(crate), "--track", gone, "--reason", "request", "--yes", "--exports", *folders]
    assert main(command) == 0
    for folder, name in zip(folders, ("hf", "wds"), strict=True):
        assert not [f for f in Path(folder).rglob("*") if f.is_file() and gone.encode() in f.read_bytes()]
        assert verify_export(Export.open(folder)).holds
        stamps = {f: f.stat().st_mtime_ns for f in Path(folder).rglob("*.done.json")}
        assert export(crate, Path(folder), **LAYOUTS[name]).counts["dropped:removed"] > 0
        assert {f: f.stat().st_mtime_ns for f in Path(folder).rglob("*.done.json")} == stamps  # nothing was made anew
    # An export that was not at hand then: the list is enough, and so is exporting again.
    export(finished_crate, tmp_path / "alone", **LAYOUTS["hf"])
    assert main(["takedown", str(tmp_path / "alone"), "--list", str(crate / "removed.parquet")]) == 0
    assert not [f for f in (tmp_path / "alone").rglob("*.parquet") if gone.encode() in f.read_bytes()]
    export(finished_crate, tmp_path / "again", **LAYOUTS["hf"])
    export(crate, tmp_path / "again", **LAYOUTS["hf"])
    assert not [f for f in (tmp_path / "again").rglob("*.parquet") if gone.encode() in f.read_bytes()]
    assert verify_export(Export.open(tmp_path / "again")).holds
