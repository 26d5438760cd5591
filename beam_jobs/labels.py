"""Labelling as a whole: embed the captions once, search, count, draw. Decodes nothing; redrawing searches nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from beam_jobs.candidates import CandidatesJob, count_candidates
from beam_jobs.caption_cache import cache_folder, keep_embeddings, take_embeddings
from beam_jobs.caption_index import prepare_index, search_name
from beam_jobs.engine import Engine, OnTick, run_job
from beam_jobs.job import ShardJob
from beam_jobs.vocab_embed import embed_job, join_embeddings
from labeling.draw import Method
from labeling.embedders.scoring import Scoring, hears_hash, read_scoring
from labeling.label import LabelRun, OpenSlot, label_shard
from labeling.profiles import PROFILES, Profile, check_vocabulary, resolve_vocabularies
from labeling.search.candidates import CandidateSet, mean_embedding, write_mean
from labeling.search.caption_embeddings import embeddings_name, embeddings_stand
from labeling.search.counts import read_counts
from labeling.search.some import unheard, write_heard_rows
from labeling.weak import weak_labels
from pipeline.crate.crate import CANDIDATES, CLIPS, Crate
from pipeline.crate.plan import place
from pipeline.errors import BadInput, CrateMismatch
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.remote import absolute
from pipeline.storage import Storage
from vocab.mapped import map_texts
from vocab.store import Vocabulary

if TYPE_CHECKING:
    from labeling.embedders.embedder import Embedder

__all__ = ["LabelsJob", "check_labels", "label_crate"]

_COVERAGE_SAMPLE = 20_000

Debias = Literal["auto", "none", "crate", "model"]
Captions = Literal["auto", "all", "heard"]
Stage = Callable[[ShardJob], OnTick]
"""Told of each job before it runs; returns what is called while it runs."""


@dataclass(frozen=True, kw_only=True)
class LabelsJob:
    """Draw the labels of every shard."""

    root: str
    pours: tuple[int, ...]
    """Shards of each pour."""
    run: LabelRun
    vocabularies: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"labels {self.run.name}"

    @property
    def folder(self) -> str:
        return self.run.folder

    @property
    def shard_count(self) -> int:
        return sum(self.pours)

    def at(self, shard: int) -> tuple[str, int, int]:
        return place(self.folder, shard, self.pours)

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        return self.run.undone(Crate.open(self.root))

    def open(self) -> _Worker:
        crate = Crate.open(self.root)
        slots = []
        for slot in self.run.profile.slots:
            chosen = self.run.candidates[slot.name]
            counts = read_counts(crate.storage, chosen)
            if counts is None:
                raise CrateMismatch(f"{chosen.folder} has no counts; label again: cratedig label {self.root}")
            vocabulary = map_texts(self.vocabularies[slot.name])
            counts_N = counts.dense(len(vocabulary))
            slots.append(OpenSlot(slot=slot, chosen=chosen, vocabulary=vocabulary, counts_N=counts_N))
        return _Worker(crate, self.run, slots)


class _Worker:
    def __init__(self, crate: Crate, run: LabelRun, slots: list[OpenSlot]) -> None:
        self._crate, self._run, self._slots, self._drawn_by = crate, run, slots, run.drawn_by(crate)

    def run(self, shard: int) -> ShardReport:
        beat = Heartbeat(self._crate.storage, self._run.folder, shard)
        beat({"clips": 0})
        report = label_shard(self._crate, self._run, shard, self._slots, drawn_by=self._drawn_by)
        beat.end()
        return report

    def close(self) -> None:
        pass


def check_labels(
    profile: str, vocabularies: Mapping[str, str], k: int
) -> tuple[Profile, dict[str, str], dict[str, Vocabulary]]:
    """The profile, and the vocabulary of each of its slots by file and opened, checked before any work is done."""
    if profile not in PROFILES:
        raise BadInput(f"profile {profile!r} is not known; expected one of {', '.join(PROFILES)}")
    chosen = PROFILES[profile]
    files = {slot: absolute(file) for slot, file in resolve_vocabularies(chosen, vocabularies).items()}
    if (most := max((slot.draw for slot in chosen.slots), default=0)) > k:
        raise BadInput(f"k is {k}, profile {profile} draws up to {most} of the k candidates; give --k {most} or more")
    needed = ("caption_id", "text", "facts")
    opened = {slot.name: Vocabulary.load(files[slot.name], columns=needed) for slot in chosen.slots}
    for slot in chosen.slots:
        check_vocabulary(chosen, slot, opened[slot.name])
    return chosen, files, opened


def label_crate(
    crate: Crate,
    *,
    profile: str = "noise2music",
    vocabularies: Mapping[str, str] | None = None,
    embedder: str = "bundled",
    device: str = "auto",
    k: int = 10,
    seed: int = 0,
    method: Method = "inverse-frequency",
    debias: Debias = "auto",
    captions: Captions = "auto",
    search: Literal["exact", "fast"] = "exact",
    min_similarity: float | None = None,
    name: str = "",
    engine: Engine | None = None,
    stage: Stage = lambda job: lambda ended: None,
    note: Callable[[str], None] = lambda text: None,
) -> LabelRun:
    """Label every clip of a finished crate; what an earlier run has already found is used again.

    debias: what is taken off each clip before the search, so that no caption wins by an offset of its own: the mean of
    the crate's clips, or the one that came with the model, moved towards it; `auto` does what the model asks for.
    captions: `heard` leaves out captions that state what the model was not measured to hear; `auto` likewise.
    min_similarity: captions that score lower are left out. Without it, the share of the drawn captions below the
    model's own measure is said.
    search: `fast` finds candidates by FAISS codes where a vocabulary is large, at a recall measured on the clips.
    note: told, in a sentence, how much of a newly embedded vocabulary the model can read, and what the search reaches.
    """
    chosen_profile, files, opened = check_labels(profile, vocabularies or {}, k)
    engine = engine or Engine()
    crate.require_settled()
    crate.require_clips()
    scoring = read_scoring(embedder, crate.embedder.weights_hash)
    debias, captions = _resolved(debias, captions, scoring, embedder)
    candidates: dict[str, CandidateSet] = {}
    for slot in chosen_profile.slots:
        vocabulary = opened[slot.name]
        hears = scoring.hears if scoring and captions == "heard" else ()
        if hears and not _enough_heard(vocabulary, hears, k, note):
            hears = ()
        job = _candidates_job(
            crate,
            vocabulary,
            files[slot.name],
            k=k,
            debias=scoring.offset_hash if scoring and debias == "model" else debias,
            hears=hears,
            search=search,
        )
        if debias != "none":
            offset_D, clips = mean_embedding(crate)
            if scoring and debias == "model":
                offset_D = scoring.offset_with(offset_D, clips)
            write_mean(crate, job.chosen, offset_D)
        if job.todo():
            if job.heard_name:
                write_heard_rows(crate.storage, job.heard_name, vocabulary, hears)
            _embed_if_needed(crate, job, vocabulary, embedder, device, engine, stage, note)
            prepare_index(crate, job, note)
            run_job(job, engine, stage(job))
        count_candidates(job, engine, clips=_clips_in(crate), covers=crate.covers)
        candidates[slot.name] = job.chosen
    run = LabelRun(
        profile=chosen_profile,
        seed=seed,
        method=method,
        candidates=candidates,
        base_hash=crate.base_hash,
        min_similarity=min_similarity,
        given_name=name,
    )
    run.begin(crate)
    labels = LabelsJob(root=crate.storage.url, pours=crate.pour_shards, run=run, vocabularies=files)
    run_job(labels, engine, stage(labels))
    limit = scoring.min_similarity if scoring and debias == "model" else None
    for line in weak_labels(crate, run, limit):
        note(line)
    return run


def _resolved(
    debias: Debias, captions: Captions, scoring: Scoring | None, embedder: str
) -> tuple[Literal["none", "crate", "model"], Literal["all", "heard"]]:
    """What `auto` comes to with this model; BadInput where a model is asked for what it brought no numbers for."""
    if scoring is None and (debias == "model" or captions == "heard"):
        option = "--debias model" if debias == "model" else "--captions heard"
        raise BadInput(
            f"{option}: {embedder} has no scoring.json of its own beside the weights that embedded these clips; give "
            f"{'--debias crate or none' if debias == 'model' else '--captions all'}"
        )
    if debias == "auto":
        debias = "model" if scoring else "none"
    if captions == "auto":
        captions = "heard" if scoring else "all"
    return debias, captions


def _enough_heard(vocabulary: Vocabulary, hears: Sequence[str], k: int, note: Callable[[str], None]) -> bool:
    """Whether at least k captions state what the model hears and nothing else; says how many, and why not the rest."""
    left_out = np.zeros(len(vocabulary), bool)
    said = []
    for reason, rows in unheard(vocabulary, hears).items():
        if new := int((rows & ~left_out).sum()):
            said.append(f"{new} {reason}")
        left_out |= rows
    left = int((~left_out).sum())
    if left < k:
        note(
            f"captions {vocabulary.card.name}: only {left} of {len(vocabulary)} state what the model was measured to "
            f"hear, fewer than k ({k}): all are searched, and some of what they say is beyond it"
        )
    elif said:
        note(
            f"captions {vocabulary.card.name}: {left} of {len(vocabulary)} are searched; left out, each for the first "
            f"reason that holds: {', '.join(said)} (--captions all searches them too)"
        )
    return left >= k


def _candidates_job(
    crate: Crate, vocabulary: Vocabulary, file: str, *, k: int, debias: str, hears: tuple[str, ...], search: str
) -> CandidatesJob:
    card = vocabulary.card
    chosen = CandidateSet(
        vocabulary_name=card.name,
        vocabulary_hash=card.content_hash,
        captions=len(vocabulary),
        k=k,
        search=search_name(search, len(vocabulary)),
        debias=debias,
        heard=hears_hash(hears),
        base_hash=crate.base_hash,
    )
    job = CandidatesJob(
        root=crate.storage.url,
        pours=crate.pour_shards,
        chosen=chosen,
        vocabulary=file,
        embeddings_root=posixpath.dirname(file) or ".",
        embeddings_name=embeddings_name(card.content_hash, crate.embedder),
    )
    if not embeddings_stand(Storage(job.embeddings_root), job.embeddings_name):
        job = replace(job, embeddings_root=posixpath.join(crate.storage.url, CANDIDATES))
    return job


def _embed_if_needed(
    crate: Crate,
    job: CandidatesJob,
    vocabulary: Vocabulary,
    name: str,
    device: str,
    engine: Engine,
    stage: Stage,
    note: Callable[[str], None],
) -> None:
    """Embed the vocabulary into the crate unless its matrix lies there or beside the vocabulary already."""
    if embeddings_stand(Storage(job.embeddings_root), job.embeddings_name):
        return
    from labeling.embedders.by_name import embedder_card, load_embedder

    card = embedder_card(name)
    if card.weights_hash != crate.embedder.weights_hash:
        raise CrateMismatch(
            f"the clips of {crate.storage.url} were embedded by {crate.embedder.name} "
            f"({crate.embedder.weights_hash[:12]}), {name} is {card.weights_hash[:12]}; captions must go "
            "through the same model: give it with --embedder"
        )
    cache, target = cache_folder(job.vocabulary, device), Storage(job.embeddings_root)
    if take_embeddings(cache, job.embeddings_name, target):
        note(f"captions {vocabulary.card.name}: their embeddings were made before and taken from the user's cache")
        return
    embedder: Embedder = load_embedder(name, device=device, threads=1)
    note(_coverage(vocabulary, embedder))
    embedding = embed_job(
        job.vocabulary,
        crate.embedder,
        embedder=absolute(name) if Path(name).is_dir() else name,
        device=device,
        root=job.embeddings_root,
    )
    run_job(embedding, engine, stage(embedding))
    join_embeddings(embedding)
    keep_embeddings(cache, job.embeddings_name, target)


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


def _clips_in(crate: Crate) -> int:
    return sum(int(marker["rows"]) for marker in crate.markers(CLIPS) if marker is not None)
