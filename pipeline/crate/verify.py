"""The proof that nothing was lost: every planned track is written or rejected, and every file is what was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.crate.crate import CLIPS, LABELS, Crate
from pipeline.crate.plan import PlanDigest, read_shard
from pipeline.crate.shards import part_name, read_marker

__all__ = ["Proof", "label_runs", "verify_crate"]


@dataclass(kw_only=True)
class Proof:
    """What was counted, and every place where the counts do not hold."""

    planned: int
    written: int = 0
    """Tracks with at least one clip."""
    rejected: int = 0
    """Tracks with a reject and no clip."""
    clips: int = 0
    clip_rejects: int = 0
    files: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """`level:reason` -> count."""
    label_rows: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.faults and self.planned == self.written + self.rejected

    def lines(self) -> list[str]:
        """For people."""
        sign = "=" if self.planned == self.written + self.rejected else "!="
        lines = [
            f"tracks: {self.planned} planned {sign} {self.written} written + {self.rejected} rejected",
            f"clips: {self.clips} written, {self.clip_rejects} left out",
            f"files: {self.files} with the sha256 of their markers, {self.bytes / 1e6:.1f} MB",
        ]
        lines += [f"labels {run}: {rows} rows match the clips" for run, rows in sorted(self.label_rows.items())]
        return lines + [f"FAULT: {fault}" for fault in self.faults]


def label_runs(crate: Crate) -> list[str]:
    """The label runs in a crate, by name."""
    return [n for n in crate.storage.list(LABELS) if crate.storage.exists(f"{LABELS}/{n}/run.json")]


def verify_crate(crate: Crate, *, on_shard: Callable[[int], None] = lambda _: None) -> Proof:
    """Re-hash every shard and compare rows with the plan; reads everything once, writes nothing."""
    proof = Proof(planned=crate.plan.tracks)
    runs = label_runs(crate)
    last_track, digest = "", PlanDigest(crate.plan.shards)
    for index in crate.shards:
        tracks = read_shard(crate.storage, index, crate.plan.shards).tracks
        digest.add(tracks)
        planned = [track.track_id for track in tracks]
        for track in planned:  # strictly rising, so no track stands in two shards
            if track <= last_track:
                proof.faults.append(f"the plan has track {track} of shard {index} twice or out of order")
            last_track = track
        if marker := _held_marker(crate, CLIPS, index, crate.clips_hash, proof):
            ids = _check_clips(crate, index, planned, marker["rows"], proof)
            for run in runs:
                _check_labels(crate, run, index, ids, proof)
        on_shard(index)
    if digest.hex() != crate.plan.hash:
        proof.faults.append("plan.parquet is not the plan that this crate was made by (its hash differs)")
    return proof


def _held_marker(crate: Crate, folder: str, index: int, run_hash: str, proof: Proof) -> dict[str, Any] | None:
    """The shard's marker where it is of this run and its files are what was written; else a fault, and None."""
    marker = read_marker(crate.storage, folder, index, crate.plan.shards)
    name = part_name(folder, index, crate.plan.shards)
    if marker is None:
        proof.faults.append(f"{name} was never finished (no marker, or a damaged one); run the job again")
        return None
    if marker.get("run_hash") != run_hash:
        proof.faults.append(f"{name} was made for {marker.get('run_hash')}, this run is {run_hash}")
        return None
    for file, wrote in marker["files"].items():
        if not crate.storage.exists(file):
            proof.faults.append(f"{file} is missing")
            return None
        if crate.storage.sha256(file) != wrote["sha256"]:
            proof.faults.append(f"{file} was changed after it was written (sha256 differs); delete it and run again")
            return None
        proof.files += 1
        proof.bytes += wrote["bytes"]
    return marker


def _check_clips(crate: Crate, index: int, planned: list[str], marked_rows: int, proof: Proof) -> list[str]:
    clips = _columns(crate, crate.clips_part(index), ["clip_id", "track_id", "index"]).to_pylist()
    rejects = _columns(crate, crate.rejects_part(index), ["track_id", "level", "reason", "index"]).to_pylist()
    with_clips = {row["track_id"] for row in clips}
    left_out = {row["track_id"] for row in rejects}
    for track in sorted((with_clips | left_out).difference(planned)):
        proof.faults.append(f"track {track} stands in shard {index} and not in its plan")
    for track in planned:
        if track in with_clips:
            proof.written += 1
        elif track in left_out:
            proof.rejected += 1
        else:
            proof.faults.append(f"track {track} of shard {index} is neither written nor rejected")
    if any(not row["clip_id"].startswith(row["track_id"] + "-") for row in clips):
        proof.faults.append(f"shard {index} has a clip_id that is not of its track")
    if torn := with_clips & {row["track_id"] for row in rejects if row["level"] == "track"}:
        proof.faults.append(f"track {sorted(torn)[0]} has clips and is rejected as a whole")
    _check_sequence(clips, rejects, proof)
    proof.clips += len(clips)
    proof.clip_rejects += sum(row["level"] == "clip" for row in rejects)
    proof.reasons.update(f"{row['level']}:{row['reason']}" for row in rejects)
    if marked_rows != len(clips):
        proof.faults.append(f"shard {index} holds {len(clips)} clips, its marker says {marked_rows}")
    ids = [row["clip_id"] for row in clips]
    if len(set(ids)) != len(ids):
        proof.faults.append(f"shard {index} has a clip_id twice")
    return ids


def _check_sequence(clips: Iterable[dict[str, object]], rejects: Iterable[dict[str, object]], proof: Proof) -> None:
    """Every clip that was cut from a track, numbered from 0, is written or left out."""
    numbers: dict[object, list[object]] = {}
    for row in (*clips, *(row for row in rejects if row["level"] == "clip")):
        numbers.setdefault(row["track_id"], []).append(row["index"])
    for track, found in numbers.items():
        if sorted(map(str, found)) != sorted(map(str, range(len(found)))):
            proof.faults.append(
                f"track {track} has clips numbered {sorted(map(str, found))}, expected 0 to {len(found) - 1}"
            )


def _check_labels(crate: Crate, run: str, index: int, clip_ids: list[str], proof: Proof) -> None:
    folder = f"{LABELS}/{run}"
    run_hash = crate.storage.read_json(f"{folder}/run.json")["run_hash"]
    if not _held_marker(crate, folder, index, run_hash, proof):
        return
    found = _columns(crate, part_name(folder, index, crate.plan.shards), ["clip_id"]).column(0).to_pylist()
    if found != clip_ids:
        proof.faults.append(
            f"{folder} shard {index} does not have the clips of {crate.clips_part(index)} in their order"
        )
    proof.label_rows[run] = proof.label_rows.get(run, 0) + len(found)


def _columns(crate: Crate, name: str, columns: list[str]) -> pa.Table:
    with crate.storage.open(name) as file:
        return pq.read_table(file, columns=columns)
