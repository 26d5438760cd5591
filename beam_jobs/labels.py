"""Labelling as a whole: embed the captions once, search, count, draw. Decodes nothing; redrawing searches nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from beam_jobs.candidates import CandidatesJob, count_candidates
from beam_jobs.caption_index import prepare_index, search_name
from beam_jobs.captions import embed_captions
from beam_jobs.draws import LabelsJob
from beam_jobs.engine import Engine, run_job, run_jobs
from beam_jobs.engines.on_beam import Stage
from labeling.draw import Method
from labeling.embedders.scoring import Scoring, hears_hash, read_scoring
from labeling.label import LabelRun
from labeling.profiles import PROFILES, Profile, check_vocabulary, resolve_vocabularies
from labeling.search.candidates import CandidateSet, mean_embedding, write_mean
from labeling.search.caption_embeddings import embeddings_name, embeddings_stand
from labeling.search.counts import read_counts
from labeling.search.some import read_heard_rows, unheard, write_heard_rows
from labeling.search.stated import STATED_FILES, write_stated
from labeling.weak import left_out_labels
from pipeline.crate.crate import CANDIDATES, CLIPS, Crate
from pipeline.errors import BadInput, CrateMismatch
from pipeline.remote import absolute
from pipeline.storage import Storage
from vocab.store import Vocabulary

__all__ = ["LABEL_STEPS", "LabelStep", "check_labels", "label_crate"]

Debias = Literal["auto", "none", "crate", "model"]
Captions = Literal["auto", "all", "heard"]
LabelStep = Literal["captions", "candidates", "count", "labels"]
LABEL_STEPS: tuple[LabelStep, ...] = ("captions", "candidates", "count", "labels")
"""Embed the captions and prepare their search; search each clip's; count; draw."""


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
    steps: Sequence[LabelStep] = LABEL_STEPS,
    stage: Stage = lambda job: lambda ended: None,
    note: Callable[[str], None] = lambda text: None,
) -> LabelRun:
    """Label every clip of a finished crate; what an earlier run has already found is used again.

    debias: what is taken off each clip before the search, so that no caption wins by an offset of its own: the mean of
    the crate's clips, or the one that came with the model, moved towards it; `auto` does what the model asks for. Where
    the model says what stated facts add to a caption, `model` adds it, and captions of one meaning share their draw.
    captions: `heard` leaves out captions that state what the model was not measured to hear; `auto` likewise.
    min_similarity: captions that score lower are left out. How many drawn ones are below the model's own measure
    without it, `labeling.weak` says.
    search: `fast` finds candidates by FAISS codes where a vocabulary is large, at a recall measured on the clips.
    steps: some of them, in their order; of `candidates` and `labels` the engine may do a part. Those before are needed.
    note: told, in a sentence, how much of a newly embedded vocabulary the model can read, and what the search reaches.
    """
    chosen_profile, files, opened = check_labels(profile, vocabularies or {}, k)
    engine = engine or Engine()
    crate.require_settled()
    crate.require_clips()
    scoring = read_scoring(embedder, crate.embedder.weights_hash)
    debias, captions = _resolved(debias, captions, scoring, embedder)
    jobs: dict[str, CandidatesJob] = {}
    heard: dict[str, tuple[str, ...]] = {}
    for slot in chosen_profile.slots:
        vocabulary = opened[slot.name]
        hears = scoring.hears if scoring and captions == "heard" else ()
        if hears and not _enough_heard(vocabulary, hears, k, note):
            hears = ()
        heard[slot.name] = hears
        jobs[slot.name] = _candidates_job(
            crate,
            vocabulary,
            files[slot.name],
            k=k,
            debias=scoring.offset_hash if scoring and debias == "model" else debias,
            hears=hears,
            facts=scoring.facts_hash if scoring and debias == "model" else "",
            search=search,
        )
    if "captions" in steps:
        if debias != "none":
            offset_D, clips = mean_embedding(crate)
            if scoring and debias == "model":
                offset_D = scoring.offset_with(offset_D, clips)
            for job in jobs.values():
                write_mean(crate, job.chosen, offset_D)
        searching = {slot_name: job for slot_name, job in jobs.items() if job.todo()}
        for slot_name, job in searching.items():
            if job.heard_name:
                write_heard_rows(crate.storage, job.heard_name, opened[slot_name], heard[slot_name])
            if scoring and job.chosen.facts:
                rows_M = read_heard_rows(crate.storage, job.heard_name) if job.heard_name else None
                write_stated(crate.storage, job.folder, opened[slot_name], scoring.facts, rows_M)
        embed_captions(crate, searching, opened, embedder, device, engine, stage, note)
        for job in searching.values():
            prepare_index(crate, job, note)
    sets = list({job.folder: job for job in jobs.values()}.values())  # two slots may share one
    if "candidates" in steps:
        for job in sets:
            _require_captions(crate, job)
        run_jobs(sets, engine, stage, "candidates")
    if "count" in steps:
        count_candidates(sets, engine, clips=_clips_in(crate), covers=crate.covers)
    run = LabelRun(
        profile=chosen_profile,
        seed=seed,
        method=method,
        candidates={slot_name: job.chosen for slot_name, job in jobs.items()},
        base_hash=crate.base_hash,
        min_similarity=min_similarity,
        given_name=name,
        holds=scoring.holds if scoring and debias == "model" else None,
        facts=tuple(scoring.facts) if scoring and debias == "model" else (),
    )
    if "labels" in steps:
        _require_counts(crate, jobs.values())
        run.begin(crate)
        labels = LabelsJob(root=crate.storage.url, pours=crate.pour_shards, run=run, vocabularies=files)
        run_job(labels, engine, stage(engine.share(labels)))
        if engine.part is None:
            for line in left_out_labels(crate, run):
                note(line)
    return run


def _require_captions(crate: Crate, job: CandidatesJob) -> None:
    """Raises CrateMismatch where the step `captions` was not done for this set; needed only where a search is."""
    storage, chosen = crate.storage, job.chosen
    needed = [job.index_name, job.heard_name, chosen.mean_file if chosen.debias != "none" else ""]
    needed += [f"{job.folder}/{name}" for name in STATED_FILES] if chosen.facts else []
    stands = embeddings_stand(Storage(job.embeddings_root), job.embeddings_name)
    absent = [file for file in needed if file and not storage.exists(file)]
    if (absent or not stands) and job.todo():
        raise CrateMismatch(
            f"{storage.url} lacks {absent[0] if absent else job.embeddings_name}; do the step before: "
            f"cratedig label {storage.url} --step captions, with the same options"
        )


def _require_counts(crate: Crate, jobs: Iterable[CandidatesJob]) -> None:
    for job in jobs:
        if read_counts(crate.storage, job.chosen, crate.covers) is None:
            raise CrateMismatch(
                f"{job.chosen.folder} has no counts over this crate; do the steps before: "
                f"cratedig label {crate.storage.url} --step candidates, then --step count, with the same options"
            )


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
    crate: Crate,
    vocabulary: Vocabulary,
    file: str,
    *,
    k: int,
    debias: str,
    hears: tuple[str, ...],
    facts: str,
    search: str,
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
        facts=facts,
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


def _clips_in(crate: Crate) -> int:
    return sum(int(marker["rows"]) for marker in crate.markers(CLIPS) if marker is not None)
