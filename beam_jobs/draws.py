"""Pass 2 of labelling as a job: each clip's captions drawn from its candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beam_jobs.job import PouredJob
from labeling.label import LabelRun, OpenSlot, label_shard
from labeling.search.counts import read_counts, shared_counts
from labeling.search.stated import read_meanings
from pipeline.crate.crate import Crate
from pipeline.errors import CrateMismatch
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from vocab.mapped import map_texts

__all__ = ["LabelsJob"]


@dataclass(frozen=True, kw_only=True)
class LabelsJob(PouredJob):
    """Draw the labels of every shard."""

    run: LabelRun
    vocabularies: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"labels {self.run.name}"

    @property
    def folder(self) -> str:
        return self.run.folder

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
            meaning_N = None
            if chosen.facts:
                meaning_N = read_meanings(crate.storage, chosen.folder)
                counts_N = shared_counts(counts_N, meaning_N)
            slots.append(
                OpenSlot(slot=slot, chosen=chosen, vocabulary=vocabulary, counts_N=counts_N, meaning_N=meaning_N)
            )
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
