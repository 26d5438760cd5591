"""Which tracks are trained on, and which are held out to choose settings by (validation) and to look at last (test).

A crate may have millions of tracks: each is two 64-bit hashes here, 16 bytes, and no object.

R runs: the clips of one track that lie behind each other; a crate as it is mined has one of each track.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.crate.crate import Crate
from pipeline.curation.tables import groups_of, left_out_tracks, split_of
from pipeline.errors import BadInput
from pipeline.ids import hash_u64

__all__ = ["TEST", "TRAIN", "VALIDATION", "Parts", "Runs", "RunsSeen", "deal", "part_tracks"]

TRAIN, VALIDATION, TEST = 1, 2, 4
"""Bits; a track of a crate that has too few of them for three sides is on more than one."""
_NAMES = {"train": TRAIN, "valid": VALIDATION, "validation": VALIDATION, "val": VALIDATION, "dev": VALIDATION,
          "test": TEST}  # fmt: skip
_ALL = 1 << 64


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The tracks of a crate in its order."""

    name_R: NDArray[np.uint64]
    """Of the track."""
    recording_R: NDArray[np.uint64]
    """Of what copies of a recording have in common: by it tracks are dealt."""
    clips_R: NDArray[np.int32]


class RunsSeen:
    """Gathers runs as they come, at 20 bytes each."""

    def __init__(self) -> None:
        self._names, self._recordings, self._clips = array("Q"), array("Q"), array("i")

    def add(self, track_id: str, recording: str, clips: int) -> None:
        self._names.append(_name(track_id))
        self._recordings.append(_key(recording))
        self._clips.append(clips)

    def runs(self) -> Runs:
        return Runs(
            name_R=np.frombuffer(self._names, np.uint64),
            recording_R=np.frombuffer(self._recordings, np.uint64),
            clips_R=np.frombuffer(self._clips, np.int32),
        )


@dataclass(frozen=True, kw_only=True)
class Parts:
    """On which sides each run is."""

    side_R: NDArray[np.uint8]
    hash: str
    """Of what is trained on and what is held out for settings: two trainings with it in common saw the same tracks."""
    left_out: Counter[str] = field(default_factory=Counter)
    """`duplicate`, `contaminated`, `no-split` -> tracks."""


def part_tracks(
    crate: Crate,
    runs: Runs,
    holdout_share: float,
    *,
    split: str = "",
    duplicates: bool = False,
    contaminated: bool = False,
) -> Parts:
    """Sides by the split called `split`, else dealt by hash; what curation advises against is left out and counted.

    duplicates, contaminated: use such tracks all the same. Copies are on one side in any case.
    """
    out = left_out_tracks(crate, None, duplicates=not duplicates, contaminated=not contaminated)
    reasons = sorted(set(out.values()))
    why_R = _looked_up(runs.name_R, {track: reasons.index(why) + 1 for track, why in out.items()})
    left_out = Counter({why: _tracks(runs.name_R[why_R == n]) for n, why in enumerate(reasons, 1)})
    left_out = +left_out
    if why_R.all():
        raise BadInput(f"{crate.storage.url} has no track to train on: {dict(left_out)} of its tracks are left out")
    used_R = why_R == 0
    side_R = np.zeros(len(used_R), np.uint8)
    if split:
        found_R = _by_table(crate, split, runs.name_R, used_R)
        if absent := _tracks(runs.name_R[used_R & (found_R == 0)]):
            left_out["no-split"] = absent
        side_R[used_R] = found_R[used_R]
    else:
        side_R[used_R] = deal(_tied(runs, used_R, groups_of(crate)), holdout_share)
    return Parts(side_R=side_R, hash=_hash(runs.name_R, side_R), left_out=left_out)


