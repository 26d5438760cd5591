"""Clips and labels by torch's DataLoader: each once, whoever reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from pipeline.crate.crate import Crate
from pipeline.crate.dataset import iterate_clips
from pipeline.crate.torch_dataset import ClipBatch, CrateClips, collate_clips
from pipeline.errors import BadInput


def read(dataset: CrateClips, workers: int = 0) -> list[ClipBatch]:
    return list(DataLoader(dataset, 3, num_workers=workers, collate_fn=collate_clips))


def ids(batches: list[ClipBatch]) -> list[str]:
    return [clip["clip_id"] for batch in batches for clip in batch.clips]


def test_every_clip_comes_once_with_its_own_sound_and_captions(finished_crate: Path) -> None:
    wanted = {row.clip["clip_id"]: row for row in iterate_clips(Crate.open(finished_crate), "first")}
    batches = read(CrateClips(str(finished_crate), "first", audio="audio_16k", columns=["title", "start_s"]))
    assert ids(batches) == list(wanted)
    for batch in batches:
        assert batch.audio_BT.shape == (len(batch.clips), 32_000)
        for audio_T, texts, clip in zip(batch.audio_BT, batch.texts, batch.clips, strict=True):
            row = wanted[clip["clip_id"]]
            np.testing.assert_array_equal(audio_T, row.audio("audio_16k")[0])
            assert texts["llm_lf"] == [label["text"] for label in row.labels["llm_lf"]]
            assert texts["metadata"] == row.labels["metadata"]
            assert clip["start_s"] == row.clip["start_s"]


def test_workers_and_ranks_share_the_shards_out(finished_crate: Path) -> None:
    every = ids(read(CrateClips(str(finished_crate))))
    assert sorted(ids(read(CrateClips(str(finished_crate)), workers=2))) == sorted(every)
    parts = [ids(read(CrateClips(str(finished_crate), rank=rank, ranks=3))) for rank in range(3)]
    assert all(parts)
    assert sorted(name for part in parts for name in part) == sorted(every)
    with pytest.raises(BadInput, match="rank 3 of 3: expected 0 to 2"):
        CrateClips(str(finished_crate), rank=3, ranks=3)


def test_a_seed_gives_each_epoch_an_order_of_its_own(finished_crate: Path) -> None:
    dataset = CrateClips(str(finished_crate), seed=0)
    orders = set()
    for epoch in (0, 1, 2, 3, 0):
        dataset.set_epoch(epoch)
        orders.add(tuple(ids(read(dataset))))
    assert 1 < len(orders) < 5
    assert len({frozenset(order) for order in orders}) == 1


def test_a_crate_that_is_none_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a crate"):
        CrateClips(str(tmp_path))
