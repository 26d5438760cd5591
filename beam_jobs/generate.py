"""The generation job: a shard is a few dozen songs, whose answers are written as one file when all are there."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.ledger import forget
from pipeline.crate.shards import marker_name, part_name, read_all, undone, write_marker
from pipeline.errors import BadInput, CrateMismatch, RunFailed
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import read_table
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage
from vocab.answers import ANSWER_SCHEMA, ANSWERS_FOLDER, TEMPLATE
from vocab.build import provenance_json
from vocab.cleaning.sentences import answer_sentences
from vocab.llm.backend import Backend, BackendSettings, Completion, PromptRequest, Sampling
from vocab.llm.backend_batch import batch_lines
from vocab.llm.by_kind import open_backend
from vocab.llm.prompts import PromptTemplate
from vocab.llm.songs import Song

__all__ = ["GenerateJob", "begin_generation", "generation_counts", "write_batch"]

FORMAT_VERSION = 2
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

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.folder, shard, self.shard_count

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        return undone(self.storage(), map(self.at, range(self.shard_count)), lambda shard: self.run_hash)

    def requests(self, shard: int, songs: Sequence[Song]) -> list[PromptRequest]:
        """What is asked about songs of a shard."""
        examples = self.template.draw(self.seed, shard)
        seeds = [hash_u64("sample", self.seed, self.template.prompt_id(song)) % 2**31 for song in songs]
        return [self.template.request(song, examples, seed=seed) for song, seed in zip(songs, seeds, strict=True)]

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
        known = _answered(storage, name := part_name(job.folder, shard, job.shard_count))
        asked = [song for song in songs if song.row not in known]
        done["songs"] = len(songs) - len(asked)
        requests = job.requests(shard, asked)
        answers = self._backend.complete(requests, job.sampling, on_done)
        new = {
            song.row: [self._row(song, request, sample, completion) for sample, completion in enumerate(completions)]
            for song, request, completions in zip(asked, requests, answers, strict=True)
        }
        rows = [row for song in songs for row in new.get(song.row) or known[song.row]]
        with storage.write(name) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA), file, compression="zstd")
        if job.settings.kind != "batch":  # its answers come as they come
            _check_failures(rows)
        report = ShardReport(
            shard=shard, rows=len(rows), seconds=round(time.monotonic() - began, 3), counts=_counts(songs, rows)
        )
        write_marker(storage, job.folder, shard, job.shard_count, report, run_hash=job.run_hash, files={name: file})
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
    """The job in the folder `root`, begun or taken up again; raises CrateMismatch where another run lies there.

    Songs that failed in a finished shard are among what is still to be asked.
    """
    template.check(songs[0])
    storage = Storage(root)
    identity = {
        "format_version": FORMAT_VERSION,
        "model": settings.model,
        "asked": {
            "chat": settings.chat,
            "chat_template_kwargs": settings.chat_template_kwargs,
            "structured": settings.structured,
            "request": settings.request,
        },
        "sampling": sampling.model_dump(mode="json"),
        "template": template.hash,
        "seed": seed,
        "songs": content_hash([[song.row, template.ask(song)] for song in songs]),
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
        storage.write_json(TEMPLATE, asdict(template))
        storage.write_json(_RUN, {**identity, "licence": licence, "run_hash": run_hash})
    job = GenerateJob(
        root=os.fspath(root),
        settings=settings,
        sampling=sampling,
        template=template,
        seed=seed,
        songs_per_shard=songs_per_shard,
        shard_count=-(-len(songs) // songs_per_shard),
        run_hash=run_hash,
    )
    _reopen_failed(job)
    return job


def write_batch(job: GenerateJob, file: str | os.PathLike[str]) -> int:
    """Write a request for each answer that is not there, as a hosted batch API takes them; returns how many."""
    storage, count = job.storage(), 0
    with Storage(Path(file).parent).write(Path(file).name) as lines:
        for shard in job.todo():
            known = _answered(storage, part_name(job.folder, shard, job.shard_count))
            songs = [song for song in _songs_of(storage, shard, job.songs_per_shard) if song.row not in known]
            for line in batch_lines(job.requests(shard, songs), job.sampling, job.settings):
                lines.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                count += 1
    return count


def generation_counts(job: GenerateJob) -> Counter[str]:
    """Of all finished shards: shards, songs, answers, failed, refused, tokens, sentences, and milliseconds of work."""
    storage = job.storage()
    counts = Counter[str]()
    for marker in read_all(storage, map(job.at, range(job.shard_count))):
        if marker is not None and marker["run_hash"] == job.run_hash:
            counts.update(marker["counts"])
            counts.update({"shards": 1, "milliseconds": int(1000 * marker["seconds"])})
    return counts


def _reopen_failed(job: GenerateJob) -> None:
    """Have the songs that failed asked again: their shards count as unfinished."""
    storage = job.storage()
    markers = read_all(storage, map(job.at, range(job.shard_count)))
    failed = [
        marker_name(*job.at(shard))
        for shard, marker in enumerate(markers)
        if marker is not None and marker["run_hash"] == job.run_hash and marker["counts"].get("failed")
    ]
    forget(storage, failed)


def _songs_of(storage: Storage, shard: int, songs_per_shard: int) -> list[Song]:
    with storage.open(_SONGS) as file:
        table = read_table(file).slice(shard * songs_per_shard, songs_per_shard)
    return [
        Song(row=row["row"], title=row["title"], artist=row["artist"], values=json.loads(row["values"]))
        for row in table.to_pylist()
    ]


def _answered(storage: Storage, name: str) -> dict[int, list[dict[str, Any]]]:
    """Row of a song -> its answers, of songs that have all of theirs in what an earlier run left of a shard."""
    if not storage.exists(name):
        return {}
    with storage.open(name) as file:
        rows = read_table(file).to_pylist()
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["song_row"], []).append(row)
    return {key: many for key, many in found.items() if not any(map(_lacking, many))}


def _lacking(row: dict[str, Any]) -> bool:
    return row["finish_reason"].startswith(("failed", "refused"))


def _check_failures(rows: Sequence[dict[str, Any]]) -> None:
    """One prompt in two without an answer is no matter of prompts."""
    lacking = [row["finish_reason"] for row in rows if _lacking(row)]
    if len(lacking) * 2 > len(rows):
        raise RunFailed(
            f"{len(lacking)} of {len(rows)} prompts of a shard have no answer ({lacking[0]}); what is finished is "
            "safe: mend the server and run the same command again"
        )


def _counts(songs: Sequence[Song], rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    failed, refused = (sum(row["finish_reason"].startswith(word) for row in rows) for word in ("failed", "refused"))
    return {
        "songs": len(songs),
        "answers": len(rows) - failed - refused,
        "failed": failed,
        "refused": refused,
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
