"""The embeddings of the vocabularies that a crate is searched with: taken from where they lie, or made in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beam_jobs.candidates import CandidatesJob
from beam_jobs.caption_cache import cache_folder, keep_embeddings, take_embeddings
from beam_jobs.engine import Engine, run_jobs
from beam_jobs.engines.on_beam import Stage
from beam_jobs.vocab_embed import EmbedJob, embed_job, join_embeddings
from labeling.search.caption_embeddings import embeddings_stand
from pipeline.crate.crate import Crate
from pipeline.errors import CrateMismatch
from pipeline.remote import absolute
from pipeline.storage import Storage
from vocab.store import Vocabulary

if TYPE_CHECKING:
    from labeling.embedders.embedder import Embedder

__all__ = ["embed_captions"]

_COVERAGE_SAMPLE = 20_000


def embed_captions(
    crate: Crate,
    searches: Mapping[str, CandidatesJob],
    vocabularies: Mapping[str, Vocabulary],
    name: str,
    device: str,
    engine: Engine,
    stage: Stage,
    note: Callable[[str], None],
) -> None:
    """Embed the vocabularies of these searches into the crate, but those whose matrix lies there, or beside them.

    searches, vocabularies: by slot. name: of the embedder, or its path.
    """
    missing = {
        job.embeddings_name: (job, vocabularies[slot])
        for slot, job in searches.items()
        if not embeddings_stand(Storage(job.embeddings_root), job.embeddings_name)
    }
    if not missing:
        return
    from labeling.embedders.by_name import embedder_card, load_embedder

    card = embedder_card(name)
    if card.weights_hash != crate.embedder.weights_hash:
        raise CrateMismatch(
            f"the clips of {crate.storage.url} were embedded by {crate.embedder.name} "
            f"({crate.embedder.weights_hash[:12]}), {name} is {card.weights_hash[:12]}; captions must go "
            "through the same model: give it with --embedder"
        )
    source = absolute(name) if Path(name).is_dir() else name
    embedder: Embedder | None = None
    made: list[tuple[EmbedJob, CandidatesJob]] = []
    for job, vocabulary in missing.values():
        if take_embeddings(cache_folder(job.vocabulary, device), job.embeddings_name, Storage(job.embeddings_root)):
            note(f"captions {vocabulary.card.name}: their embeddings were made before and taken from the user's cache")
            continue
        embedder = embedder or load_embedder(name, device=device, threads=1)
        note(_coverage(vocabulary, embedder))
        root = job.embeddings_root
        made.append((embed_job(job.vocabulary, crate.embedder, embedder=source, device=device, root=root), job))
    run_jobs([embedding for embedding, _ in made], engine, stage, "captions")
    for embedding, job in made:
        join_embeddings(embedding)
        keep_embeddings(cache_folder(job.vocabulary, device), job.embeddings_name, Storage(job.embeddings_root))


def _coverage(vocabulary: Vocabulary, embedder: Embedder) -> str:
    """How much of an even sample of the captions the model can read."""
    rows = np.unique(np.linspace(0, len(vocabulary) - 1, _COVERAGE_SAMPLE).astype(np.int64))
    read = embedder.text_report(vocabulary.texts.take(rows).to_pylist())
    said = (
        f"captions {vocabulary.card.name}: {embedder.card.name} does not know {read.unknown_share:.1%} of their words"
    )
    if read.unknown_words:
        said += f" ({', '.join(word for word, _ in read.unknown_words[:5])}, ...)"
    return said + (f"; {read.cut} of {read.texts} sampled are cut at its limit" if read.cut else "")
