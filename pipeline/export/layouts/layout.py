"""What a layout is: a way to write one shard's examples, and to read a few of them back without anybody's package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from pipeline.export.example import Example
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["Layout", "PerSplit", "Sample", "Written"]

Written = Mapping[str, HashingFile]
"""Name below the export's root -> what was written."""
T = TypeVar("T")


class Sample(Protocol):
    """An example as a reader of the files finds it."""

    id: str
    text: str
    rate_hz: int
    channels: int
    seconds: float


class Layout(Protocol):
    """One file of this folder each."""

    has_audio: bool

    def write(
        self, out: Storage, spec: ExportSpec, index: int, count: int, examples: Iterator[Example]
    ) -> dict[str, HashingFile]:
        """Write shard `index` of `count`; the files it made. Draws each example once and holds as few as it can."""
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
