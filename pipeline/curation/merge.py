"""Finished crates of one configuration joined into a new one, pour by pour: nothing is decoded or searched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.crate.crate import CANDIDATES, CLIPS, REJECTS, Crate
from pipeline.crate.plan import PLAN, as_tracks, pour_file, read_pour, write_pour
from pipeline.crate.removed import REMOVED_FILE, read_removed, write_removed
from pipeline.crate.seals import write_sealed
from pipeline.crate.shards import marker_name, part_name, read_marker
from pipeline.errors import BadInput, CrateMismatch
from pipeline.storage import HashingFile, Storage

__all__ = ["merge_crates"]

_BLOCK = 1 << 22


def merge_crates(crates: Sequence[Crate], out: Storage) -> Crate:
    """A crate at `out` with the pours of all, in their order; labels are to be drawn there by the joint counts.

    Candidates and caption matrices come along, so that labelling searches only what no crate had searched. A merge that
    was interrupted is begun again. Raises CrateMismatch for crates that do not fit together.
    """
    first = crates[0]
    for crate in crates:
        crate.require_settled()
        crate.require_clips()
    _refuse(crates)
    if out.exists("crate.json"):
        raise CrateMismatch(f"{out.url} is a crate already; give --out a new or empty folder")
    known = (PLAN, CLIPS, REJECTS, CANDIDATES, REMOVED_FILE)
    if names := [name for name in out.list("") if not name.startswith(".") and name not in known]:
        raise BadInput(f"{out.url} is not empty (it holds {names[0]!r}); give --out a new or empty folder")
    merged = Crate(
        storage=out, config=first.config, embedder=first.embedder, embedder_source=first.embedder_source, pours=()
    )
    merged = replace(merged, pours=tuple(pour for crate in crates for pour in crate.pours), made_with=first.made_with)
    removals = sorted({r.track_id: r for crate in crates for r in read_removed(crate.storage)}.values())
    with out.lock():
        number = shard = 0
        for crate in crates:
            for pour in range(len(crate.pours)):
                write_pour(out, number, read_pour(crate.storage, pour))
                number += 1
            sets = [n for n in crate.storage.list(CANDIDATES) if not n.endswith((".npy", ".json", ".parts"))]
            for index in crate.shards:
                for folder in (CLIPS, *(f"{CANDIDATES}/{name}" for name in sets)):
                    _copy_shard(crate, index, merged, shard, folder)
                shard += 1
            for name in _beside_shards(crate, sets):
                if not out.exists(name):
                    _copy(crate.storage, name, out, name)
        pours = [replace(p, sha256=out.sha256(pour_file(n))) for n, p in enumerate(merged.pours)]
        listed = write_removed(out, removals) if removals else ""
        merged = replace(merged, pours=tuple(pours), removed=len(removals), removed_sha256=listed)
        merged.write_header()
    return merged


def _refuse(crates: Sequence[Crate]) -> None:
    seen: dict[str, str] = {}
    barred = {r.track_id: c.storage.url for c in crates for r in read_removed(c.storage)}
    for crate in crates:
        if crate.base_hash != crates[0].base_hash:
            raise CrateMismatch(
                f"{crate.storage.url} was made with other settings or another embedder than {crates[0].storage.url}; "
                "only crates of one configuration can be joined"
            )
        for number in range(len(crate.pours)):
            for track in as_tracks(read_pour(crate.storage, number)):
                if (other := seen.setdefault(track.track_id, crate.storage.url)) != crate.storage.url:
                    raise CrateMismatch(
                        f"track {track.track_id} ({track.key}) stands in {other} and in {crate.storage.url}; take it "
                        f"down in one of them, or mine both inputs into one crate"
                    )
                if track.track_id in barred:
                    raise CrateMismatch(
                        f"track {track.track_id} of {crate.storage.url} was taken down in {barred[track.track_id]}; "
                        f"take it down there, too: --list {barred[track.track_id]}/removed.parquet"
                    )


def _copy_shard(crate: Crate, index: int, merged: Crate, shard: int, folder: str) -> None:
    """A shard's files under their new names, and its marker, which names them."""
    old, new = crate.at(folder, index), merged.at(folder, shard)
    marker = read_marker(crate.storage, *old)
    if marker is None:
        return
    names = {part_name(*old): part_name(*new)}
    if folder == CLIPS:
        names[crate.rejects_part(index)] = merged.rejects_part(shard)
    for name, target in names.items():
        _copy(crate.storage, name, merged.storage, target)
    files = {names[name]: wrote for name, wrote in marker["files"].items()}
    write_sealed(merged.storage, marker_name(*new), marker | {"shard": shard, "files": files})


def _beside_shards(crate: Crate, sets: Sequence[str]) -> list[str]:
    """Caption matrices with their seals, and the means and indexes that candidates were found by."""
    matrices = [f"{CANDIDATES}/{n}" for n in crate.storage.list(CANDIDATES) if n.endswith((".npy", ".npy.json"))]
    kept = ("mean-embedding.json", "captions.faiss", "captions.faiss.json", "heard-rows.npy", "heard-rows.npy.json")
    found = [f"{CANDIDATES}/{name}/{beside}" for name in sets for beside in kept]
    return matrices + [name for name in found if crate.storage.exists(name)]


def _copy(source: Storage, name: str, target: Storage, new: str) -> HashingFile:
    with source.open(name) as read, target.write(new) as file:
        while block := read.read(_BLOCK):
            file.write(block)
    return file
