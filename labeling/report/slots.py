"""The figures of one slot: use of its captions under three draws of the same candidates, hubs, and similarity.

B clips of a shard, K candidates, K' drawn, U captions that are a candidate somewhere, N of the vocabulary.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from labeling.draw import Method, draw
from labeling.report.hubs import HubComparison, compare_hubs
from labeling.report.runs import ReportRun, ReportSlot
from labeling.report.similarity import Similarity, compare, strangers
from labeling.report.usage import Counter64, Counts, Hubness, Spread, hubness, rank_curve, spread
from labeling.search.candidates import captions_in, embeddings_in
from labeling.search.caption_embeddings import embeddings_name, embeddings_stand, load_embeddings
from labeling.search.counts import read_counts
from pipeline.crate.crate import CANDIDATES, CLIPS, Crate
from pipeline.crate.dataset import read_once
from pipeline.crate.shards import part_name
from pipeline.errors import CrateMismatch, VocabularyProblem
from pipeline.ids import hash_u64
from pipeline.parquet import parquet_file
from pipeline.storage import Storage
from vocab.store import BUNDLED, BUNDLED_FOLDER, Kind, Vocabulary, ids_from_hex, ids_to_hex, vocabulary_file

__all__ = [
    "METHODS",
    "DrawFigures",
    "SlotFigures",
    "SlotWatcher",
    "UsedCaption",
    "sampled_shards",
    "slot_figures",
]

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


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Clips of a shard, with the captions they were given."""

    clip_ids: Sequence[str]
    clips_BD: NDArray[np.float32]
    captions: NDArray[np.uint64]
    """Ids, clip after clip."""
    drawn_B: NDArray[np.int64]
    """How many each clip has of them."""


def sampled_shards(crate: Crate) -> list[int]:
    """Enough of them for `SIMILARITY_CLIPS`, in an order that has nothing to do with the plan's."""
    rows = [marker["rows"] if marker else 0 for marker in crate.markers(CLIPS)]
    chosen, clips = [], 0
    for shard in sorted(
        filter(rows.__getitem__, crate.shards), key=lambda s: hash_u64("similarity", crate.base_hash, s)
    ):
        if clips >= SIMILARITY_CLIPS:
            break
        chosen.append(shard)
        clips += rows[shard]
    return chosen


class SlotWatcher:
    """Gathers the figures of a slot as shards are seen.

    sampled: shards whose clips are compared with their captions, of `sampled_shards`. vocabularies: slot -> file, for
    texts that no label carries and for embeddings that lie beside their vocabulary; the bundled ones are found without.
    """

    def __init__(
        self,
        crate: Crate,
        run: ReportRun,
        slot: ReportSlot,
        sampled: Sequence[int],
        *,
        vocabularies: Mapping[str, str] | None = None,
    ) -> None:
        self._crate, self._run, self._slot = crate, run, slot
        counts = read_counts(crate.storage, slot.chosen)
        if counts is None:
            raise self._miscounted()
        self._counts, self._rows_U = Counts(ids_U=counts.ids_U, counts_U=counts.counts_U), counts.rows_U
        self._home = _vocabulary_file(slot, (vocabularies or {}).get(slot.name, ""))
        self._matrix_ND = _embeddings(crate, slot, self._home)
        self._sample: dict[int, _Sample | None] = dict.fromkeys(sampled if self._matrix_ND is not None else ())
        self._found, self._clips = Counter64(), 0
        self._uses = {name: Counter64() for name in METHODS}

    def columns(self, shard: int) -> dict[str, list[str]]:
        wanted = {
            self._slot.chosen.folder: ["clip_id", "caption_id"],
            self._run.folder: [f"{self._slot.name}.list.element.caption_id"],
        }
        return wanted | ({CLIPS: ["clip_id", "embedding"]} if shard in self._sample else {})

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        """The run's own draw is taken as its labels have it, the others are drawn here from the same candidates and
        seed."""
        slot, run, found = self._slot, self._run, tables[self._slot.chosen.folder]
        caption_BK = captions_in(found, slot.chosen)
        labels = tables[run.folder].column(slot.name).combine_chunks()
        drawn_ids = ids_from_hex(labels.flatten().field("caption_id"))
        self._found.add(caption_BK)
        self._clips += len(caption_BK)
        clip_B = np.array([hash_u64("clip", clip) for clip in found.column("clip_id").to_pylist()], dtype=np.uint64)
        drawn = min(slot.draw, caption_BK.shape[1])
        counts_BK = self._counts.of(caption_BK)
        for method in METHODS:
            if method == run.method:
                self._uses[method].add(drawn_ids)
                continue
            columns = draw(
                seed=run.seed, clip_B=clip_B, caption_BK=caption_BK, counts_BK=counts_BK, drawn=drawn, method=method
            )
            self._uses[method].add(np.take_along_axis(caption_BK, columns, axis=1))
        if shard in self._sample:
            clips = tables[CLIPS]
            self._sample[shard] = _Sample(
                clip_ids=clips.column("clip_id").to_pylist(),
                clips_BD=embeddings_in(clips, self._crate.embedder.dimension).copy(),
                captions=drawn_ids,
                drawn_B=labels.value_lengths().to_numpy(),
            )

    def figures(self) -> SlotFigures:
        """Of all that was seen."""
        crate, run, slot = self._crate, self._run, self._slot
        candidates = self._found.counts()
        if not np.array_equal(self._counts.counts_U, candidates.counts_U):
            raise self._miscounted()
        used = {name: counter.counts() for name, counter in self._uses.items()}
        tables = {name: _extremes(used[name]) for name in METHODS}
        wanted = np.unique(np.concatenate([ids for pair in tables.values() for ids in pair]))
        texts = _texts(crate, run, slot, wanted, self._home)

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
        sample = [found for found in self._sample.values() if found is not None]
        if self._matrix_ND is not None and sample:
            clips_BD = np.concatenate([found.clips_BD for found in sample])
            similarity = _similarity(self._matrix_ND, sample, clips_BD, candidates.ids_U, self._rows_U)
            hubs = compare_hubs(clips_BD, self._matrix_ND, slot.chosen.k)
        return SlotFigures(
            name=slot.name,
            kind=slot.kind,
            vocabulary=slot.chosen.vocabulary_name,
            captions=slot.chosen.captions,
            k=slot.chosen.k,
            draw=slot.draw,
            search=slot.chosen.search,
            debias=slot.chosen.debias,
            clips=self._clips,
            candidates_distinct=len(candidates.ids_U),
            hubness=hubness(candidates.counts_U, captions=slot.chosen.captions),
            draws=draws,
            similarity=similarity,
            hubs=hubs,
        )

    def _miscounted(self) -> CrateMismatch:
        return CrateMismatch(
            f"the counts in {self._slot.chosen.folder} are not those of its candidates; delete that folder and label "
            "again"
        )


