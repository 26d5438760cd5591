"""Pass 2 of labelling: draw each clip's captions from its candidates and write them beside its shard.

B clips of a shard, K candidates, K' drawn, N captions of a vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.draw import Method, draw, first_draw_probability
from labeling.profiles import Profile, Slot
from labeling.search.candidates import CandidateSet, read_candidates
from labeling.search.counts import counts_sha256
from pipeline.crate.crate import LABELS, RUN_FILE, Crate
from pipeline.crate.schema import LABEL_TYPE, labels_schema
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import part_name, write_marker
from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import content_hash, hash_u64
from pipeline.parquet import read_table
from pipeline.records import ShardReport
from vocab.store import Vocabulary

__all__ = ["LabelRun", "OpenSlot", "label_columns", "label_shard", "metadata_prompt"]


@dataclass(frozen=True, kw_only=True)
class LabelRun:
    """What determines the labels of one run; several runs stand side by side in a crate."""

    profile: Profile
    seed: int
    method: Method
    candidates: Mapping[str, CandidateSet]
    """Slot name -> where its candidates come from."""
    base_hash: str
    """Of the crate: its settings and embedder."""
    min_similarity: float | None = None
    """Captions with a lower score are left out; a clip may then have fewer than its profile draws, or none."""
    given_name: str = ""
    holds: tuple[float, float] | None = None
    """What makes of a fact's score the chance that it holds (`chance_to_hold`); it moves no draw."""
    facts: tuple[str, ...] = ()
    """Those that have a vector, in the order of the vectors beside the candidates."""

    @property
    def hash(self) -> str:
        slots = [[slot.name, slot.draw, self.candidates[slot.name].hash] for slot in self.profile.slots]
        settings = [self.profile.name, self.seed, self.method, slots, self.base_hash, self.profile.prompt]
        return content_hash(settings + ([] if self.min_similarity is None else [self.min_similarity]))

    @property
    def name(self) -> str:
        return self.given_name or f"{self.profile.name}-{self.hash[:8]}"

    @property
    def folder(self) -> str:
        return f"{LABELS}/{self.name}"

    def describe(self, crate: Crate) -> dict[str, Any]:
        """The content of run.json."""
        return {
            "run_hash": self.hash,
            "drawn_by": self.drawn_by(crate),
            "covers": crate.covers,
            "profile": self.profile.name,
            "seed": self.seed,
            "method": self.method,
            "min_similarity": self.min_similarity,
            "prompt": self.profile.prompt,
            "holds": None if self.holds is None else {"numbers": list(self.holds), "facts": list(self.facts)},
            "slots": {
                slot.name: {
                    "kind": slot.kind,
                    "draw": slot.draw,
                    "k": self.candidates[slot.name].k,
                    "vocabulary": self.candidates[slot.name].vocabulary_name,
                    "vocabulary_hash": self.candidates[slot.name].vocabulary_hash,
                    "captions": self.candidates[slot.name].captions,
                    "candidates": self.candidates[slot.name].folder,
                    "search": self.candidates[slot.name].search,
                    "debias": self.candidates[slot.name].debias,
                    "heard": self.candidates[slot.name].heard,
                    "facts": self.candidates[slot.name].facts,
                }
                for slot in self.profile.slots
            },
        }

    def begin(self, crate: Crate) -> None:
        """Write run.json, or raise CrateMismatch where a run of that name is another one."""
        file = f"{self.folder}/{RUN_FILE}"
        if crate.storage.exists(file):
            found = read_sealed(crate.storage, file)
            if found.get("run_hash") != self.hash:
                raise CrateMismatch(
                    f"labels {self.name!r} of {crate.storage.url} were made with other settings "
                    f"(profile {found.get('profile')}, seed {found.get('seed')}); give --name another name"
                )
            if found == self.describe(crate):
                return
        if not all(c.isalnum() or c in "-_" for c in self.name):
            raise BadInput(f"label run name {self.name!r}: expected letters, digits, '-' and '_' only")
        write_sealed(crate.storage, file, self.describe(crate))

    def undone(self, crate: Crate) -> list[int]:
        """Shards whose labels are not drawn, or by other counts."""
        return crate.undone(self.folder, self.drawn_by(crate))

    def drawn_by(self, crate: Crate) -> str:
        """Of everything that determines a draw beside the clips: the run, and the counts over the whole crate."""
        counts = [counts_sha256(crate.storage, self.candidates[slot.name]) for slot in self.profile.slots]
        return content_hash([self.hash, counts])


@dataclass(frozen=True, kw_only=True)
class OpenSlot:
    """A slot with what its draw needs in memory."""

    slot: Slot
    chosen: CandidateSet
    vocabulary: Vocabulary
    counts_N: NDArray[np.int64]
    """How often the caption is a candidate; with `meaning_N`, how often any caption of its meaning is."""
    meaning_N: NDArray[np.int64] | None = None
    """Equal for captions that mean the same, of which a clip gets one before it gets two."""


