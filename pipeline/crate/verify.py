"""The proof that nothing was lost: every planned track is written or rejected, and every file is what was written."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.crate.crate import CANDIDATES, CLIPS, LABELS, REJECTS, RUN_FILE, SET_FILE, Crate, label_runs
from pipeline.crate.dataset import Watcher, wanted_columns
from pipeline.crate.ledger import LEDGER, ledger_holds
from pipeline.crate.left_out import ROW_REJECTS, read_row_rejects, row_counts
from pipeline.crate.manifest import MANIFEST_FILE, hash_of_content
from pipeline.crate.plan import PlanDigest, pour_file, pour_name
from pipeline.crate.removed import JOURNAL, REMOVED_FILE, named_anywhere, read_removed
from pipeline.crate.seals import changed_files, read_sealed
from pipeline.crate.shards import CheckedFiles, check_files, part_name
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from pipeline.records import Proof, ShardPlan
from pipeline.threads import in_order

__all__ = ["Made", "folders_of", "prove_shard", "verify_crate"]


Made = Mapping[str, tuple[str, int]]
"""Folders whose shards have a row a clip, label runs and candidates: what their markers' hashes are made of, and how
many of the pours they cover."""
Marker = Mapping[str, Any]


def verify_crate(
    crate: Crate, watchers: Sequence[Watcher] = (), *, of_shards: Callable[[Made], Iterable[Proof]] | None = None
) -> Proof:
    """Re-hash every shard and compare rows with the plan; reads everything once, writes nothing.

    watchers: they see what is read, but of a shard with a fault. of_shards: what `prove_shard` says of each, in their
    order, where others look at them.
    """
    proof = Proof()
    removed = _removals(crate, proof)
    made = _made_of_clips(crate, proof)
    shards: Iterator[tuple[ShardPlan, Proof]] = _look_at_all(crate, made, watchers)
    if of_shards is not None:
        shards = zip(map(crate.plan, crate.shards), of_shards(made), strict=True)
    seen = [np.zeros(0, np.uint64)]
    for number, pour in enumerate(crate.pours):
        digest = PlanDigest(pour.shards)
        for plan, found in itertools.islice(shards, pour.shards):
            digest.add(plan.digests)
            seen.append(np.array([hash_u64("track", track.track_id) for track in plan.tracks], np.uint64))
            _check_removed(proof, plan, *removed)
            proof.add(found)
        if digest.hex() != pour.hash:
            proof.faults.append(f"{pour_file(number)} is not the plan that this crate was made by (its hash differs)")
        elif crate.storage.sha256(pour_file(number)) != pour.sha256:
            proof.faults.append(f"{pour_file(number)} was changed after it was written (sha256 differs)")
        for folder in (CLIPS, *made):
            if not ledger_holds(crate.storage, at := f"{folder}/{pour_name(number)}"):
                proof.faults.append(f"{at}/{LEDGER} was changed after it was written; run the job again")
    if repeated := len(every := np.concatenate(seen)) - len(np.unique(every)):
        proof.faults.append(f"the plan has {repeated} tracks twice; mine the input into another folder")
    _check_list_rows(crate, proof)
    _check_manifest(crate, proof)
    proof.faults += named_anywhere(crate.storage, removed[0])
    return proof


def _look_at_all(crate: Crate, made: Made, watchers: Sequence[Watcher]) -> Iterator[tuple[ShardPlan, Proof]]:
    """Every shard in order. A few are read and hashed at once, since that waits for disks, networks and SHA-256."""
    markers = {folder: crate.markers(folder, copies=False) for folder in (CLIPS, *made)}

    def jobs() -> Iterator[tuple[int, ShardPlan, dict[str, Marker | None]]]:
        for index in crate.shards:
            here = folders_of(crate, made, index)
            yield index, crate.plan(index), {folder: next(markers[folder]) for folder in here}

    def look(job: tuple[int, ShardPlan, dict[str, Marker | None]]) -> tuple[int, ShardPlan, _Look]:
        index, plan, found = job
        return index, plan, _look(crate, made, index, found, wanted_columns(watchers, index))

    for index, plan, seen in in_order(look, jobs(), at_once=_AT_ONCE):
        if (tables := seen.tables) is not None:
            for watcher in watchers:
                watcher.see(index, tables)
        yield plan, _prove(crate, index, plan, seen)


def folders_of(crate: Crate, made: Made, shard: int) -> list[str]:
    """Where a shard of the crate has its files."""
    pour = crate.pour_of(shard)
    return [CLIPS, *(folder for folder, (_, pours) in made.items() if pour < pours)]


def prove_shard(crate: Crate, made: Made, shard: int, markers: Mapping[str, Marker | None]) -> Proof:
    """One shard's share of a proof. markers: of `folders_of` it, as they lie there."""
    return _prove(crate, shard, crate.plan(shard), _look(crate, made, shard, markers, {}))


