"""Which clips of a crate are trained on and which are held out: a table of its row groups, and a byte for each clip.

Of a large crate it is made once on a machine, by one rank, and mapped into memory by all; what was made is kept in the
user's cache, under a hash of everything that it depends on. A rank then holds some bytes for each row group, and for a
clip nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from diffusion.data.holdout import Parts
from pipeline.ids import content_hash

__all__ = [
    "GROUPS",
    "LARGE_TRACKS",
    "MadeSplit",
    "Part",
    "Rows",
    "Split",
    "cache_folder",
    "kept_split",
    "note_checked",
    "was_checked",
]

LARGE_TRACKS = 50_000
"""Crates of more tracks are looked through once and remembered; smaller ones each time, which takes seconds."""
GROUPS = np.dtype([("shard", "<i4"), ("group", "<i4"), ("first", "<i8"), ("rows", "<i4")])
"""A row group: where it is, the number of its first clip in the crate, and how many it has."""
_SIDES = ("train", "validation", "test")
_LOOK_S = 0.5
_AT_ONCE = 4_096


@dataclass(frozen=True)
class Part:
    """A row group, and which of its rows belong to this use of the crate."""

    shard: int
    group: int
    kept: NDArray[np.int32]


@dataclass(frozen=True)
class Rows:
    """The clips of one side."""

    groups: NDArray[Any]
    """GROUPS of the whole crate."""
    side: NDArray[np.uint8]
    """Of every clip, a bit for each side that it is on."""
    bit: int
    counts: NDArray[np.int32]
    """Clips of this side in each row group of the crate."""

    @cached_property
    def used(self) -> NDArray[np.int64]:
        """The row groups that have any."""
        return np.flatnonzero(self.counts)

    @property
    def part_rows(self) -> NDArray[np.int32]:
        return self.counts[self.used]

    @property
    def count(self) -> int:
        return int(self.counts.sum(dtype=np.int64))

    @property
    def parts(self) -> Sequence[Part]:
        return _Parts(self)


class _Parts(Sequence[Part]):
    """Made as they are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows.used)

    @overload
    def __getitem__(self, at: int) -> Part: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Part]: ...
    def __getitem__(self, at: int | slice) -> Part | Sequence[Part]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        shard, group, first, size = self._rows.groups[self._rows.used[at]].item()
        side = self._rows.side[first : first + size]
        return Part(shard, group, np.flatnonzero(side & self._rows.bit).astype(np.int32))

    def __iter__(self) -> Iterator[Part]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, kw_only=True)
class Split:
    """What is trained on, what settings are chosen by, and what is looked at last."""

    train: Rows
    validation: Rows
    """The losses in checkpoints, and the demos, are of these."""
    test: Rows
    hash: str
    """Of the tracks that are trained on and held out."""
    left_out: Mapping[str, int]
    """Why tracks are in no part -> how many."""


@dataclass(frozen=True)
class MadeSplit:
    """A split as it is written down."""

    groups: NDArray[Any]
    side: NDArray[np.uint8]
    counts: NDArray[np.int32]
    """(3, groups): clips of each side."""
    about: Mapping[str, Any]

    @classmethod
    def of(cls, groups: NDArray[Any], clips_R: NDArray[np.int32], parts: Parts) -> MadeSplit:
        side = np.repeat(parts.side_R, clips_R)
        return cls.counted(groups, side, {"hash": parts.hash, "left_out": dict(parts.left_out)})

    @classmethod
    def counted(cls, groups: NDArray[Any], side: NDArray[np.uint8], about: Mapping[str, Any]) -> MadeSplit:
        """Some row groups at a time: sums of bytes are made of their copies, which are larger."""
        counts = np.zeros((len(_SIDES), len(groups)), np.int32)
        for at in range(0, len(groups), _AT_ONCE):
            some = groups[at : at + _AT_ONCE]
            first, last = some[0], some[-1]
            here = side[first["first"] : last["first"] + last["rows"]]
            for i in range(len(_SIDES)):
                ours = (here >> i) & 1
                counts[i, at : at + len(some)] = np.add.reduceat(ours, some["first"] - first["first"], dtype=np.int32)
        return cls(groups, side, counts, about)

    def split(self) -> Split:
        rows = [Rows(self.groups, self.side, 1 << i, self.counts[i]) for i in range(len(_SIDES))]
        return Split(**dict(zip(_SIDES, rows, strict=True)), hash=self.about["hash"], left_out=self.about["left_out"])

    def write(self, folder: Path) -> None:
        """The whole folder or nothing; where another process was faster, its own stays."""
        temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in ("groups", "side", "counts"):
            np.save(temporary / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (temporary / "split.json").write_text(json.dumps(dict(self.about), indent=1) + "\n", encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def read(cls, folder: Path) -> MadeSplit:
        groups, side, counts = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("groups", "side", "counts"))
        return cls(groups, side, counts, json.loads((folder / "split.json").read_text(encoding="utf-8")))


def kept_split(identity: Mapping[str, Any], make: Callable[[], MadeSplit], *, keep: bool) -> Split:
    """The split of that identity: made, or where it shall be kept mapped, once a rank of this machine has made it."""
    if not keep:
        return make().split()
    folder = cache_folder() / f"split-{content_hash(dict(identity))}"
    if not folder.exists() and os.environ.get("LOCAL_RANK", "0") == "0":
        make().write(folder)
    while not folder.exists():
        time.sleep(_LOOK_S)
    return MadeSplit.read(folder).split()


def was_checked(seen: Sequence[Any]) -> bool:
    """Whether a crate in this state was looked through, file by file, on this machine before."""
    return _checked(seen).exists()


def note_checked(seen: Sequence[Any]) -> None:
    _checked(seen).parent.mkdir(parents=True, exist_ok=True)
    _checked(seen).touch()


def cache_folder() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "cratedig" / "training"


def _checked(seen: Sequence[Any]) -> Path:
    return cache_folder() / f"checked-{content_hash(list(seen))}"