def label_shard(crate: Crate, run: LabelRun, shard: int, slots: list[OpenSlot], *, drawn_by: str) -> ShardReport:
    """Write the labels of one shard: the clips' rows in the clips' order. drawn_by: see `LabelRun`."""
    started = time.monotonic()
    with crate.storage.open(crate.clips_part(shard)) as file:
        tracks = read_table(file, columns=["clip_id", "title", "artist", "album", "tags", "extra", "from_list"])
    clip_ids = tracks.column("clip_id").to_pylist()
    columns: dict[str, Any] = {"clip_id": tracks.column("clip_id"), "metadata": _metadata(tracks)}
    if run.profile.prompt:
        columns["prompt"] = pa.array([metadata_prompt(row) for row in tracks.to_pylist()], pa.string())
    clip_B = np.array([hash_u64("clip", clip) for clip in clip_ids], dtype=np.uint64)
    for opened in slots:
        found, caption_BK, score_BK = read_candidates(crate, opened.chosen, shard)
        if found.to_pylist() != clip_ids:
            raise CrateMismatch(
                f"{opened.chosen.folder} shard {shard} is about other clips than {crate.clips_part(shard)}; "
                f"delete {crate.storage.url}/{opened.chosen.folder} and label again"
            )
        columns[opened.slot.name] = label_columns(
            opened, clip_B, caption_BK, score_BK, seed=run.seed, method=run.method, min_similarity=run.min_similarity
        )
    schema = labels_schema([opened.slot.name for opened in slots], prompt=run.profile.prompt)
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    name = part_name(*crate.at(run.folder, shard))
    with crate.storage.write(name) as written:
        pq.write_table(table, written, compression="zstd")
    report = ShardReport(
        shard=shard,
        rows=len(table),
        seconds=round(time.monotonic() - started, 3),
        counts={"clips": len(table), **_drawn_counts(slots, table)},
    )
    run_hash = crate.made_hash(drawn_by, shard)
    write_marker(crate.storage, *crate.at(run.folder, shard), report, run_hash=run_hash, files={name: written})
    return report


def _drawn_counts(slots: list[OpenSlot], table: pa.Table) -> dict[str, int]:
    """Captions of each slot, and how many fewer than its draw there are, for `--min-similarity`."""
    counts = {}
    for opened in slots:
        name, wanted = opened.slot.name, opened.slot.draw * len(table)
        counts[name] = sum(len(chunk.flatten()) for chunk in table.column(name).chunks)
        if counts[name] < wanted:
            counts[f"{name}:below-min-similarity"] = wanted - counts[name]
    return counts


def label_columns(
    opened: OpenSlot,
    clip_B: NDArray[np.uint64],
    caption_BK: NDArray[np.uint64],
    score_BK: NDArray[np.float32],
    *,
    seed: int,
    method: Method,
    min_similarity: float | None = None,
) -> pa.ListArray:
    """The drawn captions of B clips as one Arrow column of LABEL_TYPE, without a Python object a caption."""
    rows_BK = np.searchsorted(opened.vocabulary.ids, caption_BK)
    counts_BK = opened.counts_N[rows_BK]
    drawn = min(opened.slot.draw, caption_BK.shape[1])
    allowed_BK = np.ones(score_BK.shape, bool) if min_similarity is None else score_BK >= min_similarity
    ranks = draw(
        seed=seed,
        clip_B=clip_B,
        caption_BK=caption_BK,
        counts_BK=counts_BK,
        drawn=drawn,
        method=method,
        allowed_BK=allowed_BK,
        meaning_BK=None if opened.meaning_N is None else opened.meaning_N[rows_BK],
    )
    kept = np.take_along_axis(allowed_BK, ranks, axis=1)

    def taken(values_BK: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values_BK, ranks, axis=1)[kept]

    rows = pa.array(taken(rows_BK))
    kinds = {field.name: field.type for field in LABEL_TYPE.value_type}
    values = {
        "caption_id": _flat(opened.vocabulary.table.column("caption_id").take(rows)),
        "text": _flat(opened.vocabulary.texts.take(rows)),
        "score": pa.array(taken(score_BK), kinds["score"]),
        "rank": pa.array(ranks[kept].astype(np.int32), kinds["rank"]),
        "count": pa.array(taken(counts_BK), kinds["count"]),
        "probability": pa.array(taken(first_draw_probability(counts_BK, allowed_BK)), kinds["probability"]),
    }
    struct = pa.StructArray.from_arrays(list(values.values()), fields=list(LABEL_TYPE.value_type))
    offsets = pa.array(np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, struct)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _metadata(tracks: pa.Table) -> pa.Array:
    """Title, artist and tags, the short texts that a clip has without any retrieval."""
    rows = zip(*(tracks.column(name).to_pylist() for name in ("title", "artist", "tags")), strict=True)
    return pa.array([[t for t in (title, artist, *tags) if t] for title, artist, tags in rows], pa.list_(pa.string()))


def metadata_prompt(row: Mapping[str, Any]) -> str:
    """What is known of a track in one line (PAPER 3.6, curated set): title, artist, tags, album, then what else its
    list has. Further tags of its file (ids, comments, copyright) say nothing of how it sounds."""
    said = [row["title"], f"by {row['artist']}" if row["artist"] else "", ", ".join(row["tags"])]
    extra = [(pair["name"], pair["value"]) for pair in row["extra"] if pair["name"] in row["from_list"]]
    said += [f"{name}: {value}" for name, value in [("album", row["album"]), *extra] if value]
    return "; ".join(text for text in said if text)
