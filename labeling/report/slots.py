"""The figures of one slot: use of its captions under three draws of the same candidates, hubs, and similarity.

B clips of a shard, K candidates, K' drawn, U captions that are a candidate somewhere, N of the vocabulary.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.draw import Method, draw
from labeling.report.hubs import HubComparison, compare_hubs
from labeling.report.runs import ReportRun, ReportSlot
from labeling.report.similarity import Similarity, compare, strangers
from labeling.report.usage import Counter64, Counts, Hubness, Spread, hubness, rank_curve, spread
from labeling.search.candidates import read_candidates, read_embeddings
from labeling.search.caption_embeddings import embeddings_name, embeddings_stand, load_embeddings
from labeling.search.counts import read_counts
from pipeline.crate.crate import CANDIDATES, Crate
from pipeline.crate.shards import part_name
from pipeline.errors import CrateMismatch, VocabularyProblem
from pipeline.ids import hash_u64
from pipeline.storage import Storage
from vocab.store import BUNDLED, BUNDLED_FOLDER, Kind, Vocabulary, ids_from_hex, ids_to_hex, vocabulary_file

__all__ = ["METHODS", "DrawFigures", "SlotFigures", "UsedCaption", "slot_figures"]

METHODS: tuple[Method, ...] = ("top", "uniform", "inverse-frequency")
_TABLE_ROWS = 10
SIMILARITY_CLIPS = 2_000
"""So many clips, at least, make the histograms of a large crate."""


@dataclass(frozen=True, kw_only=True)
class UsedCaption:
    """A row of the tables: one caption under each draw."""

    caption_id: str
    text: str
    """Empty where neither the labels nor a known vocabulary has it."""
    candidate_in: int
    """Clips with it in their top K."""
    uses: Mapping[str, int]
    """Draw -> clips that got it."""


@dataclass(frozen=True, kw_only=True)
class DrawFigures:
    """Caption use under one way of drawing."""

    spread: Spread
    curve: Sequence[tuple[int, int]]
    """(rank, uses), for a plot with log axes."""
    most: Sequence[UsedCaption]
    least: Sequence[UsedCaption]
    """Of the captions used at least once."""


@dataclass(frozen=True, kw_only=True)
class SlotFigures:
    """All that the report says of a slot."""

    name: str
    kind: str
    vocabulary: str
    captions: int
    k: int
    draw: int
    search: str
    debias: str
    clips: int
    candidates_distinct: int
    hubness: Hubness
    draws: Mapping[str, DrawFigures]
    similarity: Similarity | None
    """None where the captions' embeddings are not at hand, or there is nothing to compare."""
    hubs: HubComparison | None
    """None in the same cases."""