def slot_figures(
    crate: Crate, run: ReportRun, slot: ReportSlot, *, vocabularies: Mapping[str, str] | None = None
) -> SlotFigures:
    """Of one slot alone; reads the crate. For the arguments see `SlotWatcher`."""
    watcher = SlotWatcher(crate, run, slot, sampled_shards(crate), vocabularies=vocabularies)
    read_once(crate, [watcher])
    return watcher.figures()


def _label_column(crate: Crate, run: ReportRun, slot: ReportSlot, shard: int, fields: Sequence[str]) -> pa.StructArray:
    """Those fields of the shard's labels, one after the other."""
    with crate.storage.open(part_name(*crate.at(run.folder, shard))) as file:
        table = parquet_file(file).read(
            columns=[f"{slot.name}.list.element.{name}" for name in fields], use_threads=False
        )
    return table.column(0).combine_chunks().flatten()


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


def _embeddings(crate: Crate, slot: ReportSlot, home: str) -> NDArray[np.float32] | None:
    """The vocabulary's, (N, D), wherever they lie; None if nowhere."""
    name = embeddings_name(slot.chosen.vocabulary_hash, crate.embedder)
    places = [posixpath.join(crate.storage.url, CANDIDATES), str(BUNDLED_FOLDER)]
    places += [posixpath.dirname(home)] if home else []
    storage = next((s for s in map(Storage, places) if embeddings_stand(s, name)), None)
    return load_embeddings(storage, name, crate.embedder) if storage else None


def _similarity(
    matrix_ND: NDArray[np.float32],
    sample: Sequence[_Sample],
    clips_BD: NDArray[np.float32],
    ids_U: NDArray[np.uint64],
    rows_U: NDArray[np.int64],
) -> Similarity | None:
    """Of the clips that have captions: with --min-similarity not all do, and some have fewer than others."""
    rows_P = rows_U[np.searchsorted(ids_U, np.concatenate([found.captions for found in sample]))]
    drawn_B = np.concatenate([found.drawn_B for found in sample])
    clip_ids = [clip for found in sample for clip in found.clip_ids]
    if len(set(drawn_B.tolist())) > 1:
        clips_BD, clip_ids = clips_BD[drawn_B > 0], [clip for clip, n in zip(clip_ids, drawn_B, strict=True) if n]
        drawn_B = drawn_B[drawn_B > 0]
    B = len(clip_ids)
    partner_B = strangers(clip_ids, [clip.rpartition("-")[0] for clip in clip_ids])
    if len(set(drawn_B.tolist())) > 1:  # a row a pair, whose partner is the first row of the clip's partner
        first_B = np.cumsum(drawn_B) - drawn_B
        clips_BD, partner_B = (np.repeat(values, drawn_B, axis=0) for values in (clips_BD, first_B[partner_B]))
    vectors_BLD = np.asarray(matrix_ND[rows_P]).reshape(len(clips_BD), -1, matrix_ND.shape[1])
    found = compare(clips_BD, vectors_BLD, partner_B)
    return found and replace(found, clips=B)
