"""Crates that are joined hold what one crate of all their music holds, and nothing is searched again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.crate.crate import Crate
from pipeline.crate.manifest import write_manifest
from pipeline.crate.seals import read_sealed
from pipeline.crate.verify import verify_crate
from pipeline.curation.merge import merge_crates
from pipeline.storage import Storage
from tests.crates import write_music
from tests.labeling.report.report_crate import label, make_vocabularies, mine


def rows_of(root: Path, folder: str) -> dict[str, dict[str, object]]:
    files = sorted((root / folder).rglob("part-*.parquet"))
    return {row["clip_id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def test_merged_crates_hold_the_rows_candidates_and_captions_of_one(tmp_path: Path) -> None:
    music, vocabularies = write_music(tmp_path / "music", tracks=4), make_vocabularies(tmp_path)
    files, crates = sorted(music.iterdir()), []
    for number, part in enumerate((files[::2], files[1::2])):
        (tmp_path / f"m{number}").mkdir()
        for file in part:
            shutil.copy(file, tmp_path / f"m{number}")
        crates.append(mine(tmp_path / f"m{number}", tmp_path / f"c{number}"))
        label(crates[-1], vocabularies)
    whole = mine(music, tmp_path / "whole")
    label(whole, vocabularies)
    both, clashes = merge_crates(crates, Storage(tmp_path / "both"))
    assert not clashes.total()
    for what in ("clips", *(f"candidates/{path.name}" for path in (tmp_path / "both" / "candidates").glob("tiny-*"))):
        assert rows_of(tmp_path / "both", what) == rows_of(tmp_path / "whole", what)
    label(both, vocabularies)
    assert rows_of(tmp_path / "both", "labels") == rows_of(tmp_path / "whole", "labels")
    write_manifest(both)
    assert verify_crate(Crate.open(tmp_path / "both")).holds
    again, clashes = merge_crates([crates[0], whole], Storage(tmp_path / "more"))  # the first half stands in both
    assert clashes == {"dropped": len(files[::2]), "renamed": 0}
    label(again, vocabularies)
    for what in ("clips", "labels"):
        assert rows_of(tmp_path / "more", what) == rows_of(tmp_path / "whole", what)
    write_manifest(again)
    proof = verify_crate(Crate.open(tmp_path / "more"))
    assert proof.holds, proof.faults
    assert proof.planned == len(files)


def test_another_file_under_the_same_key_gets_a_key_of_its_own(tmp_path: Path) -> None:
    music, vocabularies = write_music(tmp_path / "music", tracks=7), make_vocabularies(tmp_path)
    one, other = music / "song0.flac", music / "song6.flac"
    crates = []
    for number, (first, second) in enumerate(((one, other), (other, other))):
        folder = tmp_path / f"m{number}"
        folder.mkdir()
        shutil.copy(first, folder / f"a{other.suffix}")  # one key, two files
        shutil.copy(second, folder / f"b{other.suffix}")  # one key, one file
        crates.append(mine(folder, tmp_path / f"c{number}"))
        label(crates[-1], vocabularies)
    both, clashes = merge_crates(crates, Storage(tmp_path / "both"))
    assert clashes == {"dropped": 1, "renamed": 1}
    sets = [f"candidates/{path.name}" for path in (tmp_path / "both" / "candidates").glob("tiny-*") if path.is_dir()]
    assert len(sets) == 2
    came_along = {name: rows_of(tmp_path / "both", name) for name in sets}
    for name in sets:
        assert both.undone(name, read_sealed(crates[1].storage, f"{name}/set.json")["run_hash"]) == []
    label(both, vocabularies)
    assert {name: rows_of(tmp_path / "both", name) for name in sets} == came_along, "as a search finds them"
    write_manifest(both)
    proof = verify_crate(Crate.open(tmp_path / "both"))
    assert proof.holds, proof.faults
    clips = rows_of(tmp_path / "both", "clips")
    a, b = f"a{other.suffix}", f"b{other.suffix}"
    assert {row["source_key"] for row in clips.values()} == {a, b, f"c1/{a}"}
    renamed = {clip: row for clip, row in clips.items() if row["source_key"] == f"c1/{a}"}
    before = {r["index"]: r for r in rows_of(tmp_path / "c1", "clips").values() if r["source_key"] == a}
    assert len(renamed) == len(before) > 0
    for clip, row in renamed.items():
        was = before[row["index"]]
        assert row["audio"]["bytes"] == was["audio"]["bytes"]
        assert row["audio"]["path"] == was["audio"]["path"].replace(was["clip_id"], clip)
        assert row["embedding"] == was["embedding"]
        assert clip.rpartition("-")[0] == row["track_id"]
