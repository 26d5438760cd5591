"""The generation job: a shard is a few dozen songs, whose answers are written as one file when all are there."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.shards import is_done, part_name, read_marker, write_marker
from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import read_table
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage
from vocab.answers import ANSWER_SCHEMA, ANSWERS_FOLDER
from vocab.build import provenance_json
from vocab.cleaning.sentences import answer_sentences
from vocab.llm.backend import Backend, BackendSettings, Completion, PromptRequest, Sampling
from vocab.llm.by_kind import open_backend
from vocab.llm.prompts import PromptTemplate
from vocab.llm.songs import Song

__all__ = ["GenerateJob", "begin_generation", "generation_counts"]

FORMAT_VERSION = 1
_RUN, _SONGS = "run.json", "songs.parquet"


@dataclass(frozen=True, kw_only=True)
class GenerateJob:
    """What a worker needs to know; the songs lie in the run's folder."""

    root: str
    settings: BackendSettings
    sampling: Sampling
    template: PromptTemplate
    seed: int
    songs_per_shard: int
    shard_count: int
    run_hash: str
    folder: str = ANSWERS_FOLDER
    title: str = "answers"

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        storage = self.storage()
        return [
            shard
            for shard in range(self.shard_count)
            if not is_done(storage, self.folder, shard, self.shard_count, self.run_hash)
        ]

    def open(self) -> GenerateWorker:
        return GenerateWorker(self)


class GenerateWorker:
    """Has the model, or the way to it."""

    def __init__(self, job: GenerateJob) -> None:
        self._job = job
        self._backend: Backend = open_backend(job.settings)

    def run(self, shard: int) -> ShardReport:
        job, storage, began = self._job, self._job.storage(), time.monotonic()
        songs = _songs_of(storage, shard, job.songs_per_shard)
        beat = Heartbeat(storage, job.folder, shard)
        done = Counter[str]()

        def on_done(requests: int) -> None:
            done["songs"] += requests
            beat(done)

        beat({"songs": 0})
        requests = [
            PromptRequest(
                prompt=job.template.render(song),
                seed=hash_u64("sample", job.seed, job.template.prompt_id(song)) % 2**31,
            )
            for song in songs
        ]
        answers = self._backend.complete(requests, job.sampling, on_done)
        rows = [
            self._row(song, request, sample, completion)
            for song, request, completions in zip(songs, requests, answers, strict=True)
            for sample, completion in enumerate(completions)
        ]
        name = part_name(job.folder, shard, job.shard_count)
        with storage.write(name) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA), file, compression="zstd")
        report = ShardReport(
            shard=shard, rows=len(rows), seconds=round(time.monotonic() - began, 3), counts=_counts(songs, rows)
        )
        write_marker(storage, job.folder, job.shard_count, report, run_hash=job.run_hash, files={name: file})
        beat.end()
        return report

    def close(self) -> None:
        self._backend.close()

    def _row(self, song: Song, request: PromptRequest, sample: int, completion: Completion) -> dict[str, Any]:
        job = self._job
        prompt_id = job.template.prompt_id(song)
        return {
            "prompt_id": prompt_id,
            "song_row": song.row,
            "title": song.title,
            "artist": song.artist,
            "sample": sample,
            "text": completion.text,
            "finish_reason": completion.finish_reason,
            "tokens": completion.tokens,
            "provenance": provenance_json(
                {
                    "model": job.settings.model,
                    "template": job.template.hash,
                    "prompt": prompt_id,
                    "seed": request.seed,
                    "sample": sample,
                    "song_row": song.row,
                }
            ),
        }


def begin_generation(
    root: str | os.PathLike[str],
    songs: Sequence[Song],
    *,
    settings: BackendSettings,
    sampling: Sampling,
    template: PromptTemplate,
    seed: int,
    songs_per_shard: int,
    licence: str,
) -> GenerateJob:
    """The job in the folder `root`, begun or taken up again; raises CrateMismatch where another run lies there."""
    template.check(songs[0])
    storage = Storage(root)
    identity = {
        "format_version": FORMAT_VERSION,
        "model": settings.model,
        "chat": settings.chat,
        "sampling": sampling.model_dump(mode="json"),
        "template": template.hash,
        "seed": seed,
        "songs": content_hash([[song.row, template.render(song)] for song in songs]),
        "song_count": len(songs),
        "songs_per_shard": songs_per_shard,
    }
    run_hash = content_hash(identity)
    if storage.exists(_RUN):
        _refuse_other(storage, identity)
    elif names := [name for name in storage.list("") if not name.startswith(".")]:
        raise BadInput(
            f"{storage.url} is not empty and no run of `vocab generate` (it holds {names[0]!r}); give another"
        )
    else:
        rows = [
            {"row": song.row, "title": song.title, "artist": song.artist, "values": provenance_json(song.values)}
            for song in songs
        ]
        with storage.write(_SONGS) as file:
            pq.write_table(pa.Table.from_pylist(rows), file, compression="zstd")
        storage.write_bytes("prompt.txt", (template.prefix + template.question + "\n").encode())
        storage.write_json(_RUN, {**identity, "licence": licence, "run_hash": run_hash})
    return GenerateJob(
        root=os.fspath(root),
        settings=settings,
        sampling=sampling,
        template=template,
        seed=seed,
        songs_per_shard=songs_per_shard,
        shard_count=-(-len(songs) // songs_per_shard),
        run_hash=run_hash,
    )


def generation_counts(job: GenerateJob) -> Counter[str]:
    """Of all finished shards: shards, songs, answers, failed, tokens, sentences, and milliseconds of work."""
    storage = job.storage()
    counts = Counter[str]()
    for shard in range(job.shard_count):
        marker = read_marker(storage, job.folder, shard, job.shard_count)
        if marker is not None and marker["run_hash"] == job.run_hash:
            counts.update(marker["counts"])
            counts.update({"shards": 1, "milliseconds": int(1000 * marker["seconds"])})
    return counts


def _songs_of(storage: Storage, shard: int, songs_per_shard: int) -> list[Song]:
    import json

    with storage.open(_SONGS) as file:
        table = read_table(file).slice(shard * songs_per_shard, songs_per_shard)
    return [
        Song(row=row["row"], title=row["title"], artist=row["artist"], values=json.loads(row["values"]))
        for row in table.to_pylist()
    ]


def _counts(songs: Sequence[Song], rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    failed = [row for row in rows if row["finish_reason"].startswith("failed")]
    return {
        "songs": len(songs),
        "answers": len(rows) - len(failed),
        "failed": len(failed),
        "tokens": sum(row["tokens"] for row in rows),
        "sentences": sum(
            len(
                answer_sentences(
                    row["text"],
                    title=row["title"],
                    artist=row["artist"],
                    cut_short=row["finish_reason"] == "length",
                )
            )
            for row in rows
        ),
    }


def _refuse_other(storage: Storage, wanted: dict[str, Any]) -> None:
    found = storage.read_json(_RUN)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise CrateMismatch(
                f"the run in {storage.url} has {name} {found.get(name)!r}, asked for is {value!r}; "
                "use the same songs and settings to continue it, or give --out another folder"
            )
