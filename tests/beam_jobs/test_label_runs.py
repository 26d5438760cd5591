"""Label runs over a finished crate: what is drawn is what the candidates and their counts say."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from labeling.report.page import write_report
from pipeline.crate.crate import Crate
from pipeline.crate.growth import pour
from pipeline.crate.verify import verify_crate
from pipeline.errors import BadInput, VocabularyProblem
from pipeline.storage import Storage
from tests.crates import CONFIG, label, state_facts, write_captions

pytestmark = pytest.mark.slow


def test_labels_are_drawn_from_the_true_top_k_by_their_true_counts(finished_crate: Path, vocabularies: Path) -> None:
    from labeling.embedders.by_name import load_embedder
    from vocab.store import Vocabulary

    crate = Crate.open(finished_crate)
    captions = Vocabulary.load(vocabularies / "long.parquet")
    vectors = load_embedder(crate.embedder_source, device="cpu").embed_text(captions.texts.to_pylist())
    clips = pq.read_table([finished_crate / crate.clips_part(i) for i in crate.shards]).to_pylist()
    labels = pq.read_table(sorted((finished_crate / "labels" / "first").rglob("*.parquet"))).to_pylist()
    scores = np.array([c["embedding"] for c in clips]) @ vectors.T
    ids = [f"{i:016x}" for i in captions.ids]
    tops = [np.argsort(-row, kind="stable")[:10] for row in scores]
    counts = Counter(ids[i] for top in tops for i in top)
    for row, top, score in zip(labels, tops, scores, strict=True):
        weights = {ids[i]: 1 / counts[ids[i]] for i in top}
        assert len(row["llm_lf"]) == 3
        assert len(row["rater_sf"]) == 6
        assert [label["rank"] for label in row["llm_lf"]] == sorted(label["rank"] for label in row["llm_lf"])
        for drawn in row["llm_lf"]:
            caption = ids.index(drawn["caption_id"])
            assert drawn["text"] == captions.texts[caption].as_py()
            assert top[drawn["rank"]] == caption
            assert drawn["score"] == pytest.approx(score[caption], abs=1e-5)
            assert drawn["count"] == counts[drawn["caption_id"]]
            assert drawn["probability"] == pytest.approx(weights[drawn["caption_id"]] / sum(weights.values()))


def test_another_seed_decodes_and_searches_nothing(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "crate" / "candidates").rglob("part-*")}
    second = label(crate, vocabularies, lane, seed=1)
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "crate" / "candidates").rglob("part-*")} == before
    runs = [
        pq.read_table(sorted((tmp_path / "crate" / "labels" / run).rglob("*.parquet"))) for run in ("first", second)
    ]
    assert runs[0].column("clip_id") == runs[1].column("clip_id")
    assert runs[0].column("llm_lf") != runs[1].column("llm_lf")
    assert verify_crate(crate).label_rows == {"first": 16, second: 16}


def test_hub_correction_takes_off_each_captions_mean(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    run = label(crate, vocabularies, lane, debias="crate", method="top", name="debiased")
    clips = pq.read_table([tmp_path / "crate" / crate.clips_part(i) for i in crate.shards]).to_pylist()
    labels = pq.read_table(sorted((tmp_path / "crate" / "labels" / run).rglob("*.parquet"))).to_pylist()
    from labeling.embedders.by_name import load_embedder
    from vocab.store import Vocabulary

    captions = Vocabulary.load(vocabularies / "long.parquet")
    vectors = load_embedder(crate.embedder_source, device="cpu").embed_text(captions.texts.to_pylist())
    scores = np.array([c["embedding"] for c in clips]) @ vectors.T
    corrected = scores - scores.mean(0)
    for row, expected in zip(labels, corrected, strict=True):
        assert [x["score"] for x in row["llm_lf"]] == pytest.approx(sorted(expected, reverse=True)[:3], abs=1e-5)


def test_a_model_that_brings_numbers_has_its_own_mean_taken_off_and_only_what_it_hears_said(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    import json

    from labeling.embedders.by_name import load_embedder
    from vocab.store import Vocabulary

    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    vocabularies = state_facts(vocabularies, tmp_path)
    clap = tmp_path / "clap"
    shutil.copytree(crate.embedder_source, clap)
    offset = np.random.default_rng(5).normal(0, 0.1, crate.embedder.dimension)
    heard = ["instrument:piano", "tempo:slow", "tempo:fast", "energy:calm", "mood:dark", "mood:sad", "mood:happy"]
    heard += ["style:jazz", "style:rock", "genre:folk", "register:high"]
    scoring = {"weights_hash": crate.embedder.weights_hash, "offset": offset.tolist(), "hears": heard}
    (clap / "scoring.json").write_text(json.dumps(scoring))
    notes: list[str] = []
    settings = {"method": "top", "embedder": str(clap), "k": 6, "note": notes.append}
    run = label(crate, vocabularies, lane, name="heard", **settings)
    clips = pq.read_table([tmp_path / "crate" / crate.clips_part(i) for i in crate.shards]).to_pylist()
    labels = pq.read_table(sorted((tmp_path / "crate" / "labels" / run).rglob("*.parquet"))).to_pylist()
    texts = Vocabulary.load(vocabularies / "long.parquet").texts.to_pylist()
    may = [t for t in texts if "piano" in t and not any(w in t for w in ("loud", "soft", "warm", "bright"))]
    assert 6 <= len(may) < len(texts)
    assert any(f"{len(may)} of {len(texts)} are searched" in note for note in notes)
    vectors = load_embedder(str(clap), device="cpu").embed_text(may)
    embeddings = np.array([c["embedding"] for c in clips])
    taken_off = (len(clips) * embeddings.mean(0) + 50 * offset) / (len(clips) + 50)
    scores = (embeddings - taken_off) @ vectors.T
    for row, expected in zip(labels, scores, strict=True):
        assert [x["score"] for x in row["llm_lf"]] == pytest.approx(sorted(expected, reverse=True)[:3], abs=1e-5)
        assert {x["text"] for x in row["llm_lf"]} <= set(may)
    plain = label(crate, vocabularies, lane, name="plain", debias="none", captions="all", embedder=str(clap))
    file = f"labels/{{}}/pour-00000/part-00000-of-{len(crate.shards):05d}.parquet"
    first, second = (pq.read_table(tmp_path / "crate" / file.format(name)) for name in ("first", plain))
    assert first.column("llm_lf") == second.column("llm_lf")


def test_captions_are_found_by_their_facts_and_drawn_by_their_meaning(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    import json

    from labeling.embedders.by_name import load_embedder
    from vocab.grammar.lexicon import stated_facts
    from vocab.store import Vocabulary

    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")
    clap = tmp_path / "clap"
    shutil.copytree(crate.embedder_source, clap)
    rng = np.random.default_rng(6)
    state_facts(vocabularies, tmp_path, most=1)  # a few meanings
    texts = {kind: Vocabulary.load(tmp_path / f"{kind}.parquet").texts.to_pylist() for kind in ("long", "short")}
    first = [sorted(stated_facts(text))[:1] for text in texts["long"]]
    vectors = {fact: rng.normal(0, 0.2, crate.embedder.dimension) for fact in sorted({f for one in first for f in one})}
    offset = rng.normal(0, 0.1, crate.embedder.dimension)
    scoring = {"weights_hash": crate.embedder.weights_hash, "offset": offset.tolist(), "hears": list(vectors)}
    scoring |= {"facts": {f: v.tolist() for f, v in vectors.items()}, "holds": [0.3, 2.0]}
    (clap / "scoring.json").write_text(json.dumps(scoring))
    run = label(crate, tmp_path, lane, name="stated", captions="all", embedder=str(clap))
    clips = pq.read_table([tmp_path / "crate" / crate.clips_part(i) for i in crate.shards]).to_pylist()
    labels = pq.read_table(sorted((tmp_path / "crate" / "labels" / run).rglob("*.parquet"))).to_pylist()
    sums = load_embedder(str(clap), device="cpu").embed_text(texts["long"]).astype(np.float64)
    sums += np.stack([sum((vectors[f] for f in one), np.zeros(len(offset))) for one in first])
    embeddings = np.array([c["embedding"] for c in clips])
    less = embeddings - (len(clips) * embeddings.mean(0) + 50 * offset) / (len(clips) + 50)
    scores = less @ sums.T
    tops = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    meaning = [tuple(one) or (row,) for row, one in enumerate(first)]
    counts = Counter(meaning[i] for top in tops for i in top)
    repeated = 0
    for row, top, score in zip(labels, tops, scores, strict=True):
        drawn = [texts["long"].index(x["text"]) for x in row["llm_lf"]]
        assert set(drawn) <= set(top.tolist())
        assert [x["score"] for x in row["llm_lf"]] == pytest.approx(score[drawn], abs=1e-4)
        assert [x["count"] for x in row["llm_lf"]] == [counts[meaning[i]] for i in drawn]
        assert len({meaning[i] for i in drawn}) == min(3, len({meaning[i] for i in top}))
        repeated += len({meaning[i] for i in top}) < 10
    assert repeated  # else the test shows nothing
    assert verify_crate(crate).faults == []

    page = Path(write_report(crate, run, clips=len(clips))).read_text()
    chances = set()
    for clip, row in zip(less, labels, strict=True):
        for text in (x["text"] for x in row["llm_lf"]):
            facts = {f.replace("lead:", "instrument:") for f in stated_facts(text)} & set(vectors)
            each = [1 / (1 + np.exp(-(0.3 + 2 * vectors[f] @ clip))) for f in facts]
            if facts:
                chances.add((text, f"{np.mean(each):.2f}"))
    shown = re.findall(r"<bdi>([^<]*)</bdi></p>\s*<p class=\"why\">(?:(?!</p>).)*?>holds ([0-9.]+)<", page, re.DOTALL)
    assert {(text, chance) for text, chance in shown if text in texts["long"]} == chances
    assert len({chance for _, chance in chances}) > 3


def test_numbers_that_a_model_does_not_bring_are_refused(
    finished_crate: Path, vocabularies: Path, lane: Engine
) -> None:
    crate = Crate.open(finished_crate)
    for settings, hint in (({"debias": "model"}, "--debias crate or none"), ({"captions": "heard"}, "--captions all")):
        with pytest.raises(BadInput, match=hint):
            label(crate, vocabularies, lane, **settings)


def test_curated_joins_metadata_and_retrieves_nothing(
    tmp_path: Path, music: Path, tiny_clap: Path, lane: Engine
) -> None:
    from beam_jobs.labels import label_crate
    from labeling.embedders.by_name import embedder_card
    from pipeline.source.listing import list_input

    manifest = tmp_path / "songs.csv"
    manifest.write_text(
        "path,title,artist,tags,licence,year\n"
        f'{music}/song0.flac,"Rain, again",Ada,"folk;calm",CC0-1.0,1999\n'
        f"{music}/song2.wav,,,,,\n"
    )
    crate = Crate.begin(Storage(tmp_path / "crate"), CONFIG, embedder_card(str(tiny_clap)))
    crate, _ = pour(crate, list_input(str(manifest)))
    crate = Crate.open(tmp_path / "crate")
    from beam_jobs.clips import ClipsJob
    from beam_jobs.engine import run_job

    job = ClipsJob(root=str(tmp_path / "crate"), pours=crate.pour_shards, embedder=str(tiny_clap), device="cpu")
    run_job(job, lane)
    run = label_crate(crate, profile="curated", engine=lane)
    rows = pq.read_table(sorted((tmp_path / "crate" / run.folder).rglob("*.parquet"))).to_pylist()
    assert {row["prompt"] for row in rows} == {"Rain, again; by Ada; folk, calm; year: 1999", ""}
    assert set(rows[0]) == {"clip_id", "metadata", "prompt"}
    assert ["Rain, again", "Ada", "folk", "calm"] in [row["metadata"] for row in rows]


def test_weak_captions_are_left_out_and_counted(
    finished_crate: Path, tmp_path: Path, vocabularies: Path, capsys: pytest.CaptureFixture[str], lane: Engine
) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    crate = Crate.open(tmp_path / "crate")

    def scores(run: str) -> list[list[float]]:
        files = sorted((tmp_path / "crate/labels" / run).rglob("*.parquet"))
        return [[label["score"] for label in row["llm_lf"]] for row in pq.read_table(files).to_pylist()]

    every = scores("first")
    limit = float(np.median(np.concatenate(every)))
    said: list[str] = []
    run = label(crate, vocabularies, lane, min_similarity=limit, name="strong", note=said.append)
    strong = scores(run)
    assert all(score >= limit for row in strong for score in row)
    assert {len(row) for row in strong} > {3}, "some clips have fewer than three, and some have all"
    assert [len(row) for row in every] == [3] * len(every)
    missing = 3 * len(every) - sum(map(len, strong))
    assert f"captions llm_lf: {missing} left out, below --min-similarity {limit:g}" in said
    assert verify_crate(crate).holds


def test_profiles_refuse_what_they_must_not_use(finished_crate: Path, tmp_path: Path, vocabularies: Path) -> None:
    from beam_jobs.labels import check_labels

    rater = str(write_captions(tmp_path / "rater-lf.parquet", "long", evaluation_derived=True))
    with pytest.raises(
        BadInput, match=r"noise2music takes llm_lf, rater_sf, not 'rater_lf' \(Rater-LF comes from the set"
    ):
        check_labels("noise2music", {"rater_lf": rater}, 10)
    with pytest.raises(VocabularyProblem, match=r"must not train on its sentences \(PAPER 3.6\)"):
        check_labels("noise2music", {"llm_lf": rater}, 10)
    with pytest.raises(BadInput, match="mulamcap needs a vocabulary for rater_lf, and none is bundled"):
        check_labels("mulamcap", {}, 10)
    assert check_labels("mulamcap", {"rater_lf": rater}, 10)[1]["rater_lf"] == rater
    with pytest.raises(VocabularyProblem, match="holds short captions, slot llm_lf of noise2music takes long ones"):
        check_labels("noise2music", {"llm_lf": str(vocabularies / "short.parquet")}, 10)
    with pytest.raises(BadInput, match="k is 5, profile noise2music draws up to 6"):
        check_labels("noise2music", {}, 5)
    few = str(write_captions(tmp_path / "few.parquet", "short", 4))
    with pytest.raises(VocabularyProblem, match="holds 4 captions, slot rater_sf draws 6"):
        check_labels("noise2music", {"rater_sf": few}, 10)
