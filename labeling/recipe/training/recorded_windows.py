"""Recorded music for training, of which nothing is known: windows of many tracks as log-mels, a `.npz` a collection.

B windows, F frames, M mel bands, T tracks. A file holds `mels` (B, 512, 128), uint8 in steps of half a decibel from
-100 dB, and `tracks` (B), which windows belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.training.recorded import recorded_clips
from pipeline.errors import BadInput

__all__ = ["RecordedWindows", "write_recorded_windows"]

_FLOOR_DB, _STEP_DB = -100.0, 0.5
_WINDOW_S = 10


def write_recorded_windows(out: Path, folders: Sequence[Path]) -> int:
    """One file for each folder of tracks, windows from the clips that calibration takes; returns how many windows."""
    from labeling.embedders.mel import LogMel
    from labeling.recipe.training.data import feature_extractor

    extractor = feature_extractor()
    log_mel, rate = LogMel.like(extractor), extractor.sampling_rate
    out.mkdir(parents=True, exist_ok=True)
    written = 0
    for folder in folders:
        mels, tracks = [], []
        for track, clip_T in recorded_clips(folder, rate):
            for start in range(0, len(clip_T) - _WINDOW_S * rate + 1, _WINDOW_S * rate):
                mels.append(_to_bytes(log_mel(clip_T[start : start + _WINDOW_S * rate])))
                tracks.append(track)
        if not mels:
            raise BadInput(f"{folder}: no tracks of half a minute; expected a folder of music")
        np.savez_compressed(out / f"{folder.resolve().name}.npz", mels=np.stack(mels), tracks=np.array(tracks))
        written += len(mels)
    return written


def _to_bytes(mel_FM: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.round((mel_FM - _FLOOR_DB) / _STEP_DB), 0, 255).astype(np.uint8)


class RecordedWindows:
    """All windows of a folder in memory, on the device that trains; `pairs` draws two of a track."""

    def __init__(self, folder: Path, device: str) -> None:
        mels: list[NDArray[np.uint8]] = []
        self._of_track: list[NDArray[np.int64]] = []
        start = 0
        for file in sorted(folder.glob("*.npz")):
            with np.load(file, allow_pickle=False) as found:
                mels.append(found["mels"])
                names = found["tracks"]
            for name in np.unique(names):
                rows = start + np.flatnonzero(names == name)
                if len(rows) > 1:
                    self._of_track.append(rows)
            start += len(names)
        if not self._of_track:
            raise BadInput(
                f"{folder}: no two windows of a track; make some: python -m labeling.recipe recorded {folder} MUSIC"
            )
        self._mels_BFM = torch.from_numpy(np.concatenate(mels)).to(device)

    def __len__(self) -> int:
        return len(self._mels_BFM)

    @property
    def tracks(self) -> int:
        return len(self._of_track)

    def pairs(self, count: int, random: np.random.Generator) -> torch.Tensor:
        """(2, count, F, M) dB: two windows of each of `count` different tracks, or of all where there are fewer."""
        chosen = random.choice(len(self._of_track), size=min(count, len(self._of_track)), replace=False)
        rows_T2 = np.stack([random.choice(self._of_track[track], size=2, replace=False) for track in chosen])
        mels = self._mels_BFM[torch.from_numpy(rows_T2.T.copy()).to(self._mels_BFM.device)]
        return mels.float() * _STEP_DB + _FLOOR_DB
