"""Labelling by the fast search: another set of candidates, the same captions where its recall is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import beam_jobs.caption_index
from beam_jobs.caption_index import search_name
from beam_jobs.engine import Engine
from beam_jobs.labels import label_crate
from pipeline.crate.crate import Crate
from tests.crates import mine_clips, plan_crate, write_captions, write_music
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow

pytest.importorskip("faiss", reason="the fast search needs faiss-cpu")


def test_small_vocabularies_are_searched_exactly() -> None:
    assert search_name("fast", 49_999) == "exact"
    assert search_name("fast", 50_000) == "faiss-recall-0.99"
    assert search_name("exact", 4_000_000) == "exact"


def test_fast_candidates_are_the_exact_ones_and_lie_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_jobs.caption_index, "FAST_FROM", 20)
    engine = Engine(workers=1)
    clap = make_tiny_clap(tmp_path / "clap")
    crate = plan_crate(write_music(tmp_path / "music", tracks=2), tmp_path / "crate", clap)
    mine_clips(crate, engine)
    given = {
        "llm_lf": str(write_captions(tmp_path / "long.parquet", "long")),
        "rater_sf": str(write_captions(tmp_path / "short.parquet", "short")),
    }
    said: list[str] = []
    options = {"vocabularies": given, "embedder": str(clap), "device": "cpu", "engine": engine}
    exact = label_crate(crate, **options)  # type: ignore[arg-type]
    fast = label_crate(crate, **options, search="fast", note=said.append)  # type: ignore[arg-type]
    assert exact.name != fast.name
    assert fast.candidates["llm_lf"].search == "faiss-recall-0.99"
    assert any("finds 100.00% of the exact top 10 on" in text for text in said), said
    card = json.loads((tmp_path / "crate" / fast.candidates["llm_lf"].folder / "captions.faiss.json").read_text())
    assert (card["captions"], card["k"], card["recall"]) == (40, 10, 1.0)
    for slot in ("llm_lf", "rater_sf"):
        parts = sorted((tmp_path / "crate" / exact.candidates[slot].folder).rglob("part-*.parquet"))
        assert parts
        for part in parts:
            other = tmp_path / "crate" / fast.candidates[slot].folder / part.parent.name / part.name
            assert pq.read_table(part, columns=["caption_id"]).equals(pq.read_table(other, columns=["caption_id"]))
    assert Crate.open(tmp_path / "crate").clips_hash == crate.clips_hash
