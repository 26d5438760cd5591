"""Mel shards on disk: `shard-00003.npy` (windows x 512 frames x 128 bands, float16 dB) and, written last, its `.json`.

B windows, F frames, M mel bands. Every piece's seed comes from (split, run seed, index), so a shard can be made by
any worker in any order, and the training and test splits never share a piece.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.rendering.render import LEAD_IN_S, WINDOW_S, Studio
from labeling.recipe.rendering.soundfont import FLUID_R3, MUSESCORE, TIM_GM
from pipeline.errors import BadInput
from pipeline.ids import hash_u64

__all__ = ["SHARD_WINDOWS", "SPLITS", "Shards", "feature_extractor", "piece_seed", "render_shards"]

SHARD_WINDOWS = 250
SPLITS: dict[str, tuple[tuple[Path, ...], bool]] = {
    "train": ((FLUID_R3, MUSESCORE), False),
    "seen": ((FLUID_R3, MUSESCORE), False),
    "unseen": ((TIM_GM,), True),
}
"""Split -> soundfonts, and whether rooms and mixes are of the kind that training never uses. `seen` is new pieces of
the training soundfonts; `unseen` is what results are reported on."""


def feature_extractor() -> Any:
    """24 kHz, and a hop of 469 because that gives exactly 512 frames: the model then need not resize its input."""
    from transformers import ClapFeatureExtractor

    return ClapFeatureExtractor(
        truncation="rand_trunc",
        sampling_rate=24_000,
        feature_size=128,
        hop_length=469,
        fft_window_size=1024,
        frequency_min=30,
        frequency_max=11_500,
    )


def piece_seed(split: str, run_seed: int, index: int) -> int:
    """63 bits, so that it fits a signed integer column."""
    return hash_u64("recipe", split, run_seed, index) >> 1


@dataclass(frozen=True, kw_only=True)
class _Job:
    out: Path
    split: str
    run_seed: int
    shard: int
    windows: int

    @property
    def stem(self) -> Path:
        return self.out / f"shard-{self.shard:05d}"


_worker: dict[str, Any] = {}


def _start_worker(split: str) -> None:
    from labeling.embedders.mel import LogMel

    soundfonts, unseen = SPLITS[split]
    _worker["studio"] = Studio(*soundfonts, seed=hash_u64("rooms", split) % 2**32, unseen=unseen)
    _worker["mel"] = LogMel.like(feature_extractor())


def _render_shard(job: _Job) -> int:
    """Composes, renders and measures one shard; returns its windows."""
    studio: Studio = _worker["studio"]
    mels_BFM = np.empty((job.windows, 512, 128), np.float16)
    facts: list[list[str]] = []
    seeds: list[int] = []
    for i in range(job.windows):
        seed = piece_seed(job.split, job.run_seed, job.shard * SHARD_WINDOWS + i)
        piece = compose(seed, LEAD_IN_S + WINDOW_S)
        mels_BFM[i] = _worker["mel"](studio.window(piece))
        facts.append(sorted(describe(piece, LEAD_IN_S, LEAD_IN_S + WINDOW_S)))
        seeds.append(seed)
    _write_shard(job.stem, mels_BFM, {"split": job.split, "seeds": seeds, "facts": facts})
    return job.windows


def _write_shard(stem: Path, mels_BFM: NDArray[np.float16], about: dict[str, Any]) -> None:
    for suffix in (".npy", ".json"):  # the json is the marker, so it comes last
        temporary = stem.with_suffix(suffix + ".tmp")
        if suffix == ".npy":
            with open(temporary, "wb") as file:
                np.save(file, mels_BFM)
        else:
            temporary.write_text(json.dumps(about))
        temporary.replace(stem.with_suffix(suffix))


def render_shards(out: Path, *, split: str, windows: int, run_seed: int, workers: int) -> Iterator[tuple[int, float]]:
    """Makes what is missing of a split; yields (windows done, seconds) after each shard."""
    if split not in SPLITS:
        raise BadInput(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    out.mkdir(parents=True, exist_ok=True)
    count = -(-windows // SHARD_WINDOWS)
    sizes = [min(SHARD_WINDOWS, windows - k * SHARD_WINDOWS) for k in range(count)]
    jobs = [_Job(out=out, split=split, run_seed=run_seed, shard=k, windows=n) for k, n in enumerate(sizes)]
    todo = [job for job in jobs if not job.stem.with_suffix(".json").exists()]
    done, started = windows - sum(job.windows for job in todo), time.monotonic()
    if not todo:
        return
    if workers <= 1:
        _start_worker(split)
        for job in todo:
            done += _render_shard(job)
            yield done, time.monotonic() - started
        return
    with multiprocessing.get_context("spawn").Pool(workers, _start_worker, (split,)) as pool:
        for made in pool.imap_unordered(_render_shard, todo):
            done += made
            yield done, time.monotonic() - started


class Shards:
    """The finished shards of a folder, memory-mapped; `refresh` takes in what has been rendered since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: list[list[str]] = []
        self._mels: list[NDArray[np.float16]] = []
        self._starts: list[int] = []
        self._there: list[torch.Tensor] = []
        self._seen: set[str] = set()
        if not self.refresh():
            raise BadInput(f"{folder}: no finished shards; make some: python -m labeling.recipe render {folder}")

    def __len__(self) -> int:
        return len(self.facts)

    def refresh(self) -> int:
        """Number of windows there are now."""
        for marker in sorted(self.folder.glob("shard-*.json")):
            if marker.name not in self._seen:
                self._seen.add(marker.name)
                self._starts.append(len(self.facts))
                self.facts += json.loads(marker.read_text())["facts"]
                self._mels.append(np.load(marker.with_suffix(".npy"), mmap_mode="r"))
        return len(self.facts)

    def mels_on(self, indices: NDArray[np.int64], device: str) -> torch.Tensor:
        """(B, 512, 128) float32 dB on a device; a GPU keeps every shard that it has been asked for."""
        if device == "cpu":
            return torch.from_numpy(self.mels(indices))
        while len(self._there) < len(self._mels):
            self._there.append(torch.from_numpy(np.array(self._mels[len(self._there)])).to(device))
        places = [(int(np.searchsorted(self._starts, i, side="right")) - 1, int(i)) for i in indices]
        return torch.stack([self._there[shard][i - self._starts[shard]] for shard, i in places]).float()

    def mels(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, 512, 128) float32 dB."""
        out_BFM = np.empty((len(indices), 512, 128), np.float16)
        for row, index in enumerate(indices):
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            out_BFM[row] = self._mels[shard][int(index) - self._starts[shard]]
        return out_BFM.astype(np.float32)
