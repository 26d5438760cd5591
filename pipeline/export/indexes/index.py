"""What an index is: files of text made from an export's rows, which are read again for each and never held."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.export.spec import ExportSpec

__all__ = ["Files", "Listed", "gzipped", "json_list"]

Files = Iterator[tuple[str, Iterable[bytes]]]
"""(name below the export's root, the file's content in pieces)."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What indexes are made from."""

    spec: ExportSpec
    rows: Callable[[], Iterator[dict[str, Any]]]
    """Every row of the export in its order, as `layouts.folder` wrote it."""
    splits: Mapping[str, int]
    """Clips of each."""
    root: str
    """Where the export lies when it is read."""

    def of(self, split: str) -> Iterator[dict[str, Any]]:
        return (row for row in self.rows() if row["split"] == split)

    def path(self, name: str) -> str:
        """Absolute, as a trainer needs it."""
        return f"{self.root.rstrip('/')}/{name}"

    def split_for(self, use: str) -> str:
        """The split that a reader's `train`, `valid` or `test` is: its own, else the first one there is."""
        return use if use in self.splits else "train" if "train" in self.splits else next(iter(self.splits), "train")


def json_list(rows: Iterable[Mapping[str, Any]], *, before: str = "[", after: str = "]\n") -> Iterator[bytes]:
    """A JSON list, a row a line."""
    yield before.encode()
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n").encode() + json.dumps(row, sort_keys=True, ensure_ascii=False).encode()
    yield b"\n" + after.encode()


def gzipped(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """JSON lines under gzip, without a time and a name in its header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as packed:
        for row in rows:
            packed.write(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
            if buffer.tell() > 1 << 16:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()