def slot_figures(
    crate: Crate, run: ReportRun, slot: ReportSlot, *, vocabularies: Mapping[str, str] | None = None
) -> SlotFigures:
    """Two passes over the slot's candidates, one over its labels. `vocabularies`: slot -> file, for texts that no
    label carries and for embeddings that lie beside their vocabulary; the bundled ones are found without."""
    candidates, clips = _count_candidates(crate, slot)
    counts = read_counts(crate.storage, slot.chosen)
    if counts is None or not np.array_equal(counts.counts_U, candidates.counts_U):
        raise CrateMismatch(
            f"the counts in {slot.chosen.folder} are not those of its candidates; delete that folder and label again"
        )
    rows_U = counts.rows_U
    used = _count_uses(crate, run, slot, candidates)
    tables = {name: _extremes(used[name]) for name in METHODS}
    wanted = np.unique(np.concatenate([ids for pair in tables.values() for ids in pair]))
    home = _vocabulary_file(slot, (vocabularies or {}).get(slot.name, ""))
    texts = _texts(crate, run, slot, wanted, home)

    def rows(ids: NDArray[np.uint64]) -> list[UsedCaption]:
        return [
            UsedCaption(
                caption_id=f"{int(one):016x}",
                text=texts.get(int(one), ""),
                candidate_in=int(candidates.of(ids[i : i + 1])[0]),
                uses={name: int(used[name].of(ids[i : i + 1])[0]) for name in METHODS},
            )
            for i, one in enumerate(ids)
        ]

    draws: dict[str, DrawFigures] = {
        name: DrawFigures(
            spread=spread(used[name].counts_U, captions=slot.chosen.captions),
            curve=rank_curve(used[name].counts_U),
            most=rows(tables[name][0]),
            least=rows(tables[name][1]),
        )
        for name in METHODS
    }
    similarity, hubs = None, None
    matrix_ND = _embeddings(crate, slot, home)
    sample = None if matrix_ND is None else _sample(crate, run, slot)
    if matrix_ND is not None and sample is not None:
        similarity = _similarity(matrix_ND, sample, candidates.ids_U, rows_U)
        hubs = compare_hubs(sample.clips_BD, matrix_ND, slot.chosen.k)
    return SlotFigures(
        name=slot.name,
        kind=slot.kind,
        vocabulary=slot.chosen.vocabulary_name,
        captions=slot.chosen.captions,
        k=slot.chosen.k,
        draw=slot.draw,
        search=slot.chosen.search,
        debias=slot.chosen.debias,
        clips=clips,
        candidates_distinct=len(candidates.ids_U),
        hubness=hubness(candidates.counts_U, captions=slot.chosen.captions),
        draws=draws,
        similarity=similarity,
        hubs=hubs,
    )


def _count_candidates(crate: Crate, slot: ReportSlot) -> tuple[Counts, int]:
    counter, clips = Counter64(), 0
    for shard in crate.shards:
        _, caption_BK, _ = read_candidates(crate, slot.chosen, shard)
        counter.add(caption_BK)
        clips += len(caption_BK)
    return counter.counts(), clips


def _count_uses(crate: Crate, run: ReportRun, slot: ReportSlot, candidates: Counts) -> dict[str, Counts]:
    """The run's own draw as its labels have it, the others drawn here from the same candidates and seed."""
    counters = {name: Counter64() for name in METHODS}
    for shard in crate.shards:
        clip_ids, caption_BK, _ = read_candidates(crate, slot.chosen, shard)
        clip_B = np.array([hash_u64("clip", clip) for clip in clip_ids.to_pylist()], dtype=np.uint64)
        drawn = min(slot.draw, caption_BK.shape[1])
        counts_BK = candidates.of(caption_BK)
        for method in METHODS:
            if method == run.method:
                counters[method].add(_labels(crate, run, slot, shard, "caption_id"))
                continue
            columns = draw(
                seed=run.seed, clip_B=clip_B, caption_BK=caption_BK, counts_BK=counts_BK, drawn=drawn, method=method
            )
            counters[method].add(np.take_along_axis(caption_BK, columns, axis=1))
    return {name: counter.counts() for name, counter in counters.items()}


def _label_column(crate: Crate, run: ReportRun, slot: ReportSlot, shard: int, fields: Sequence[str]) -> pa.StructArray:
    """Those fields of the shard's labels, one after the other."""
    with crate.storage.open(part_name(*crate.at(run.folder, shard))) as file:
        table = pq.ParquetFile(file).read(
            columns=[f"{slot.name}.list.element.{name}" for name in fields], use_threads=False
        )
    return table.column(0).combine_chunks().flatten()


def _labels(crate: Crate, run: ReportRun, slot: ReportSlot, shard: int, field: str) -> NDArray[np.uint64]:
    return ids_from_hex(_label_column(crate, run, slot, shard, [field]).field(field))


