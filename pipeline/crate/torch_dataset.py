"""A crate as a torch dataset: clips with their labels, shard by shard, dealt to workers and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.crate.crate import Crate
from pipeline.crate.dataset import shard_rows
from pipeline.errors import BadInput

__all__ = ["ClipBatch", "ClipItem", "CrateClips", "collate_clips"]


@dataclass(frozen=True, kw_only=True)
class ClipItem:
    """One clip."""

    audio_T: torch.Tensor
    """Mono float32, in [-1, 1]; all clips of a crate are of one length."""
    sample_rate_hz: int
    texts: dict[str, list[str]]
    """Slot of the label run -> the captions drawn, and `metadata`; empty without a run."""
    clip: dict[str, Any]
    """The other columns that were asked for, and `clip_id`."""


@dataclass(frozen=True, kw_only=True)
class ClipBatch:
    """Several clips; B of them."""

    audio_BT: torch.Tensor
    sample_rate_hz: int
    texts: list[dict[str, list[str]]]
    clips: list[dict[str, Any]]


class CrateClips(IterableDataset[ClipItem]):
    """Every clip once an epoch, by one of the loader's workers and one of the ranks.

        loader = DataLoader(CrateClips("crates/mine", labels="first"), 16, num_workers=4, collate_fn=collate_clips)

    Shards are dealt whole: as many as there are workers times ranks keep all of them busy. With a seed their order is
    another one each epoch (`set_epoch`), the same on every rank; within a shard clips keep theirs.
    """

    def __init__(
        self,
        root: str,
        labels: str = "",
        *,
        audio: str = "audio",
        columns: Sequence[str] = (),
        seed: int | None = None,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        """rank, ranks: as torch.distributed has them, where it is in use, unless they are given."""
        crate = Crate.open(root)  # a bad path is said here, not in a worker
        crate.require_clips()
        self._root, self._labels, self._audio, self._columns = root, labels, audio, tuple(columns)
        self._seed, self._epoch = seed, 0
        self._rank, self._ranks = _place(rank, ranks)

    def set_epoch(self, epoch: int) -> None:
        """Before the loader is iterated; it sends a copy of this to its workers each time."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[ClipItem]:
        crate, worker = Crate.open(self._root), get_worker_info()
        here, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for shard in self._order(crate)[self._rank * workers + here :: self._ranks * workers]:
            for row in shard_rows(crate, int(shard), self._labels, columns=[self._audio, *self._columns]):
                samples_T, rate_hz = row.audio(self._audio)
                yield ClipItem(
                    audio_T=torch.from_numpy(samples_T),
                    sample_rate_hz=rate_hz,
                    texts={slot: _texts(drawn) for slot, drawn in row.labels.items() if isinstance(drawn, list)},
                    clip={name: value for name, value in row.clip.items() if name != self._audio},
                )

    def _order(self, crate: Crate) -> list[int]:
        shards = list(crate.shards)
        if self._seed is not None:
            np.random.default_rng([self._seed, self._epoch]).shuffle(shards)
        return shards


def collate_clips(items: Sequence[ClipItem]) -> ClipBatch:
    """For DataLoader: audio stacked, all else in lists, since clips have different numbers of captions."""
    return ClipBatch(
        audio_BT=torch.stack([item.audio_T for item in items]),
        sample_rate_hz=items[0].sample_rate_hz,
        texts=[item.texts for item in items],
        clips=[item.clip for item in items],
    )


def _texts(drawn: list[Any]) -> list[str]:
    return [label["text"] if isinstance(label, dict) else str(label) for label in drawn]


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if ranks is None:
        used = torch.distributed.is_available() and torch.distributed.is_initialized()
        ranks = torch.distributed.get_world_size() if used else 1
        rank = torch.distributed.get_rank() if used and rank is None else rank
    rank = rank or 0
    if not 0 <= rank < ranks:
        raise BadInput(f"rank {rank} of {ranks}: expected 0 to {ranks - 1}")
    return rank, ranks
