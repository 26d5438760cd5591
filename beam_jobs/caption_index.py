"""The fast search's index for one crate: built once by the driver, its width chosen on the crate's own clips.

N captions, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beam_jobs.candidates import CandidatesJob
from beam_jobs.cpus import usable_cpus
from labeling.search.candidates import read_embeddings
from labeling.search.caption_embeddings import load_embeddings
from labeling.search.exact import ExactSearch
from pipeline.storage import Storage

if TYPE_CHECKING:
    from pipeline.crate.crate import Crate

__all__ = ["FAST_FROM", "RECALL", "prepare_index", "search_name"]

FAST_FROM = 50_000
"""Captions below which the exact search is fast enough for anyone."""
RECALL = 0.99
"""Of the exact top K that the fast search must find on a sample of the crate's clips."""
_SAMPLE_CLIPS = 128


def search_name(search: str, captions: int) -> str:
    """What stands in a set of candidates, and so in its hash: `exact`, or the fast path and what it must reach."""
    return f"faiss-recall-{RECALL:g}" if search == "fast" and captions >= FAST_FROM else "exact"


def prepare_index(crate: Crate, job: CandidatesJob, note: Callable[[str], None]) -> None:
    """Build, tune and write the index of `job`, where it searches by one and has none yet."""
    if not job.index_name or crate.storage.exists(f"{job.index_name}.json"):
        return
    import faiss

    from labeling.search.fast import FaissSearch, IndexCard, build_index, tune_width, write_index

    threads = usable_cpus()
    matrix_ND = load_embeddings(Storage(job.embeddings_root), job.embeddings_name, crate.embedder)
    searched, _ = job.searched(crate.storage, matrix_ND)
    queries_QD = _sample_clips(crate)
    search = FaissSearch(searched, build_index(searched, threads=threads), width=1)
    reached = tune_width(search, ExactSearch(searched), queries_QD, k=job.chosen.k, recall=RECALL)
    card = IndexCard(
        captions=len(searched),
        dimension=matrix_ND.shape[1],
        matrix=job.embeddings_name,
        width=search.width,
        k=job.chosen.k,
        recall=reached,
        queries=len(queries_QD),
        faiss=faiss.__version__,
    )
    write_index(crate.storage, job.index_name, search.index, card)
    note(
        f"fast search of {job.chosen.vocabulary_name}: finds {reached:.2%} of the exact top {job.chosen.k} on "
        f"{len(queries_QD)} of the clips, with {search.width} candidates for each"
    )


def _sample_clips(crate: Crate) -> NDArray[np.float32]:
    """Embeddings of clips from the first shards on, as many of each as it takes."""
    found: list[NDArray[np.float32]] = []
    for shard in crate.shards:
        _, embedding_BD = read_embeddings(crate, shard)
        found.append(embedding_BD[: _SAMPLE_CLIPS - sum(map(len, found))])
        if sum(map(len, found)) >= _SAMPLE_CLIPS:
            break
    return np.ascontiguousarray(np.concatenate(found), dtype=np.float32)
