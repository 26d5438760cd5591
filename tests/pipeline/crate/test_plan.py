"""Which tracks make which shard: fixed by the tracks alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crate.plan import MOST_SHARDS, begin_pour, deal, place, read_shard, shard_count
from pipeline.crate.shards import part_name
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
    begin_pour(storage, 7, (rich, *tracks[1:]), 3, "in")
    shards = [read_shard(storage, 7, k, 3) for k in range(3)]
    assert [t for s in shards for t in s.tracks] == [rich, *tracks[1:]]


def test_the_hash_knows_metadata_and_assignment_but_not_the_place(tmp_path: Path) -> None:
    storage = Storage(tmp_path)

    def hash_of(tracks: Sequence[Track], shards: int) -> str:
        return begin_pour(storage, 0, tracks, shards, "in").hash

    here = listing(5).tracks
    moved = [replace(track, path="/other/" + track.key) for track in here]
    assert hash_of(here, 2) == hash_of(moved, 2)
    assert hash_of(here, 2) != hash_of(here, 3)
    assert hash_of(here, 2) != hash_of(listing(5, title="now it has one").tracks, 2)


def test_a_large_input_becomes_several_pours_of_folders_that_stay_small_and_sort_by_name() -> None:
    tracks = listing(MOST_SHARDS * 2 + 5).tracks
    pours = list(deal(tracks, 1))
    assert [(len(part), shards) for part, shards in pours] == [(MOST_SHARDS, MOST_SHARDS)] * 2 + [(5, 5)]
    assert [track for part, _ in pours for track in part] == list(tracks)
    assert 2 * MOST_SHARDS < 10_000  # a shard and its marker
    counts = [shards for _, shards in pours]
    names = [part_name(*place("clips", shard, counts)) for shard in range(sum(counts))]
    assert names == sorted(names)
    assert names[MOST_SHARDS] == "clips/pour-00001/part-00000-of-04096.parquet"
    assert part_name("x", 100_000, 200_000) > part_name("x", 99_999, 200_000)