@dataclass(frozen=True, kw_only=True)
class _Look:
    """All that is read of a shard."""

    clips: CheckedFiles
    made: Mapping[str, CheckedFiles]

    @property
    def tables(self) -> dict[str, pa.Table] | None:
        """By folder; None where a fault hides one."""
        if self.clips.tables is None or any(part.tables is None for part in self.made.values()):
            return None
        made = {folder: part.tables[0] for folder, part in self.made.items() if part.tables}
        return made | dict(zip((CLIPS, REJECTS), self.clips.tables, strict=True))


def _look(
    crate: Crate, made: Made, index: int, markers: Mapping[str, Marker | None], wanted: Mapping[str, Sequence[str]]
) -> _Look:
    """wanted: further columns, by folder."""

    def part(folder: str, columns: Sequence[str]) -> tuple[str, list[str]]:
        return part_name(*crate.at(folder, index)), list(dict.fromkeys([*columns, *wanted.get(folder, ())]))

    names = [part(CLIPS, _clip_columns(crate)), part(REJECTS, _REJECT_COLUMNS)]
    clips = check_files(crate.storage, names, markers[CLIPS], crate.shard_hash(index))
    parts = {}
    for folder, marker in markers.items():
        if folder != CLIPS:
            names, maker = [part(folder, ["clip_id"])], made[folder][0]
            parts[folder] = check_files(crate.storage, names, marker, crate.made_hash(maker, index))
    return _Look(clips=clips, made=parts)


def _prove(crate: Crate, index: int, plan: ShardPlan, look: _Look) -> Proof:
    proof = Proof(planned=len(plan.digests), removed=len(plan.removed))
    _take(proof, look.clips)
    if look.clips.tables is not None:
        ids = _check_clips(crate, index, [track.track_id for track in plan.tracks], look.clips, proof)
        for folder, part in look.made.items():
            _take(proof, part)
            if part.tables is not None:
                _check_rows(crate, folder, index, part.tables[0], ids, proof)
    return proof


_AT_ONCE = 4
_CLIP_COLUMNS = ["clip_id", "track_id", "index"]
_STEREO_COLUMNS = ["channels", "source_channels"]
_REJECT_COLUMNS = ["track_id", "level", "reason", "index"]


def _clip_columns(crate: Crate) -> list[str]:
    return [*_CLIP_COLUMNS, *(_STEREO_COLUMNS if crate.config.stereo else [])]


def _take(proof: Proof, part: CheckedFiles) -> None:
    proof.faults += part.faults
    for file in part.hashes:
        wrote = part.marker["files"][file]
        if file.split("/")[0] != CANDIDATES:
            proof.hashes[file] = wrote["sha256"]
        proof.files += 1
        proof.bytes += wrote["bytes"]


def _made_of_clips(crate: Crate, proof: Proof) -> Made:
    """What they keep beside their shards (counts, means, indexes, matrices of captions) is hashed here."""
    storage, made = crate.storage, dict[str, tuple[str, int]]()
    wanted = set()
    for run in label_runs(crate):
        folder = f"{LABELS}/{run}"
        if (said := _sealed(crate, f"{folder}/{RUN_FILE}", proof)) is not None:
            made[folder] = said["drawn_by"], said["covers"]["pours"]
            proof.notes += _age(crate, folder, said["covers"])
            proof.hashes[f"{folder}/{RUN_FILE}"] = storage.sha256(f"{folder}/{RUN_FILE}")
            wanted |= {slot["candidates"] for slot in said["slots"].values()}
    names = storage.list(CANDIDATES)
    for folder in sorted(
        wanted | {f"{CANDIDATES}/{n}" for n in names if storage.exists(f"{CANDIDATES}/{n}/{SET_FILE}")}
    ):
        if not storage.exists(f"{folder}/{SET_FILE}"):
            proof.faults.append(f"{folder} is not whole (no {SET_FILE}), and labels were drawn from it; label again")
        elif (said := _sealed(crate, f"{folder}/{SET_FILE}", proof)) is not None:
            made[folder] = said["run_hash"], said["covers"]["pours"]
            for name in storage.list(folder, ".json"):
                if name != SET_FILE and not name.endswith(".done.json"):
                    _sealed(crate, f"{folder}/{name}", proof)
    for name in names:
        if name.endswith(".npy.json"):
            _sealed(crate, f"{CANDIDATES}/{name}", proof, below=f"{CANDIDATES}/")
    return made


def _age(crate: Crate, folder: str, covers: dict[str, int]) -> list[str]:
    """What has become of the crate since its labels were drawn."""
    said = []
    if (pours := len(crate.pours) - covers["pours"]) > 0:
        said.append(f"lack the {pours} pours that came later: draw them again with cratedig label")
    if (removed := crate.removed - covers["removed"]) > 0:
        said.append(f"were drawn before {removed} tracks were taken down, and counted their clips")
    return [f"{folder.replace('/', ' ')} {what}" for what in said]