def _extremes(counts: Counts) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Ids of the most and of the least used; equal counts by id."""
    most = np.argsort(-counts.counts_U, kind="stable")[:_TABLE_ROWS]
    least = np.argsort(counts.counts_U, kind="stable")[:_TABLE_ROWS]
    return counts.ids_U[most], counts.ids_U[least]


def _vocabulary_file(slot: ReportSlot, given: str) -> str:
    """The slot's vocabulary, if it is the one given or a bundled one; empty otherwise."""
    given = vocabulary_file(given) if given else ""
    for path in (given, *(str(BUNDLED_FOLDER / f"{name}.parquet") for name in BUNDLED[cast(Kind, slot.kind)])):
        if not path:
            continue
        folder, file = posixpath.split(path)
        card = Storage(folder or ".").read_json(file.removesuffix(".parquet") + ".card.json")
        if card.get("content_hash") == slot.chosen.vocabulary_hash:
            return path
        if path == given:
            raise VocabularyProblem(
                f"{given} is not the vocabulary that slot {slot.name} was labelled from ({slot.chosen.vocabulary_name},"
                f" {slot.chosen.vocabulary_hash}); give that one, or none"
            )
    return ""


def _texts(crate: Crate, run: ReportRun, slot: ReportSlot, wanted: NDArray[np.uint64], home: str) -> Mapping[int, str]:
    if home:
        vocabulary = Vocabulary.load(home)
        at = np.searchsorted(vocabulary.ids, wanted)
        return dict(zip(wanted.tolist(), vocabulary.texts.take(pa.array(at)).to_pylist(), strict=True))
    found: dict[int, str] = {}
    hexes = ids_to_hex(wanted)
    for shard in crate.shards:
        labels = _label_column(crate, run, slot, shard, ["caption_id", "text"])
        mine = labels.filter(pa.compute.is_in(labels.field("caption_id"), value_set=hexes))
        found |= {int(row["caption_id"], 16): row["text"] for row in mine.to_pylist()}
        if len(found) == len(wanted):
            break
    return found


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Clips of some shards, with the captions they were given."""

    clip_ids: Sequence[str]
    clips_BD: NDArray[np.float32]
    caption_BL: NDArray[np.uint64]


def _embeddings(crate: Crate, slot: ReportSlot, home: str) -> NDArray[np.float32] | None:
    """The vocabulary's, (N, D), wherever they lie; None if nowhere."""
    name = embeddings_name(slot.chosen.vocabulary_hash, crate.embedder)
    places = [posixpath.join(crate.storage.url, CANDIDATES), str(BUNDLED_FOLDER)]
    places += [posixpath.dirname(home)] if home else []
    storage = next((s for s in map(Storage, places) if embeddings_stand(s, name)), None)
    return load_embeddings(storage, name, crate.embedder) if storage else None


def _sample(crate: Crate, run: ReportRun, slot: ReportSlot) -> _Sample | None:
    clip_ids: list[str] = []
    clips: list[NDArray[np.float32]] = []
    captions: list[NDArray[np.uint64]] = []
    for shard in _sampled_shards(crate):
        if len(clip_ids) >= SIMILARITY_CLIPS:
            break
        names, embedding_BD = read_embeddings(crate, shard)
        if len(embedding_BD):
            clip_ids += names.to_pylist()
            clips.append(embedding_BD)
            captions.append(_labels(crate, run, slot, shard, "caption_id").reshape(len(embedding_BD), -1))
    if not clip_ids:
        return None
    return _Sample(clip_ids=clip_ids, clips_BD=np.concatenate(clips), caption_BL=np.concatenate(captions))


def _similarity(
    matrix_ND: NDArray[np.float32], sample: _Sample, ids_U: NDArray[np.uint64], rows_U: NDArray[np.int64]
) -> Similarity | None:
    rows_BL = rows_U[np.searchsorted(ids_U, sample.caption_BL)]
    tracks = [clip.rpartition("-")[0] for clip in sample.clip_ids]
    vectors_BLD = np.asarray(matrix_ND[rows_BL.ravel()]).reshape(*rows_BL.shape, -1)
    return compare(sample.clips_BD, vectors_BLD, strangers(sample.clip_ids, tracks))


def _sampled_shards(crate: Crate) -> Iterable[int]:
    """All of them, in an order that has nothing to do with the plan's."""
    return sorted(crate.shards, key=lambda shard: hash_u64("similarity", crate.base_hash, shard))
