"""What a layout is: a way to write one shard's examples, and to read a few of them back without anybody's package."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipeline.export.example import Example
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["Layout", "PerSplit", "Removal", "Row"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Of one example, what a shard's marker counts."""

    split: str
    licence: str
    seconds: float
    """Of its audio; of its part of the source where there is none."""
    source_rate_hz: int
    source_channels: int

    @classmethod
    def of(cls, fields: Mapping[str, Any], split: str, seconds: float) -> Row:
        return cls(
            split=split,
            licence=fields["licence"],
            seconds=seconds,
            source_rate_hz=int(fields["source_rate_hz"]),
            source_channels=int(fields["source_channels"]),
        )

    def count(self, counts: Counter[str], spec: ExportSpec) -> None:
        counts["clips"] += 1
        counts[f"split:{self.split}"] += 1
        counts["milliseconds"] += round(1000 * self.seconds)
        counts[f"licence:{self.licence or 'unknown'}"] += 1
        if spec.layout != "captions":
            counts["above-source-rate"] += self.source_rate_hz < spec.rate_hz
            counts["mono-source"] += self.source_channels < spec.channels


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What taking tracks out of a shard came to."""

    changed: dict[str, HashingFile]
    """Files that were written again without them."""
    deleted: tuple[str, ...]
    """Names that are to go: files of theirs alone."""


class Layout(Protocol):
    """One file of this folder each."""

    has_audio: bool

    def write(self, out: Storage, spec: ExportSpec, index: int, examples: Iterator[Example]) -> dict[str, HashingFile]:
        """Write shard `index`; the files it made. Draws each example once and holds as few as it can."""
        ...

    def remove(self, out: Storage, spec: ExportSpec, files: Sequence[str], gone: frozenset[str]) -> Removal:
        """Write those of a shard's `files` that hold tracks of `gone` again without them; others keep their bytes."""
        ...

    def rows(self, out: Storage, spec: ExportSpec, files: Sequence[str]) -> Iterator[Row]:
        """What is counted of each example that a shard's `files` hold."""
        ...

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        """(fields, audio bytes) of the first `limit` examples of a file that `write` made."""
        ...


class PerSplit(Generic[T]):
    """One open file of a shard for each split that occurs in it; files appear together, when the block ends well."""

    def __init__(
        self, out: Storage, name: Callable[[str], str], opened: Callable[[HashingFile], T], closed: Callable[[T], None]
    ) -> None:
        self._out, self._name, self._opened, self._closed = out, name, opened, closed
        self._stack = contextlib.ExitStack()
        self._writers: dict[str, T] = {}
        self.files: dict[str, HashingFile] = {}

    def __enter__(self) -> PerSplit[T]:
        return self

    def of(self, split: str) -> T:
        if split not in self._writers:
            name = self._name(split)
            self.files[name] = self._stack.enter_context(self._out.write(name))
            self._writers[split] = self._opened(self.files[name])
        return self._writers[split]

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                for writer in self._writers.values():
                    self._closed(writer)
        except BaseException as failed:
            self._stack.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self._stack.__exit__(*error)