def _removals(crate: Crate, proof: Proof) -> tuple[set[str], set[str]]:
    """Track ids and plan rows of what was taken down; a takedown that was not finished is a fault."""
    if crate.storage.exists(JOURNAL):
        proof.faults.append(
            f"a takedown was begun and not finished; finish it: cratedig takedown {crate.storage.url} --resume"
        )
    try:
        found = read_removed(crate.storage)
    except (pa.ArrowInvalid, OSError) as error:
        proof.faults.append(f"{REMOVED_FILE} cannot be read ({str(error).splitlines()[0]})")
        return set(), set()
    if len(found) != crate.removed or (found and crate.storage.sha256(REMOVED_FILE) != crate.removed_sha256):
        proof.faults.append(f"{REMOVED_FILE} is not the list that crate.json names (it has {len(found)} tracks)")
    return {removal.track_id for removal in found}, {removal.plan_row for removal in found}


def _check_removed(proof: Proof, plan: ShardPlan, ids: set[str], rows: set[str]) -> None:
    """What was taken down is out of the plan, and what is out of the plan was taken down."""
    for track in plan.tracks:
        if track.track_id in ids:
            proof.faults.append(f"track {track.track_id} was taken down and stands in the plan")
    for digest in plan.removed:
        if digest not in rows:
            proof.faults.append(f"row {digest} of the plan was emptied, and {REMOVED_FILE} does not name it")


def _sealed(crate: Crate, name: str, proof: Proof, below: str = "") -> dict[str, Any] | None:
    """What a sealed JSON says, with the files that it names (`below` a folder) hashed; None where it is damaged."""
    try:
        said = read_sealed(crate.storage, name)
    except BadInput as error:
        proof.faults.append(str(error))
        return None
    files = {below + file: wrote for file, wrote in said.get("files", {}).items()}
    proof.faults += changed_files(crate.storage, files)
    proof.files += len(files)
    proof.bytes += sum(wrote["bytes"] for wrote in files.values())
    return said


def _check_manifest(crate: Crate, proof: Proof) -> None:
    proof.content_hash = hash_of_content(crate, proof.hashes)
    if not crate.storage.exists(MANIFEST_FILE):
        return
    manifest = _sealed(crate, MANIFEST_FILE, proof)
    if manifest is not None and manifest["content_hash"] != proof.content_hash:
        proof.faults.append(
            f"{MANIFEST_FILE} says that the content is {manifest['content_hash']}, the files come to "
            f"{proof.content_hash}; run the last command again, which writes it anew"
        )


def _check_list_rows(crate: Crate, proof: Proof) -> None:
    """The rows that were left out when the input was listed are there, as many as the header says."""
    if changed := list(changed_files(crate.storage, crate.listed.get("files", {}))):
        proof.faults += changed
        return
    found = Counter(f"row:{row['reason']}" for row in read_row_rejects(crate.storage))
    proof.row_rejects = sum(found.values())
    proof.reasons.update(found)
    wanted = row_counts(crate.listed)
    if proof.row_rejects != wanted.pop("rows_rejected", 0) or found != wanted:
        proof.faults.append(f"{ROW_REJECTS} holds {dict(found)}, the crate's header says {dict(wanted)}")


def _check_clips(crate: Crate, index: int, planned: list[str], part: CheckedFiles, proof: Proof) -> list[str]:
    assert part.tables is not None, "looked at before"
    marker = part.marker
    clips, rejects = (
        table.select(columns).to_pylist()
        for table, columns in zip(part.tables, (_clip_columns(crate), _REJECT_COLUMNS), strict=True)
    )
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
    for row in clips:
        if crate.config.stereo and not 1 <= row["channels"] <= min(2, row["source_channels"]):
            proof.faults.append(
                f"clip {row['clip_id']} is said to have {row['channels']} channels, of {row['source_channels']} in its "
                "source"
            )
    _check_sequence(clips, rejects, proof)
    proof.clips += len(clips)
    proof.clip_rejects += sum(row["level"] == "clip" for row in rejects)
    proof.reasons.update(f"{row['level']}:{row['reason']}" for row in rejects)
    if marker["rows"] != len(clips):
        proof.faults.append(f"shard {index} holds {len(clips)} clips, its marker says {marker['rows']}")
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


def _check_rows(crate: Crate, folder: str, index: int, table: pa.Table, clip_ids: list[str], proof: Proof) -> None:
    """The shard of a label run, or of a set of candidates, has the clips' rows in their order."""
    found = table.column("clip_id").to_pylist()
    if found != clip_ids:
        proof.faults.append(
            f"{folder} shard {index} does not have the clips of {crate.clips_part(index)} in their order"
        )
    kind, _, name = folder.partition("/")
    rows = proof.label_rows if kind == LABELS else proof.candidate_rows
    rows[name] = rows.get(name, 0) + len(found)
