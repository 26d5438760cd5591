"""Which tracks make which shard: fixed by the tracks alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crate.plan import plan_hash, read_shard, shard_count, write_plan
from pipeline.ids import track_id
from pipeline.records import Track
from pipeline.source.listing import Listing
from pipeline.storage import Storage


def listing(count: int, title: str = "") -> Listing:
    tracks = [
        Track(track_id=track_id(f"{i}.mp3"), key=f"{i}.mp3", path=f"/in/{i}.mp3", title=title) for i in range(count)
    ]
    return Listing(source="in", tracks=tuple(sorted(tracks, key=lambda t: t.track_id)))


@pytest.mark.parametrize(
    ("tracks", "shards"), [(1, 1), (16, 16), (31, 31), (32, 16), (100, 17), (512, 16), (10_000, 313)]
)
def test_few_tracks_are_cut_finely_and_many_in_runs_of_32(tracks: int, shards: int) -> None:
    assert shard_count(tracks) == shards


@given(tracks=st.integers(1, 300), size=st.integers(1, 40))
def test_each_track_is_in_one_shard_and_none_is_too_large(tracks: int, size: int) -> None:
    count = shard_count(tracks, size)
    bounds = [(k * tracks // count, (k + 1) * tracks // count) for k in range(count)]
    assert [i for a, b in bounds for i in range(a, b)] == list(range(tracks))
    assert all(0 < b - a <= size for a, b in bounds)


def test_a_shard_reads_back_as_it_was_planned(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    tracks = listing(10).tracks
    rich = Track(
        track_id=tracks[0].track_id,
        key="x",
        path="/x",
        title="T",
        artist="A",
        tags=("a", "b"),
        licence="L",
        extra=(("y", "1"),),
    )
    write_plan(storage, Listing(source="in", tracks=(rich, *tracks[1:])), 3)
    shards = [read_shard(storage, k, 3) for k in range(3)]
    assert [t for s in shards for t in s.tracks] == [rich, *tracks[1:]]
    assert shards[1].name == "part-00001-of-00003"


def test_the_hash_knows_metadata_and_assignment_but_not_the_place() -> None:
    here, there = listing(5), listing(5)
    moved = Listing(
        source="elsewhere",
        tracks=tuple(Track(track_id=t.track_id, key=t.key, path="/other/" + t.key) for t in there.tracks),
    )
    assert plan_hash(here, 2) == plan_hash(moved, 2)
    assert plan_hash(here, 2) != plan_hash(here, 3)
    assert plan_hash(here, 2) != plan_hash(listing(5, title="now it has one"), 2)