def deal(rank_N: NDArray[np.uint64], share: float) -> NDArray[np.uint8]:
    """The sides of tracks by the hash of the group that each is in, and by nothing else.

    Groups whose hash is below half of `share` are validation, those below `share` test. A crate so small that a part
    would be empty fills it: at least two groups are held out, the lowest ones, and the lowest (highest) of what is held
    out is validation (test). Of two groups one is held out for both; a single one is every part.
    """
    end, half_end = (np.uint64(min(-int(-part * _ALL // 1), _ALL - 1)) for part in (share, share / 2))
    ranks, more = _distinct(rank_N[rank_N < end]), bool((rank_N >= end).any())
    wanted, half = len(ranks), int(np.searchsorted(ranks, half_end))
    if wanted < 2 or not more:
        ranks, more = _distinct(rank_N), False
    held = wanted if more else min(max(wanted, 2), len(ranks) - 1)
    first = min(max(half, 1), max(held - 1, 1))
    least, middle = (ranks[n] if n < len(ranks) else end for n in (held, min(first, held)))
    side_N = np.zeros(len(rank_N), np.uint8)
    side_N[rank_N >= least] = TRAIN
    side_N[rank_N < middle] |= VALIDATION
    if not held:
        side_N |= VALIDATION
    if first < held:
        side_N[(rank_N >= middle) & (rank_N < least)] |= TEST
    else:
        side_N[side_N & VALIDATION > 0] |= TEST
    return side_N


def _tied(runs: Runs, used_R: NDArray[np.bool_], groups: Mapping[str, str]) -> NDArray[np.uint64]:
    """The lowest hash among all that ties a used track to others, by recordings and by groups of doubles."""
    recording_N = runs.recording_R if used_R.all() else runs.recording_R[used_R]
    if not groups:
        return recording_N
    rank_N = recording_N.copy()
    named = sorted(set(groups.values()))
    number = {group: n for n, group in enumerate(named, 1)}
    group_N = _looked_up(runs.name_R[used_R], {track: number[group] for track, group in groups.items()})
    in_group = np.flatnonzero(group_N)
    shared = np.flatnonzero(np.isin(recording_N, recording_N[in_group]))
    _, recording_of = np.unique(recording_N[shared], return_inverse=True)
    lowest_G = np.array([0, *map(_key, named)], np.uint64)
    while True:
        before = rank_N[shared]
        np.minimum.at(lowest_G, group_N[in_group], rank_N[in_group])
        rank_N[in_group] = lowest_G[group_N[in_group]]
        lowest = np.full(len(shared), _ALL - 1, np.uint64)
        np.minimum.at(lowest, recording_of, rank_N[shared])
        rank_N[shared] = lowest[recording_of]
        if np.array_equal(before, rank_N[shared]):
            return rank_N


def _by_table(crate: Crate, split: str, name_R: NDArray[np.uint64], used_R: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Sides by a table: of one that has not all of them, some are on more than one side."""
    sides = split_of(crate, split, None)
    unknown = {track: 1 for track, side in sides.items() if side not in _NAMES}
    if unknown and (_looked_up(name_R, unknown)[used_R] > 0).any():
        here = set(name_R[used_R].tolist())
        track = next(track for track in unknown if _name(track) in here)
        raise BadInput(f"split {split!r} puts track {track} into {sides[track]!r}; training knows {', '.join(_NAMES)}")
    side_R = _looked_up(name_R, {track: _NAMES[side] for track, side in sides.items() if side in _NAMES})
    side_R = np.where(used_R, side_R, 0).astype(np.uint8)
    if not (side_R & TRAIN).any():
        raise BadInput(f"split {split!r} has none of the {_tracks(name_R[used_R])} tracks of {crate.storage.url} "
                       "in train")  # fmt: skip
    has = {bit: bool((side_R & bit).any()) for bit in (TRAIN, VALIDATION, TEST)}
    if not has[VALIDATION]:
        side_R[(side_R & (TEST if has[TEST] else TRAIN)) > 0] |= VALIDATION
    if not has[TEST]:
        side_R[(side_R & VALIDATION) > 0] |= TEST
    return side_R


def _looked_up(name_R: NDArray[np.uint64], numbers: Mapping[str, int]) -> NDArray[Any]:
    """The number of each track, 0 where it has none."""
    if not numbers:
        return np.zeros(len(name_R), np.int8)
    known = np.fromiter(map(_name, numbers), np.uint64, len(numbers))
    values = np.fromiter(numbers.values(), np.int64, len(numbers))
    order = np.argsort(known)
    known, values = known[order], values[order]
    at = np.searchsorted(known, name_R).clip(max=len(known) - 1)
    return np.where(known[at] == name_R, values[at], 0)


def _tracks(name_N: NDArray[np.uint64]) -> int:
    return len(_distinct(name_N))


def _distinct(values_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted, each once; np.unique takes a table of hashes to it, five times the memory."""
    values_N = np.sort(values_N)
    return values_N[np.append(True, values_N[1:] != values_N[:-1])] if len(values_N) else values_N


def _hash(name_R: NDArray[np.uint64], side_R: NDArray[np.uint8]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for bit in (TRAIN, VALIDATION):
        names = name_R[(side_R & bit) > 0]
        names.sort()
        digest.update(len(names).to_bytes(8, "little"))
        digest.update(names.astype("<u8", copy=False).data)
    return digest.hexdigest()


def _name(track_id: str) -> int:
    return hash_u64("track", track_id)


def _key(shared: str) -> int:
    return hash_u64("holdout", shared)
