"""Embedding a vocabulary in shards gives the matrix that one go gives, whatever was killed on the way."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import beam_jobs.vocab_embed
from beam_jobs.engine import Engine, run_job
from beam_jobs.vocab_embed import embed_job, join_embeddings
from labeling.embedders.by_name import embedder_card, load_embedder
from labeling.search.caption_embeddings import load_embeddings
from pipeline.errors import BadInput, IndexMismatch
from tests.tiny_clap import make_tiny_clap
from tests.vocab.cli import run_vocab
from vocab.build import caption_table
from vocab.grammar.grammar import long_captions
from vocab.store import VocabularyCard, open_vocabulary, write_vocabulary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap") / "m"))


def _vocabulary(tmp_path: Path, count: int) -> str:
    texts = [text for text, _ in islice(long_captions(seed=1), count)]
    table, _ = caption_table(texts, kind="long", source="grammar", licence="x", provenance="{}")
    card = VocabularyCard(name="v", kind="long", source="grammar", licence="x", evaluation_derived=False)
    write_vocabulary(tmp_path / "v.parquet", table, card)
    return str(tmp_path / "v.parquet")


def test_shards_join_to_the_matrix_of_one_go(tmp_path: Path, clap: str) -> None:
    """4,500 captions: three batches, one to a shard; the second run does only what is missing."""
    path = _vocabulary(tmp_path, 4_500)
    card = embedder_card(clap)
    job = embed_job(path, card, embedder=clap, device="cpu", batches_per_shard=1)
    assert job.shard_count == 3
    assert run_job(job, Engine(workers=1)) == 3
    storage = job.storage()
    part = f"{job.folder}/part-00001-of-00003"
    storage.remove(f"{part}.done.json")
    storage.remove(f"{part}.npy")
    assert job.todo() == [1]
    assert run_job(job, Engine(workers=1)) == 1
    join_embeddings(job)
    assert not storage.exists(job.folder)
    vocabulary = open_vocabulary(path)
    once_ND = load_embedder(clap, device="cpu").embed_text(vocabulary.texts.to_pylist())
    matrix_ND = load_embeddings(storage, job.name, card)
    np.testing.assert_allclose(matrix_ND, once_ND, atol=1e-6)
    assert matrix_ND.shape == (len(vocabulary), card.dimension)
    assert np.allclose(np.linalg.norm(matrix_ND, axis=1), 1, atol=1e-5)
    assert job.todo() == []


def test_the_command_writes_beside_the_vocabulary(
    tmp_path: Path, clap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _vocabulary(tmp_path, 30)
    assert run_vocab("embed", path, "--embedder", clap, "--device", "cpu", "--workers", "1") == 0
    assert "30 captions" in capsys.readouterr().out
    (matrix,) = tmp_path.glob("captions-*.npy")
    assert np.load(matrix).shape == (30, 16)
    with pytest.raises(BadInput, match="give --out FOLDER"):
        run_vocab("embed", "bundled:short", "--embedder", clap)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path, clap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_jobs.vocab_embed, "BATCH_TEXTS", 8)
    job = embed_job(_vocabulary(tmp_path, 20), embedder_card(clap), embedder=clap, batches_per_shard=1)
    for shard in range(3):
        with job.storage().write(f"{job.folder}/part-{shard:05d}-of-00003.npy") as file:
            np.save(file, np.zeros((8, 16), dtype=np.float32))  # type: ignore[arg-type]
    with pytest.raises(IndexMismatch, match="hold 24 vectors for 20 captions"):
        join_embeddings(job)
