"""Crates that are joined hold what one crate of all their music holds, and nothing is searched again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.crate.crate import Crate
from pipeline.crate.manifest import write_manifest
from pipeline.crate.verify import verify_crate
from pipeline.curation.merge import merge_crates
from pipeline.errors import CrateMismatch
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
    both = merge_crates(crates, Storage(tmp_path / "both"))
    for what in ("clips", *(f"candidates/{path.name}" for path in (tmp_path / "both" / "candidates").glob("tiny-*"))):
        assert rows_of(tmp_path / "both", what) == rows_of(tmp_path / "whole", what)
    label(both, vocabularies)
    assert rows_of(tmp_path / "both", "labels") == rows_of(tmp_path / "whole", "labels")
    write_manifest(both)
    assert verify_crate(Crate.open(tmp_path / "both")).holds
    with pytest.raises(CrateMismatch, match=r"stands in .*c0 and in .*whole"):
        merge_crates([crates[0], whole], Storage(tmp_path / "more"))
