"""Finished crates of one configuration joined into a new one, pour by pour: nothing is decoded again.

A track that stands in two of them is kept once, if its file's bytes are the same; another file under the same key gets
a key of its own, with its crate's name in front.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.crate.crate import CANDIDATES, CLIPS, REJECTS, SET_FILE, Crate, candidate_sets
from pipeline.crate.plan import PLAN, Pour
from pipeline.crate.removed import REMOVED_FILE, read_removed, write_removed
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import marker_name, part_name, read_marker
from pipeline.curation.joined import Clash, clash, joined_pour, joined_shard
from pipeline.errors import BadInput, CrateMismatch
from pipeline.storage import HashingFile, Storage

__all__ = ["merge_crates"]

_BLOCK = 1 << 22


def merge_crates(crates: Sequence[Crate], out: Storage) -> tuple[Crate, Counter[str]]:
    """A crate at `out` with the pours of all, in their order; labels are to be drawn there by the joint counts. And how
    many tracks were `dropped`, since an earlier crate has them, and `renamed`.

    Candidates and caption matrices come along, so that labelling searches only what no crate had searched, and all
    where the mean that was taken off the clips has changed. A merge that was interrupted is begun again. Raises
    CrateMismatch for crates that do not fit together.
    """
    first = crates[0]
    for crate in crates:
        crate.require_settled()
        crate.require_clips()
    clashes = _clashes(crates)
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
        pours: list[Pour] = []
        for crate, clashing in zip(crates, clashes, strict=True):
            for number in range(len(crate.pours)):
                pours.append(joined_pour(crate, number, clashing, merged, len(pours)))
        merged = replace(merged, pours=tuple(pours))
        shard = 0
        for crate, clashing in zip(crates, clashes, strict=True):
            sets = candidate_sets(crate.storage)
            for index in crate.shards:
                for folder in (CLIPS, *sets):
                    _join_shard(crate, index, clashing, merged, shard, folder)
                shard += 1
            for name in _beside_shards(crate, sets):
                if not out.exists(name):
                    _copy(crate.storage, name, out, name)
        listed = write_removed(out, removals) if removals else ""
        merged = replace(merged, removed=len(removals), removed_sha256=listed)
        merged.write_header()
    return merged, Counter(
        dropped=sum(len(one.dropped) for one in clashes), renamed=sum(len(one.renamed) for one in clashes)
    )


def _clashes(crates: Sequence[Crate]) -> list[Clash]:
    """Of each crate with those before it. Raises CrateMismatch for crates that do not fit together."""
    barred = {r.track_id: c.storage.url for c in crates for r in read_removed(c.storage)}
    seen: dict[str, str] = {}
    found = []
    for crate in crates:
        if crate.base_hash != crates[0].base_hash:
            raise CrateMismatch(
                f"{crate.storage.url} was made with other settings or another embedder than {crates[0].storage.url}; "
                "only crates of one configuration can be joined"
            )
        clashing, mine = clash(crate, seen)
        if gone := sorted(mine.keys() & barred):
            raise CrateMismatch(
                f"track {gone[0]} of {crate.storage.url} was taken down in {barred[gone[0]]}; take it down there, too: "
                f"--list {barred[gone[0]]}/removed.parquet"
            )
        seen |= mine
        found.append(clashing)
    return found


def _join_shard(crate: Crate, index: int, clashing: Clash, merged: Crate, shard: int, folder: str) -> None:
    """A shard's files under their new names, and its marker, which names them and the pour that they are of now."""
    old, new = crate.at(folder, index), merged.at(folder, shard)
    marker = read_marker(crate.storage, *old)
    if marker is None:
        return
    joined = joined_shard(crate, index, clashing, merged, shard, folder, marker) if clashing else None
    if joined is None:
        names = {part_name(*old): part_name(*new)}
        if folder == CLIPS:
            names[crate.rejects_part(index)] = merged.rejects_part(shard)
        for name, target in names.items():
            _copy(crate.storage, name, merged.storage, target)
        joined = marker | {"files": {names[name]: wrote for name, wrote in marker["files"].items()}}
    run_hash = marker["run_hash"]
    if folder == CLIPS:
        run_hash = merged.shard_hash(shard)
    elif crate.storage.exists(f"{folder}/{SET_FILE}"):
        run_hash = merged.made_hash(read_sealed(crate.storage, f"{folder}/{SET_FILE}")["run_hash"], shard)
    write_sealed(merged.storage, marker_name(*new), joined | {"shard": shard, "run_hash": run_hash})


def _beside_shards(crate: Crate, sets: Sequence[str]) -> list[str]:
    """Caption matrices with their seals, and the means and indexes that candidates were found by."""
    matrices = [f"{CANDIDATES}/{n}" for n in crate.storage.list(CANDIDATES) if n.endswith((".npy", ".npy.json"))]
    arrays = [
        f"{name}.npy{end}" for name in ("heard-rows", "stated", "fact-vectors", "meanings") for end in ("", ".json")
    ]
    kept = ("mean-embedding.json", "captions.faiss", "captions.faiss.json", *arrays)
    found = [f"{name}/{beside}" for name in sets for beside in kept]
    return matrices + [name for name in found if crate.storage.exists(name)]


def _copy(source: Storage, name: str, target: Storage, new: str) -> HashingFile:
    with source.open(name) as read, target.write(new) as file:
        while block := read.read(_BLOCK):
            file.write(block)
    return file
