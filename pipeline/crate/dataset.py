"""Reading a crate back: clips joined with their labels, by id and checked; or each file once, for all who want it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audio.flac import decode_flac
from pipeline.crate.crate import LABELS, Crate, label_runs
from pipeline.crate.shards import part_name
from pipeline.errors import BadInput, CrateMismatch
from pipeline.parquet import parquet_file, read_table
from pipeline.threads import in_order

__all__ = ["ClipRow", "Watcher", "iterate_clips", "read_once", "shard_rows", "the_label_run", "wanted_columns"]

_AT_ONCE = 8
"""Shards that are read at once."""


@dataclass(frozen=True, kw_only=True)
class ClipRow:
    """One clip and its labels."""

    clip: dict[str, Any]
    """The columns of `pipeline.crate.schema.clips_schema` that were asked for."""
    labels: dict[str, Any]
    """The columns of `pipeline.crate.schema.labels_schema`; empty where no run was asked for."""

    def audio(self, column: str = "audio", *, mono: bool = True) -> tuple[NDArray[np.float32], int]:
        """Samples (T,) and their rate in Hz, or (T, C) if not `mono`; the column must be among those that were asked
        for."""
        return decode_flac(self.clip[column]["bytes"], mono=mono)


def the_label_run(crate: Crate, name: str = "") -> str:
    """The run called `name`, or the only one there is. Raises BadInput where that leaves a choice or nothing."""
    runs = label_runs(crate)
    if name and name not in runs:
        raise BadInput(f"{crate.storage.url} has no labels {name!r}; it has: {', '.join(runs) or 'none'}")
    if not name and len(runs) != 1:
        remedy = f"name one of {', '.join(runs)}" if runs else f"make some: cratedig label {crate.storage.url}"
        raise BadInput(f"{crate.storage.url} has {len(runs)} label runs; {remedy}")
    return name or runs[0]


def iterate_clips(crate: Crate, labels: str = "", *, columns: Sequence[str] | None = None) -> Iterator[ClipRow]:
    """Every clip of the crate in its order, with the labels of run `labels` (none where that is empty)."""
    for index in crate.shards:
        yield from shard_rows(crate, index, labels, columns=columns)


def shard_rows(
    crate: Crate, index: int, labels: str = "", *, columns: Sequence[str] | None = None
) -> Iterator[ClipRow]:
    """The clips of one shard, a row group at a time.

    Raises CrateMismatch where the labels are not those of the clips, row for row.
    """
    wanted = None if columns is None else list(dict.fromkeys(["clip_id", *columns]))
    found = _label_rows(crate, index, labels) if labels else None
    with crate.storage.open(crate.clips_part(index)) as file:
        parquet = parquet_file(file)
        for group in range(parquet.num_row_groups):
            for clip in parquet.read_row_group(group, columns=wanted, use_threads=False).to_pylist():
                yield ClipRow(clip=clip, labels=_matching(crate, clip["clip_id"], labels, found))
    if found is not None and next(found, None) is not None:
        raise CrateMismatch(f"labels {labels!r} shard {index} has more rows than the clips; {_remedy(crate)}")


def _label_rows(crate: Crate, index: int, labels: str) -> Iterator[dict[str, Any]]:
    name = part_name(*crate.at(f"{LABELS}/{labels}", index))
    if not crate.storage.exists(name):
        raise CrateMismatch(f"{crate.storage.url} has no {name}; finish the labels: cratedig label {crate.storage.url}")
    with crate.storage.open(name) as file:
        parquet = parquet_file(file)
        for group in range(parquet.num_row_groups):
            yield from parquet.read_row_group(group, use_threads=False).to_pylist()


def _matching(crate: Crate, clip_id: str, labels: str, found: Iterator[dict[str, Any]] | None) -> dict[str, Any]:
    if found is None:
        return {}
    row = next(found, None)
    if row is None or row["clip_id"] != clip_id:
        got = "nothing" if row is None else row["clip_id"]
        raise CrateMismatch(f"labels {labels!r} have {got} where the clips have {clip_id}; {_remedy(crate)}")
    return row


def _remedy(crate: Crate) -> str:
    return f"see what is wrong: cratedig verify {crate.storage.url}"


class Watcher(Protocol):
    """Who wants to see the rows of every shard. All who do look together, so that each file is read once."""

    def columns(self, shard: int) -> Mapping[str, Sequence[str]]:
        """What is wanted of a shard: folder (clips, rejects, of a label run, of a set of candidates) -> columns."""
        ...

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        """Shards come in their order. Tables by folder; they may hold columns that others asked for."""
        ...


def wanted_columns(watchers: Sequence[Watcher], shard: int) -> dict[str, list[str]]:
    """What they want of a shard together."""
    wanted: dict[str, dict[str, None]] = {}
    for watcher in watchers:
        for folder, columns in watcher.columns(shard).items():
            wanted.setdefault(folder, {}).update(dict.fromkeys(columns))
    return {folder: list(columns) for folder, columns in wanted.items()}


def read_once(crate: Crate, watchers: Sequence[Watcher]) -> None:
    """Show a finished crate to watchers. What is in the files is not proved; `verify_crate` does both."""

    def look(shard: int) -> dict[str, pa.Table]:
        tables = {}
        for folder, columns in wanted_columns(watchers, shard).items():
            with crate.storage.open(part_name(*crate.at(folder, shard))) as file:
                tables[folder] = read_table(file, columns)
        return tables

    for shard, tables in zip(crate.shards, in_order(look, crate.shards, at_once=_AT_ONCE), strict=True):
        for watcher in watchers:
            watcher.see(shard, tables)
