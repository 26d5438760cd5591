"""Packed tracks are the tracks that were put in."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ids import track_id
from pipeline.records import Track
from pipeline.source.packed import PackedTracks

words = st.text(max_size=12) | st.text("\udc80\udcff/é音", max_size=4)
tracks = st.builds(
    lambda key, folder, **said: Track(track_id=track_id(key), key=key, path=folder + key, **said),
    key=words,
    folder=st.sampled_from(["", "/music/", "s3://bucket/music/"]),
    title=words,
    artist=words,
    album=words,
    isrc=words,
    tags=st.lists(words, max_size=3).map(tuple),
    licence=words,
    extra=st.lists(st.tuples(words, words), max_size=2).map(tuple),
) | st.builds(Track, track_id=words, key=words, path=words)


def packed(given_tracks: list[Track]) -> PackedTracks:
    found = PackedTracks()
    for track in given_tracks:
        found.append(track)
    return found


@given(put_in=st.lists(tracks, max_size=12), start=st.integers(-14, 14), stop=st.integers(-14, 14))
def test_what_comes_out_is_what_was_put_in(put_in: list[Track], start: int, stop: int) -> None:
    found = packed(put_in)
    assert (list(found), len(found), bool(found)) == (put_in, len(put_in), bool(put_in))
    assert found[start:stop] == put_in[start:stop]
    assert [found[-1 - index] for index in range(len(put_in))] == put_in[::-1]
    assert found == packed(put_in)
    assert found != packed([*put_in, Track(track_id="t", key="k", path="p")])


def test_by_id_equal_ones_as_they_came() -> None:
    put_in = [Track(track_id=name, key=str(number), path="") for number, name in enumerate("cabcab")]
    order, first = packed(put_in).by_id()
    assert (order.tolist(), first.tolist()) == ([1, 4, 2, 5, 0, 3], [True, False] * 3)
    assert [track.key for track in packed(put_in).selected(order[first])] == ["1", "2", "0"]
    assert packed([]).by_id()[0].tolist() == []


def test_a_track_takes_about_as_much_as_its_words() -> None:
    def track(number: int) -> Track:
        key = f"{number % 997:03d}/track-{number:08d}.flac"
        return Track(
            track_id=track_id(key),
            key=key,
            path=f"/music/{key}",
            title=f"song {number}",
            artist=f"artist {number % 99}",
        )

    count = 20_000
    tracemalloc.start()
    found = PackedTracks()
    for number in range(count):
        found.append(track(number))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 150 * count
    assert found.selected(np.array([7, 3]))[1] == track(3)
