"""Which tracks are trained on, and which are held out to choose settings by (validation) and to look at last (test)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.crate.crate import Crate
from pipeline.curation.components import tied
from pipeline.curation.tables import groups_of, left_out_tracks, split_of
from pipeline.errors import BadInput
from pipeline.ids import content_hash, hash_u64

__all__ = ["Parts", "deal", "part_tracks"]

_NAMES = {"train": "train", "valid": "validation", "validation": "validation", "val": "validation", "dev": "validation",
          "test": "test"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The tracks of each part of a crate."""

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]
    left_out: Counter[str] = field(default_factory=Counter)
    """`duplicate`, `contaminated`, `no-split` -> tracks."""

    @property
    def hash(self) -> str:
        """Of what is trained on and what is held out for settings: two runs with it in common saw the same tracks."""
        return content_hash([sorted(self.train), sorted(self.validation)])


def part_tracks(
    crate: Crate,
    recordings: Mapping[str, str],
    holdout_share: float,
    *,
    split: str = "",
    duplicates: bool = False,
    contaminated: bool = False,
) -> Parts:
    """Parts by the split called `split`, else dealt by hash; what curation advises against is left out and counted.

    recordings: track_id -> what copies of a recording have in common. duplicates, contaminated: use such tracks all the
    same. Copies are on one side in any case.
    """
    out = left_out_tracks(crate, None, duplicates=not duplicates, contaminated=not contaminated)
    used = [track for track in recordings if track not in out]
    left_out = Counter(out[track] for track in recordings if track in out)
    if not used:
        raise BadInput(f"{crate.storage.url} has no track to train on: {dict(left_out)} of its tracks are left out")
    if not split:
        groups = groups_of(crate)
        keys = {track: {recordings[track], *filter(None, (groups.get(track),))} for track in used}
        train, validation, test = deal(keys, holdout_share)
        return Parts(train=train, validation=validation, test=test, left_out=left_out)
    sides = split_of(crate, split, None)
    found: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for track in used:
        side = sides.get(track)
        if side is None:
            left_out["no-split"] += 1
        elif side not in _NAMES:
            raise BadInput(f"split {split!r} puts track {track} into {side!r}; training knows {', '.join(_NAMES)}")
        else:
            found[_NAMES[side]].add(track)
    if not found["train"]:
        raise BadInput(f"split {split!r} has none of the {len(used)} tracks of {crate.storage.url} in train")
    held = found["validation"] or found["test"] or found["train"]
    return Parts(
        train=frozenset(found["train"]),
        validation=frozenset(held),
        test=frozenset(found["test"] or held),
        left_out=left_out,
    )


def deal(keys: Mapping[str, Iterable[str]], share: float) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """track_id -> what ties it to others gives the tracks of train, validation and test.

    By a hash of the group alone: those below half of `share` are validation, those below `share` test. A crate so small
    that a part would be empty fills it: at least two groups are held out, the lowest ones, and the lowest (highest) of
    what is held out is validation (test). Of two groups one is held out for both; a single one is every part.
    """
    ranked = sorted((min(hash_u64("holdout", key) for key in every), items) for items, every in tied(keys))
    wanted, half = (sum(rank < part * 2.0**64 for rank, _ in ranked) for part in (share, share / 2))
    held = min(max(wanted, 2), len(ranked) - 1)
    first = min(max(half, 1), max(held - 1, 1))

    def tracks(groups: list[tuple[int, list[str]]]) -> frozenset[str]:
        return frozenset(track for _, items in groups for track in items)

    train = tracks(ranked[held:])
    validation = tracks(ranked[: min(first, held)]) or train
    return train, validation, tracks(ranked[first:held]) or validation
