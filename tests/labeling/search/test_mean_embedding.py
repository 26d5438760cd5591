"""What is taken off clips before the search: the mean of the first tracks by id, for which no other shard is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from labeling.embedders.by_name import embedder_card
from labeling.search.candidates import first_tracks, mean_embedding
from pipeline.crate.crate import Crate
from pipeline.crate.plan import begin_pour
from pipeline.ids import track_id
from pipeline.records import Track
from pipeline.storage import Storage
from tests.crates import CONFIG


@pytest.mark.slow
@pytest.mark.parametrize("tracks", [1, 2, 3, 5, 8, 2_000])
def test_the_mean_is_of_the_first_tracks_and_reads_their_shards_alone(
    tracks: int, finished_crate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crate = Crate.open(finished_crate)
    first = sorted(track.track_id for shard in crate.shards for track in crate.plan(shard).tracks)[:tracks]
    opened: set[str] = set()
    reads = Storage.open

    def watched(self: Storage, name: str) -> object:
        opened.add(name)
        return reads(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "open", watched)
        mean_D, clips = mean_embedding(crate, tracks)
    assert {name for name in opened if name.startswith("clips/")} == {
        crate.clips_part(shard)
        for shard in crate.shards
        if {track.track_id for track in crate.plan(shard).tracks} & set(first)
    }
    rows = [
        row for shard in crate.shards for row in pq.read_table(finished_crate / crate.clips_part(shard)).to_pylist()
    ]
    chosen = [row["embedding"] for row in rows if row["track_id"] in first]
    assert clips == len(chosen)
    wanted_D = np.mean(chosen, axis=0) if chosen else np.zeros(crate.embedder.dimension)
    np.testing.assert_allclose(mean_D, wanted_D, atol=1e-6)


@pytest.mark.parametrize("count", [1, 7, 40, 41, 60, 100])
def test_the_first_tracks_of_pours_that_interleave_and_of_pours_that_follow_each_other(
    count: int, tmp_path: Path
) -> None:
    keys = [f"{number}.mp3" for number in range(100)]
    tracks = sorted((Track(track_id=track_id(key), key=key, path=key) for key in keys), key=lambda t: t.track_id)
    for name, parts in (("mixed", (tracks[::2], tracks[1::2])), ("in turn", (tracks[:40], tracks[40:]))):
        storage = Storage(tmp_path / name)
        pours = tuple(begin_pour(storage, number, part, 20, "in") for number, part in enumerate(parts))
        crate = Crate(
            storage=storage, config=CONFIG, embedder=embedder_card("bundled"), embedder_source="bundled", pours=pours
        )
        found = first_tracks(crate, count)
        assert sorted(track for here in found.values() for track in here) == [t.track_id for t in tracks[:count]]
        for shard, here in found.items():
            assert here <= {track.track_id for track in crate.plan(shard).tracks}
