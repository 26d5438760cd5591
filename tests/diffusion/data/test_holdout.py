"""Sides of tracks from arrays of hashes: as components of sets would give them, and in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from diffusion.data.holdout import TEST, TRAIN, VALIDATION, RunsSeen, part_tracks
from pipeline.crate.crate import Crate
from pipeline.curation.components import tied
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from tests.diffusion.crates import make_crate


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Crate:
    return Crate.open(make_crate(tmp_path_factory.mktemp("crate"), shards=1, tracks=1, clips=1, clip_s=0.1))


def by_sets(keys: dict[str, set[str]], share: float) -> dict[str, int]:
    """The same in the plainest way: components as sets, the lowest hash of any of their keys, sorted."""
    ranked = sorted((min(hash_u64("holdout", key) for key in every), items) for items, every in tied(keys))
    wanted, half = (sum(rank < part * 2.0**64 for rank, _ in ranked) for part in (share, share / 2))
    held = min(max(wanted, 2), len(ranked) - 1)
    first = min(max(half, 1), max(held - 1, 1))
    train = {track for _, items in ranked[held:] for track in items}
    validation = {track for _, items in ranked[: min(first, held)] for track in items} or train
    test = {track for _, items in ranked[first:held] for track in items} or validation
    return {t: TRAIN * (t in train) + VALIDATION * (t in validation) + TEST * (t in test) for t in keys}


@pytest.mark.parametrize("seed", range(12))
def test_sides_are_those_of_the_components(empty: Crate, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks = [f"t{n}" for n in range(int(rng.choice([1, 2, 3, 5, 40, 300])))]
    recordings = {track: f"r{rng.integers(2 * len(tracks))}" for track in tracks}
    groups = {track: f"g{rng.integers(len(tracks))}" for track in tracks if rng.random() < 0.4}
    share = float(rng.choice([0.0, 0.02, 0.3, 0.9]))
    monkeypatch.setattr("diffusion.data.holdout.groups_of", lambda crate: groups)
    seen = RunsSeen()
    for track in tracks:
        seen.add(track, recordings[track], 1 + int(rng.integers(6)))
    found = part_tracks(empty, seen.runs(), share).side_R
    keys = {track: {recordings[track], *filter(None, [groups.get(track)])} for track in tracks}
    assert dict(zip(tracks, found.tolist(), strict=True)) == by_sets(keys, share)


def test_what_is_left_out_ties_nothing_and_is_counted(empty: Crate, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = RunsSeen()
    for n in range(60):
        seen.add(f"t{n}", f"r{n}", 2)
    out = {"t3": "duplicate", "t4": "contaminated", "t5": "contaminated", "elsewhere": "duplicate"}
    monkeypatch.setattr("diffusion.data.holdout.left_out_tracks", lambda *a, **k: out)
    parts = part_tracks(empty, seen.runs(), 0.1)
    assert parts.left_out == {"duplicate": 1, "contaminated": 2}
    assert np.flatnonzero(parts.side_R == 0).tolist() == [3, 4, 5]
    monkeypatch.setattr(
        "diffusion.data.holdout.left_out_tracks", lambda *a, **k: {f"t{n}": "duplicate" for n in range(60)}
    )
    with pytest.raises(BadInput, match=r"no track to train on: {'duplicate': 60} of its tracks are left out"):
        part_tracks(empty, seen.runs(), 0.1)


@pytest.mark.parametrize(
    ("has", "sides"),
    [
        ("train valid test", {"train": TRAIN, "valid": VALIDATION, "test": TEST}),
        ("train valid", {"train": TRAIN, "valid": VALIDATION + TEST}),
        ("train test", {"train": TRAIN, "test": VALIDATION + TEST}),
        ("train", {"train": TRAIN + VALIDATION + TEST}),
    ],
)
def test_a_table_of_fewer_sides(empty: Crate, monkeypatch: pytest.MonkeyPatch, has: str, sides: dict[str, int]) -> None:
    names = has.split()
    table = {f"t{n}": names[n % len(names)] for n in range(12)}
    monkeypatch.setattr("diffusion.data.holdout.split_of", lambda *a: table)
    seen = RunsSeen()
    for n in range(13):
        seen.add(f"t{n}", f"r{n}", 1)
    parts = part_tracks(empty, seen.runs(), 0.1, split="mine")
    assert parts.left_out == {"no-split": 1}
    assert parts.side_R.tolist() == [*(sides[side] for side in table.values()), 0]
    monkeypatch.setattr("diffusion.data.holdout.split_of", lambda *a: {**table, "t7": "elsewhere", "far": "odd"})
    with pytest.raises(BadInput, match="puts track t7 into 'elsewhere'; training knows train, valid"):
        part_tracks(empty, seen.runs(), 0.1, split="mine")


def test_the_hash_is_of_what_is_trained_on_and_held_out(empty: Crate) -> None:
    def of(names: list[str], share: float = 0.2) -> str:
        seen = RunsSeen()
        for name in names:
            seen.add(name, name, 1)
        return part_tracks(empty, seen.runs(), share).hash

    names = [f"t{n}" for n in range(50)]
    assert of(names) == of(names[::-1])
    assert len({of(names), of(names[:-1]), of(names, 0.5)}) == 3


def test_memory_is_bytes_a_track(empty: Crate) -> None:
    count = 100_000
    tracemalloc.start()
    seen = RunsSeen()
    for n in range(count):
        seen.add(f"t{n}", f"r{n}", 6)
    part_tracks(empty, seen.runs(), 0.02)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most / count < 60  # the product's bound of 300 MB is 44 bytes at 6.8 M tracks, their clips' bytes included
