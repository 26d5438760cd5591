"""The export job: a shard of a crate in, its examples in another layout out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from beam_jobs.engine import Engine, OnTick, run_job
from beam_jobs.job import PouredJob
from pipeline.crate.crate import Crate
from pipeline.export.export import Export, begin_export, shard_hashes, shards_to_do
from pipeline.export.finish import finish_export
from pipeline.export.layouts.by_name import layout_of
from pipeline.export.shard import SHARDS, Exporter, export_shard
from pipeline.export.spec import ExportSpec
from pipeline.export.tokens.tokenizer import Tokenizer
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport

__all__ = ["ExportJob", "export_crate"]


@dataclass(frozen=True, kw_only=True)
class ExportJob(PouredJob):
    """Write the shards of an export that was begun."""

    crate: str
    missing_sources: str = "stop"
    tokens: str = ""
    """Folder of the codec that the export's spec names."""
    device: str = "cpu"
    """Of the codec."""
    folder: str = SHARDS
    title: str = "export"

    def todo(self) -> list[int]:
        return shards_to_do(Crate.open(self.crate), Export.open(self.root))

    def open(self) -> _Worker:
        return _Worker(self)


class _Worker:
    def __init__(self, job: ExportJob) -> None:
        crate, export = Crate.open(job.crate), Export.open(job.root)
        self._export, codec = export, export.spec.tokens
        self._hash_of = shard_hashes(crate, export.spec)
        self._exporter = Exporter(
            crate=crate,
            spec=export.spec,
            out=export.storage,
            layout=layout_of(export.spec, crate.embedder.dimension),
            missing_sources=job.missing_sources,
            tokenizer=Tokenizer(job.tokens, codec, device=job.device) if codec else None,
        )

    def run(self, shard: int) -> ShardReport:
        beat = Heartbeat(self._export.storage, SHARDS, shard)
        report = export_shard(self._exporter, shard, self._export.at(shard), self._hash_of(shard), beat=beat)
        beat.end()
        return report

    def close(self) -> None:
        self._exporter.close()


def export_crate(
    crate: Crate,
    out: str | os.PathLike[str],
    spec: ExportSpec,
    *,
    engine: Engine | None = None,
    missing_sources: str = "stop",
    tokens: str = "",
    device: str = "cpu",
    watch: Callable[[ExportJob], OnTick] = lambda job: lambda ended: None,
) -> Export:
    """All of an export: begun or taken up, its shards that are not done, and what lies beside them.

    tokens: folder of the codec that `spec.tokens` describes.
    """
    export = begin_export(crate, out, spec)
    job = ExportJob(
        root=export.storage.url,
        crate=crate.storage.url,
        pours=export.pour_shards,
        missing_sources=missing_sources,
        tokens=tokens,
        device=device,
    )
    run_job(job, engine or Engine(), watch(job))
    return finish_export(export)
