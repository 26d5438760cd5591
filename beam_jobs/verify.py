"""The proof as a job: shards are read and hashed by workers, for a crate that is too large for one machine to read."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from beam_jobs.engine import Engine, run_job
from beam_jobs.engines.on_beam import Stage
from beam_jobs.job import PouredJob
from pipeline.crate.crate import Crate
from pipeline.crate.ledger import put_marker, read_markers
from pipeline.crate.shards import marker_name, read_marker
from pipeline.crate.verify import Made, folders_of, prove_shard, verify_crate
from pipeline.errors import RunFailed
from pipeline.progress import Heartbeat
from pipeline.records import Proof, ShardReport

__all__ = ["VerifyJob", "verify_by_job"]

_FOLDER = ".proof"
"""Below the crate's root; gone when the proof is made."""


@dataclass(frozen=True, kw_only=True)
class VerifyJob(PouredJob):
    """Look at every shard; what is found stands in its marker."""

    made: Made
    look: str
    """Another one for each proof: none takes the word of an earlier one."""

    @property
    def title(self) -> str:
        return "verify"

    @property
    def folder(self) -> str:
        return _FOLDER

    def todo(self) -> list[int]:
        return Crate.open(self.root).undone(_FOLDER, self.look)

    def open(self) -> _Worker:
        return _Worker(self, Crate.open(self.root))


class _Worker:
    def __init__(self, job: VerifyJob, crate: Crate) -> None:
        self._job, self._crate = job, crate
        self._ledgers: dict[str, Mapping[str, Any]] = {}
        """Of an object store: the markers of the folders that were looked at last."""

    def run(self, shard: int) -> ShardReport:
        started, crate = time.monotonic(), self._crate
        beat = Heartbeat(crate.storage, _FOLDER, shard)
        beat({"clips": 0})
        markers = {folder: self._marker(folder, shard) for folder in folders_of(crate, self._job.made, shard)}
        proof = prove_shard(crate, self._job.made, shard, markers)
        seconds = round(time.monotonic() - started, 3)
        report = ShardReport(shard=shard, rows=proof.clips, seconds=seconds, counts={"clips": proof.clips})
        said = asdict(report) | {
            "files": {},
            "run_hash": crate.made_hash(self._job.look, shard),
            "proof": proof.as_dict(),
        }
        put_marker(crate.storage, marker_name(*self._job.at(shard)), said)
        beat.end()
        return report

    def _marker(self, folder: str, shard: int) -> Mapping[str, Any] | None:
        """From its own file, or, on an object store, from its ledger, which is read once for all shards of a folder."""
        at = self._crate.at(folder, shard)
        if not self._crate.storage.is_object_store:
            return read_marker(self._crate.storage, *at)
        if at[0] not in self._ledgers:
            kept = {name: found for name, found in self._ledgers.items() if posixpath.dirname(name) != folder}
            self._ledgers = kept | {at[0]: read_markers(self._crate.storage, at[0])[0]}
        return self._ledgers[at[0]].get(posixpath.basename(marker_name(*at)))

    def close(self) -> None:
        pass


def verify_by_job(crate: Crate, engine: Engine, stage: Stage = lambda job: lambda ended: None) -> Proof:
    """`verify_crate` with shards looked at by the engine's workers; what they find lies in `.proof` meanwhile."""

    def of_shards(made: Made) -> Iterator[Proof]:
        job = VerifyJob(root=crate.storage.url, pours=crate.pour_shards, made=dict(made), look=uuid4().hex)
        run_job(job, engine, stage(job))
        for shard, marker in zip(crate.shards, crate.markers(_FOLDER), strict=True):
            if marker is None or marker["run_hash"] != crate.made_hash(job.look, shard):
                raise RunFailed(f"{crate.storage.url}/{_FOLDER} lacks what was found of shard {shard}; verify again")
            yield Proof.of(marker["proof"])

    with crate.storage.lock():
        crate.storage.remove(_FOLDER)
        try:
            return verify_crate(crate, of_shards=of_shards)
        finally:
            crate.storage.remove(_FOLDER)
