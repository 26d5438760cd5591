"""Tracks taken out of an export that stands: no source and no crate is needed, and no other track's bytes change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.crate.ledger import fold
from pipeline.crate.seals import write_sealed
from pipeline.crate.shards import marker_name
from pipeline.export.export import Export
from pipeline.export.finish import finish_export
from pipeline.export.layouts.by_name import layout_of
from pipeline.export.layouts.layout import Layout

__all__ = ["remove_tracks"]


def remove_tracks(
    export: Export, track_ids: Iterable[str], *, hash_of: Callable[[int], str] | None = None, content_hash: str = ""
) -> Export:
    """Write the shards that hold one of the tracks again without them, then all that lies beside.

    Killed and run again, it ends the same. hash_of, content_hash: of the crate after the same removal there, where it
    is at hand (`shard_hashes`, `hash_by_markers`): the export then counts as made from it, and is not made anew.
    """
    gone = frozenset(track_ids)
    layout = layout_of(export.spec, int(export.crate["dimension"]))
    with export.storage.lock():
        for index, marker in export.markers():
            if marker is not None:
                _shard(export, layout, index, marker, gone, hash_of)
        for folder in sorted({export.at(index)[0] for index, _ in export.markers()}):
            fold(export.storage, folder)  # copies of markers name files, and files may be named after tracks
        if content_hash:
            export = replace(export, crate={**export.crate, "content_hash": content_hash})
        return finish_export(export)


def _shard(
    export: Export,
    layout: Layout,
    index: int,
    marker: Mapping[str, Any],
    gone: frozenset[str],
    hash_of: Callable[[int], str] | None,
) -> None:
    storage, files = export.storage, dict(marker["files"])
    removal = layout.remove(storage, export.spec, sorted(files), gone)
    for name in removal.deleted:
        storage.remove(name)
        del files[name]
    for name in files:  # written by an earlier call that was killed before the marker was
        if name not in removal.changed and storage.size(name) != files[name]["bytes"]:
            files[name] = {"sha256": storage.sha256(name), "bytes": storage.size(name)}
    files |= {name: {"sha256": file.sha256, "bytes": file.size} for name, file in removal.changed.items()}
    new = {**marker, "run_hash": hash_of(index) if hash_of else marker["run_hash"]}
    if files != marker["files"]:
        new |= _counted(export, layout, marker, sorted(files))
    if (new := {**new, "files": dict(sorted(files.items()))}) != marker:
        write_sealed(storage, marker_name(*export.at(index)), new)


def _counted(export: Export, layout: Layout, marker: Mapping[str, Any], files: list[str]) -> dict[str, Any]:
    """Counted anew from what is left, so that a second call counts the same."""
    before: Mapping[str, int] = marker["counts"]
    stay = ("clips-in", "clips-joined", "dropped:")
    counts = Counter({name: n for name, n in before.items() if name.startswith(stay) and name != "dropped:removed"})
    for row in layout.rows(export.storage, export.spec, files):
        row.count(counts, export.spec)
    left_out = sum(n for name, n in counts.items() if name.startswith("dropped:"))
    counts["dropped:removed"] = counts["clips-in"] - counts["clips"] - counts["clips-joined"] - left_out
    return {"rows": counts["clips"], "counts": dict(sorted(counts.items()))}
