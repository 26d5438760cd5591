"""Which side of a split each track is on: groups of tracks that belong together, dealt by a hash of the group.

No group's side depends on other groups, so a crate that grows moves no track: where a split stands already its tracks
keep their sides, and a group that has members there joins them. A new track that ties a group of one side to a group of
another (a duet of two artists) makes one of them move: then all of it goes to the earliest of train, valid, test, so
that nothing that was trained on is ever tested on.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.crate.crate import Crate
from pipeline.crate.dataset import iterate_clips
from pipeline.curation.components import tied
from pipeline.curation.names import album_key, artist_keys
from pipeline.curation.tables import SPLITS, groups_of, split_of, write_table
from pipeline.errors import BadInput
from pipeline.ids import content_hash, hash_u64

__all__ = ["SIDES", "Described", "SplitResult", "described_tracks", "grouped", "make_split", "write_split"]

SIDES = ("train", "valid", "test")
_COLUMNS = ("track_id", "title", "artist", "album", "isrc", "tags", "extra", "source_key", "source_sha256")
_SCHEMA = pa.schema([("track_id", pa.string()), ("split", pa.string()), ("group_key", pa.string())])


@dataclass(frozen=True, kw_only=True)
class Described:
    """A track that has clips, by its first one."""

    row: Mapping[str, Any]
    clips: int


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """A split, and what there is to say of it."""

    side_of: Mapping[str, str]
    """track_id -> train, valid or test (or what a file said)."""
    group_of: Mapping[str, str]
    groups: Counter[str]
    """Side -> groups."""
    largest: tuple[str, ...]
    """Tracks of the largest group."""
    fallback: Counter[str] = field(default_factory=Counter)
    """How many tracks were grouped by what, where they had nothing of what was asked for."""
    kept: int = 0
    """Tracks whose side an earlier split had fixed."""
    moved: tuple[tuple[str, str, str], ...] = ()
    """(track_id, from, to) where groups of two sides became one."""


def described_tracks(crate: Crate) -> dict[str, Described]:
    """Every track with clips, by id; no audio is read."""
    first: dict[str, Mapping[str, Any]] = {}
    clips = Counter[str]()
    for row in iterate_clips(crate, columns=_COLUMNS):
        first.setdefault(row.clip["track_id"], row.clip)
        clips[row.clip["track_id"]] += 1
    return {track: Described(row=first[track], clips=clips[track]) for track in sorted(first)}


def grouped(
    tracks: Mapping[str, Described], by: str, doubles: Mapping[str, str]
) -> tuple[dict[str, frozenset[str]], Counter[str]]:
    """track_id -> keys that tie it to others, and how many tracks had to be grouped by something else.

    by artist: artists, albums and doubles; album: albums and doubles; group: doubles; track: nothing.
    A track that names no artist (album) goes by its album, else by its folder, else stands alone.
    """
    keys, fallback = {}, Counter[str]()
    for track, known in tracks.items():
        album = album_key(known.row)
        mine = {f"album {album}"} if album and by in ("artist", "album") else set()
        artists = artist_keys(known.row.get("artist") or "")
        if by == "artist":
            mine |= {f"artist {key}" for key in artists}
        if by in ("artist", "album") and not mine:
            folder = posixpath.dirname(known.row.get("source_key") or "")
            mine |= {f"folder {folder}"} if folder else set()
            fallback["their folder" if folder else "themselves"] += 1
        elif by == "artist" and not artists:
            fallback["their album"] += 1
        if by != "track" and track in doubles:
            mine.add(f"group {doubles[track]}")
        keys[track] = frozenset(mine)
    return keys, fallback


def make_split(
    crate: Crate,
    tracks: Mapping[str, Described],
    *,
    by: str,
    shares: Mapping[str, float],
    name: str = "",
    groups: Mapping[str, str] | None = None,
) -> SplitResult:
    """Deal the crate's tracks (`described_tracks`).

    by: `artist`, `album`, `track`, `group`. groups: track_id -> group as the user has it, instead of that; a track that
    it has not stands alone. shares: of `valid` and `test`. name: of an earlier split whose tracks stay, if it exists.
    """
    if not all(0 <= share < 1 for share in shares.values()) or not 0 < sum(shares.values()) < 1:
        said = ", ".join(f"{side} {share:g}" for side, share in shares.items())
        raise BadInput(f"shares {said}: expected shares from 0 that leave something for train, such as .05 and .05")
    if groups is None:
        keys, fallback = grouped(tracks, by, groups_of(crate))
    else:
        keys = {track: frozenset({f"given {groups[track]}"} if track in groups else ()) for track in tracks}
        fallback = Counter({"themselves": sum(track not in groups for track in tracks)})
    before = split_of(crate, name, None) if name and crate.storage.exists(f"{SPLITS}/{name}.parquet") else {}
    return _deal(keys, shares, before, +fallback)


def _deal(
    keys: Mapping[str, frozenset[str]], shares: Mapping[str, float], before: Mapping[str, str], fallback: Counter[str]
) -> SplitResult:
    side_of, group_of, count = dict[str, str](), dict[str, str](), Counter[str]()
    moved, largest, kept = list[tuple[str, str, str]](), list[str](), 0
    for items, every in tied(keys):
        key = min(every or items, key=lambda one: (hash_u64("split", one), one))
        old = sorted({before[track] for track in items if track in before}, key=_order)
        side = old[0] if old else _side(key, shares)
        group = content_hash(["group", key])
        for track in items:
            side_of[track], group_of[track] = side, group
            kept += track in before
            if before.get(track, side) != side:
                moved.append((track, before[track], side))
        count[side] += 1
        largest = max(largest, items, key=len)
    return SplitResult(
        side_of=dict(sorted(side_of.items())),
        group_of=group_of,
        groups=count,
        largest=tuple(largest),
        fallback=fallback,
        kept=kept,
        moved=tuple(moved),
    )


def _order(side: str) -> tuple[int, str]:
    return (SIDES.index(side) if side in SIDES else len(SIDES), side)


def _side(key: str, shares: Mapping[str, float]) -> str:
    """By the group's own hash: `test` takes the lowest, so that another share of `valid` moves no track of it."""
    at, upto = hash_u64("split", key) / 2.0**64, 0.0
    for side in sorted(shares):
        upto += shares[side]
        if at < upto:
            return side
    return "train"


def write_split(crate: Crate, name: str, sides: Mapping[str, str], groups: Mapping[str, str]) -> None:
    """splits/NAME.parquet. The group's key is a hash: a table of sides gives no names away."""
    rows: Iterable[dict[str, str]] = (
        {"track_id": track, "split": side, "group_key": groups[track]} for track, side in sorted(sides.items())
    )
    write_table(crate, f"{SPLITS}/{name}.parquet", rows, _SCHEMA)
