"""Which clips an export takes, and into which split; each clip that is left out has its reason.

The tables that a crate's curation writes are read where they exist (`pipeline.curation.tables`), the rows of one
shard's tracks at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.crate.crate import Crate
from pipeline.curation.tables import find_split, left_out_tracks, split_of, tables_hash
from pipeline.export.spec import ExportSpec, hash_shares
from pipeline.ids import hash_u64
from pipeline.source.licence import spdx

__all__ = ["Selection", "check_split", "select", "tables_said"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is known of the tracks of one shard before their clips are read."""

    split_of: Mapping[str, str]
    """track_id -> split; a track that a split table has not is in none and is left out."""
    left_out: Mapping[str, str]
    """track_id -> `duplicate` or `contaminated`."""
    licence_allow: frozenset[str]
    require_licence: bool

    def why_not(self, track_id: str, licence: str) -> str:
        """The reason why a clip is left out; empty where it is taken."""
        if why := self.left_out.get(track_id):
            return why
        if track_id not in self.split_of:
            return "no-split"
        known = spdx(licence)
        if self.licence_allow and (known or "unknown") not in self.licence_allow:
            return "licence" if known else "licence-unknown"
        return "licence-unknown" if self.require_licence and not known else ""


def select(crate: Crate, spec: ExportSpec, track_ids: Sequence[str]) -> Selection:
    """Look up the tracks of a shard."""
    ids = set(track_ids)
    return Selection(
        split_of=_splits(crate, spec, ids),
        left_out=left_out_tracks(
            crate, ids, duplicates=not spec.allow_duplicates, contaminated=not spec.allow_contaminated
        ),
        licence_allow=frozenset(spec.licence_allow),
        require_licence=spec.require_licence,
    )


def _splits(crate: Crate, spec: ExportSpec, ids: set[str]) -> dict[str, str]:
    if spec.split == "none":
        return dict.fromkeys(ids, "train")
    if shares := hash_shares(spec.split):
        return {track: _dealt(track, shares) for track in ids}
    return split_of(crate, spec.split, ids)


def _dealt(track: str, shares: Mapping[str, float]) -> str:
    """By the track's own hash, so that no other track moves it."""
    at, upto = hash_u64("export-split", track) / 2.0**64, 0.0
    for name in sorted(shares):
        upto += shares[name]
        if at < upto:
            return name
    return "train"


def check_split(crate: Crate, spec: ExportSpec) -> None:
    """Raises BadInput for a split table that is not there or cannot be read."""
    if spec.split != "none" and not hash_shares(spec.split):
        split_of(crate, spec.split, ())


def tables_said(crate: Crate, spec: ExportSpec) -> str:
    """Hashes of the tables that this export looks at: when one of them changes, shards are written again."""
    said = tables_hash(crate, duplicates=not spec.allow_duplicates, contaminated=not spec.allow_contaminated)
    if spec.split != "none" and not hash_shares(spec.split):
        storage, name = find_split(crate, spec.split)
        said = f"{said} split {storage.sha256(name)}".strip()
    return said
