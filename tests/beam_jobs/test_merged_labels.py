"""Crates whose captions were found by the facts that they state, joined: proved, labelled, and proved again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from labeling.search.stated import STATED_FILES
from pipeline.crate.crate import Crate, candidate_sets
from pipeline.crate.manifest import write_manifest
from pipeline.crate.verify import verify_crate
from pipeline.curation.merge import merge_crates
from pipeline.storage import Storage
from tests.crates import label, mine_clips, plan_crate, state_facts
from vocab.store import Vocabulary

pytestmark = pytest.mark.slow


def test_joined_crates_are_proved_and_labelled_as_one_crate_of_all_their_music(
    tmp_path: Path, music: Path, vocabularies: Path, tiny_clap: Path, lane: Engine
) -> None:
    clap, vocabularies = tmp_path / "clap", state_facts(vocabularies, tmp_path)
    shutil.copytree(tiny_clap, clap)
    files, crates = sorted(music.iterdir()), []
    for number, part in enumerate((files[::2], files[1::2], files)):
        folder = tmp_path / f"music{number}"
        folder.mkdir()
        for file in part:
            shutil.copy(file, folder)
        crate = plan_crate(folder, tmp_path / f"crate{number}", clap)
        _bring_numbers(clap, crate, vocabularies)
        mine_clips(crate, lane)
        run = label(crate, vocabularies, lane)
        write_manifest(crate)
        crates.append(Crate.open(crate.storage.url))
    both, _ = merge_crates(crates[:2], Storage(tmp_path / "both"))
    write_manifest(both)
    assert verify_crate(Crate.open(tmp_path / "both")).faults == []
    sets = candidate_sets(both.storage)
    assert sets == candidate_sets(crates[0].storage)
    assert len(sets) == 2
    for name in (f"{folder}/{file}" for folder in sets for file in (*STATED_FILES, "heard-rows.npy")):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "crate0" / name).read_bytes()
    assert label(both, vocabularies, lane) == run
    write_manifest(both)
    proof = verify_crate(Crate.open(tmp_path / "both"))
    assert proof.faults == []
    whole = _rows(tmp_path / "crate2", f"labels/{run}")
    assert proof.label_rows == {run: len(whole)}
    assert _rows(tmp_path / "both", f"labels/{run}") == whole


def _rows(root: Path, folder: str) -> dict[str, dict[str, Any]]:
    table = pq.read_table(sorted((root / folder).rglob("part-*.parquet")))
    return {row["clip_id"]: row for row in table.to_pylist()}


def _bring_numbers(clap: Path, crate: Crate, vocabularies: Path) -> None:
    """A scoring.json like the bundled model's: an offset, what is heard, and a vector for each fact."""
    dice, size = np.random.default_rng(7), crate.embedder.dimension
    columns = [Vocabulary.load(vocabularies / f"{kind}.parquet").table.column("facts") for kind in ("long", "short")]
    facts = sorted({fact for column in columns for stated in column.to_pylist() for fact in stated})
    numbers = {
        "weights_hash": crate.embedder.weights_hash,
        "offset": dice.normal(0, 0.1, size).tolist(),
        "hears": facts,
        "facts": {fact: dice.normal(0, 0.2, size).tolist() for fact in facts},
    }
    (clap / "scoring.json").write_text(json.dumps(numbers))
