"""Embedding a vocabulary as a job: a shard is captions of like length, and the parts become one matrix in the end.

N captions, D dimensions. The matrix lies beside the vocabulary, or in a crate, under the name by which labelling looks
for it.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from labeling.search.caption_embeddings import embeddings_name, embeddings_stand, seal_embeddings
from pipeline.crate.shards import part_name, undone, write_marker
from pipeline.errors import IndexMismatch
from pipeline.ids import content_hash
from pipeline.progress import Heartbeat
from pipeline.records import EmbedderCard, ShardReport
from pipeline.storage import Storage
from vocab.store import Vocabulary, open_vocabulary

if TYPE_CHECKING:
    from labeling.embedders.embedder import Embedder

__all__ = ["EmbedJob", "embed_job", "join_embeddings"]

BATCH_TEXTS = 2_048
"""Captions that go through the model together; a matrix product's last bits depend on it, so it never changes."""
BATCHES_PER_SHARD = 16
_JOIN_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class EmbedJob:
    """Embed the captions of one vocabulary by one model."""

    vocabulary: str
    root: str
    """Folder of the matrix."""
    embedder: str
    device: str
    name: str
    """Of the matrix."""
    captions: int
    run_hash: str
    batches_per_shard: int

    @property
    def title(self) -> str:
        return f"embedding {posixpath.basename(self.vocabulary).removesuffix('.parquet')} captions"

    @property
    def folder(self) -> str:
        return self.name.removesuffix(".npy") + ".parts"

    @property
    def shard_rows(self) -> int:
        return self.batches_per_shard * BATCH_TEXTS

    @property
    def shard_count(self) -> int:
        return -(-self.captions // self.shard_rows)

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.folder, shard, self.shard_count

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        storage = self.storage()
        if embeddings_stand(storage, self.name):
            return []
        return undone(storage, map(self.at, range(self.shard_count)), lambda shard: self.run_hash)

    def open(self) -> EmbedWorker:
        return EmbedWorker(self)


class EmbedWorker:
    """Has the model and the captions, by length."""

    def __init__(self, job: EmbedJob) -> None:
        from labeling.embedders.by_name import load_embedder

        self._job = job
        self._vocabulary = open_vocabulary(job.vocabulary)
        self._order_N = length_order(self._vocabulary)
        self._embedder: Embedder = load_embedder(job.embedder, device=job.device, threads=1)

    def run(self, shard: int) -> ShardReport:
        job, storage, began = self._job, self._job.storage(), time.monotonic()
        beat = Heartbeat(storage, job.folder, shard)
        beat({"captions": 0})
        rows = self._order_N[shard * job.shard_rows : (shard + 1) * job.shard_rows]
        name = part_name(job.folder, shard, job.shard_count, "npy")
        with storage.write(name) as file:
            _write_header(file, len(rows), self._embedder.card.dimension)
            for start in range(0, len(rows), BATCH_TEXTS):
                texts = self._vocabulary.texts.take(rows[start : start + BATCH_TEXTS]).to_pylist()
                file.write(np.ascontiguousarray(self._embedder.embed_text(texts), dtype="<f4").data.cast("B"))
                beat({"captions": start + len(texts)})
        report = ShardReport(
            shard=shard, rows=len(rows), seconds=round(time.monotonic() - began, 3), counts={"captions": len(rows)}
        )
        write_marker(storage, job.folder, shard, job.shard_count, report, run_hash=job.run_hash, files={name: file})
        beat.end()
        return report

    def close(self) -> None:
        pass


def embed_job(
    vocabulary: str,
    card: EmbedderCard,
    *,
    embedder: str,
    device: str = "auto",
    root: str = "",
    batches_per_shard: int = BATCHES_PER_SHARD,
) -> EmbedJob:
    """The job for the vocabulary of that name or path; the matrix goes beside it unless `root` says otherwise."""
    opened = open_vocabulary(vocabulary)
    name = embeddings_name(opened.card.content_hash, card)
    return EmbedJob(
        vocabulary=vocabulary,
        root=root or posixpath.dirname(vocabulary) or ".",
        embedder=embedder,
        device=device,
        name=name,
        captions=len(opened),
        run_hash=content_hash([name, BATCH_TEXTS, batches_per_shard]),
        batches_per_shard=batches_per_shard,
    )


def length_order(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """(N,) rows from the shortest caption to the longest, so that little is padded."""
    return np.argsort(pc.utf8_length(vocabulary.texts).to_numpy(), kind="stable")


def join_embeddings(job: EmbedJob) -> None:
    """Put the parts into the vocabulary's order, one matrix; memory does not depend on N. The parts are removed."""
    storage = job.storage()
    if embeddings_stand(storage, job.name):
        return
    place_N = np.empty(job.captions, dtype=np.int64)
    place_N[length_order(open_vocabulary(job.vocabulary))] = np.arange(job.captions)
    with tempfile.TemporaryDirectory() as scratch:
        parts = [np.load(_local(storage, job, shard, Path(scratch)), mmap_mode="r") for shard in range(job.shard_count)]
        dimension = parts[0].shape[1]
        if sum(len(part) for part in parts) != job.captions or any(part.shape[1] != dimension for part in parts):
            raise IndexMismatch(
                f"the parts in {storage.url}/{job.folder} hold {sum(len(part) for part in parts)} vectors for "
                f"{job.captions} captions; delete that folder and run the same command again"
            )
        with storage.write(job.name) as file:
            _write_header(file, job.captions, dimension)
            for start in range(0, job.captions, _JOIN_ROWS):
                places = place_N[start : start + _JOIN_ROWS]
                block = np.empty((len(places), dimension), dtype="<f4")
                for shard in np.unique(places // job.shard_rows).tolist():
                    here = places // job.shard_rows == shard
                    block[here] = parts[shard][places[here] - shard * job.shard_rows]
                file.write(block.data.cast("B"))
    seal_embeddings(storage, job.name, file)
    storage.remove(job.folder)


def _write_header(file: object, rows: int, dimension: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]


def _local(storage: Storage, job: EmbedJob, shard: int, scratch: Path) -> str:
    name = part_name(job.folder, shard, job.shard_count, "npy")
    if storage.is_local:
        return os.fspath(storage.path(name))
    with storage.open_whole(name) as source, (scratch / f"{shard}.npy").open("wb") as target:
        shutil.copyfileobj(source, target)
    return os.fspath(scratch / f"{shard}.npy")
