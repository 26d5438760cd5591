"""Embeddings of the bundled vocabularies are made once a user, and never taken when they are not what was written."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from beam_jobs import caption_cache
from beam_jobs.caption_cache import cache_folder, keep_embeddings, take_embeddings
from beam_jobs.engine import Engine, OnTick
from beam_jobs.job import ShardJob
from beam_jobs.labels import label_crate
from labeling.search.caption_embeddings import embeddings_stand, seal_embeddings
from pipeline.crate.crate import CANDIDATES, LABELS, Crate
from pipeline.crate.shards import part_name
from pipeline.crate.verify import verify_crate
from pipeline.storage import Storage
from vocab.store import BUNDLED_FOLDER

BUNDLED = str(BUNDLED_FOLDER / "short.parquet")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(folder: Path, data: bytes = b"matrix" * 1000) -> Storage:
    storage = Storage(folder)
    with storage.write("captions-x.npy") as file:
        file.write(data)
    seal_embeddings(storage, "captions-x.npy", file)
    return storage


def test_what_one_crate_made_another_one_takes(tmp_path: Path) -> None:
    cache, second = cache_folder(BUNDLED, "cpu"), Storage(tmp_path / "second")
    assert not take_embeddings(cache, "captions-x.npy", second)
    keep_embeddings(cache, "captions-x.npy", made(tmp_path / "first"))
    assert take_embeddings(cache_folder(BUNDLED, "cpu"), "captions-x.npy", second)
    assert embeddings_stand(second, "captions-x.npy")
    assert second.read_bytes("captions-x.npy") == b"matrix" * 1000


def test_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    cache = cache_folder(BUNDLED, "cpu")
    assert cache is not None
    keep_embeddings(cache, "captions-x.npy", made(tmp_path / "first"))
    Path(cache.path("captions-x.npy")).write_bytes(b"matriX" * 1000)
    assert not take_embeddings(cache, "captions-x.npy", Storage(tmp_path / "second"))
    keep_embeddings(cache, "captions-x.npy", made(tmp_path / "first"))
    assert take_embeddings(cache, "captions-x.npy", Storage(tmp_path / "second"))


def test_other_versions_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = cache_folder(BUNDLED, "cpu")
    monkeypatch.setattr(caption_cache, "deciding_versions", lambda: {"torch": "9"})
    there = cache_folder(BUNDLED, "cpu")
    assert here is not None
    assert there is not None
    assert here.url != there.url


def test_who_has_no_place_for_a_cache_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder(str(tmp_path / "mine.parquet"), "cpu") is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file where a folder is to be
    cache = cache_folder(BUNDLED, "cpu")
    keep_embeddings(cache, "captions-x.npy", made(tmp_path / "first"))
    assert not take_embeddings(cache, "captions-x.npy", Storage(tmp_path / "second"))


def test_a_second_crate_embeds_nothing(tmp_path: Path, finished_crate: Path, vocabularies: Path) -> None:
    files = {"llm_lf": str(vocabularies / "long.parquet"), "rater_sf": BUNDLED}
    hashes, jobs = set(), []
    for name in ("first", "second"):
        shutil.copytree(finished_crate, tmp_path / name)
        for folder in (LABELS, CANDIDATES):
            Storage(tmp_path / name).remove(folder)
        crate = Crate.open(tmp_path / name)
        titles: list[str] = []

        def seen(job: ShardJob, titles: list[str] = titles) -> OnTick:
            titles.append(job.title)
            return lambda ended: None

        run = label_crate(
            crate,
            vocabularies=files,
            embedder=crate.embedder_source,
            device="cpu",
            engine=Engine(workers=1),
            stage=seen,
        )
        jobs.append([title for title in titles if title.startswith("embedding short")])
        part = crate.storage.read_bytes(part_name(*crate.at(f"{LABELS}/{run.name}", 0)))
        hashes.add(hashlib.sha256(part).hexdigest())
        assert verify_crate(crate).holds
    assert jobs == [["embedding short captions"], []]
    assert len(hashes) == 1
