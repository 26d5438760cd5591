"""What is known of a crate's tracks besides their clips: which are doubles, which stand in an evaluation set, and on
which side of a split each is. Written by curation, read by export and training.

`splits/NAME.parquet` (track_id, split, group_key), `dedup/groups.parquet` (track_id, group, keep),
`decontaminate/NAME.parquet` (track_id, ...). They are looked through a row group at a time, so that memory does not
grow with the crate.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.crate.crate import Crate
from pipeline.errors import BadInput
from pipeline.parquet import parquet_file
from pipeline.storage import Storage

__all__ = [
    "DECONTAMINATE",
    "GROUPS",
    "PAIRS",
    "SPLITS",
    "find_split",
    "groups_of",
    "left_out_tracks",
    "looked_at",
    "split_of",
    "stale_tables",
    "table_rows",
    "tables_hash",
    "write_table",
]

SPLITS, DECONTAMINATE = "splits", "decontaminate"
_COVERS = b"cratedig_pours"
"""In a table's metadata: how many of the crate's pours it was made of."""
_COMMANDS = {"dedup": "dedup", "decontaminate": "decontaminate", "splits": "split"}
GROUPS, PAIRS = "dedup/groups.parquet", "dedup/pairs.parquet"


def left_out_tracks(
    crate: Crate, ids: Collection[str] | None, *, duplicates: bool, contaminated: bool
) -> dict[str, str]:
    """track_id -> `duplicate` or `contaminated`, of the tracks `ids` (None: all) that are not to be used.

    duplicates, contaminated: whether such tracks are left out at all.
    """
    found: dict[str, str] = {}
    for name in crate.storage.list(DECONTAMINATE, ".parquet") if contaminated else ():
        rows = table_rows(crate.storage, f"{DECONTAMINATE}/{name}", ids, ())
        found |= {row["track_id"]: "contaminated" for row in rows}
    if duplicates and crate.storage.exists(GROUPS):
        rows = table_rows(crate.storage, GROUPS, None, ("group", "keep"))
        kept = {row["group"] for row in rows if row["keep"]}
        for row in sorted(rows, key=lambda row: row["track_id"]):
            if row["group"] not in kept:
                kept.add(row["group"])  # the one that was kept was taken down: the next stands for it
            elif not row["keep"] and (ids is None or row["track_id"] in ids):
                found[row["track_id"]] = "duplicate"
    return found


def stale_tables(crate: Crate, names: Iterable[str] | None = None) -> list[str]:
    """A sentence for each table (of `names`, or of all) that was made before the crate grew."""
    if names is None:
        folders = (posixpath.dirname(GROUPS), DECONTAMINATE, SPLITS)
        names = [f"{f}/{n}" for f in folders for n in crate.storage.list(f, ".parquet") if f"{f}/{n}" != PAIRS]
    said = []
    for name in names:
        if not crate.storage.exists(name):
            continue
        with crate.storage.open(name) as file:
            covered = (parquet_file(file).schema_arrow.metadata or {}).get(_COVERS)
        if covered is not None and (lacking := len(crate.pours) - int(covered)) > 0:
            said.append(
                f"{name} was made before {lacking} of the crate's pours came in and says nothing of their tracks; make "
                f"it again: cratedig {_COMMANDS[name.partition('/')[0]]} {crate.storage.url}"
            )
    return said


def looked_at(crate: Crate, split: str, duplicates: bool, contaminated: bool) -> list[str]:
    """The tables that somebody reads who uses a split of the crate's (empty: none) and leaves out doubles and what is
    contaminated, unless `duplicates`, `contaminated` are wanted, too."""
    names = [] if contaminated else [f"{DECONTAMINATE}/{n}" for n in crate.storage.list(DECONTAMINATE, ".parquet")]
    return [*names, *([] if duplicates else [GROUPS]), *([f"{SPLITS}/{split}.parquet"] if split else [])]


def groups_of(crate: Crate) -> dict[str, str]:
    """track_id -> its group of doubles, of the tracks that are in one; empty where `cratedig dedup` was not run."""
    if not crate.storage.exists(GROUPS):
        return {}
    return {row["track_id"]: row["group"] for row in table_rows(crate.storage, GROUPS, None, ("group",))}


def split_of(crate: Crate, name: str, ids: Collection[str] | None) -> dict[str, str]:
    """track_id -> split by a table of the crate or a file of the user's. Raises BadInput."""
    storage, file = find_split(crate, name)
    found = {row["track_id"]: row["split"] for row in table_rows(storage, file, ids, ("split",))}
    for track, split in found.items():
        if not isinstance(split, str) or not re.fullmatch(r"[A-Za-z0-9_]+", split):
            raise BadInput(
                f"{storage.url}/{file} puts track {track} into split {split!r}; loaders take letters, digits and _ "
                "alone: rename it in the table"
            )
    return found


def find_split(crate: Crate, name: str) -> tuple[Storage, str]:
    """Where the split called `name` lies. Raises BadInput where there is none."""
    table = f"{SPLITS}/{name}.parquet"
    if crate.storage.exists(table):
        return crate.storage, table
    file = Path(name)
    if file.suffix in (".parquet", ".csv") and file.exists():
        return Storage(file.absolute().parent), file.name
    has = [n.removesuffix(".parquet") for n in crate.storage.list(SPLITS, ".parquet")]
    raise BadInput(
        f"split {name!r} is neither in {crate.storage.url}/{SPLITS} (which has {', '.join(has) or 'none'}) nor a "
        f"Parquet or CSV file; make one: cratedig split {crate.storage.url} --by artist --name {name}"
    )


def tables_hash(crate: Crate, *, duplicates: bool, contaminated: bool) -> str:
    """Of the tables that `left_out_tracks` reads."""
    names = [f"{DECONTAMINATE}/{name}" for name in crate.storage.list(DECONTAMINATE, ".parquet") if contaminated]
    if duplicates and crate.storage.exists(GROUPS):
        names.append(GROUPS)
    return " ".join(f"{name} {crate.storage.sha256(name)}" for name in names)


def table_rows(
    storage: Storage, name: str, ids: Collection[str] | None, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Columns `track_id` and `columns` of the tracks `ids`, or of all. Raises BadInput for what is no such table."""
    wanted = ["track_id", *columns]
    keep = None if ids is None else pa.array(sorted(ids), pa.string())
    try:
        if name.endswith(".csv"):
            parts: Iterable[pa.Table] = [pa_csv.read_csv(io.BytesIO(storage.read_bytes(name))).select(wanted)]
            return _of(parts, keep)
        with storage.open(name) as file:
            parquet = parquet_file(file)
            if absent := [column for column in wanted if column not in parquet.schema_arrow.names]:
                raise KeyError(f"no column {absent[0]!r}")
            groups = range(parquet.metadata.num_row_groups)
            return _of((parquet.read_row_group(group, columns=wanted, use_threads=False) for group in groups), keep)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise BadInput(
            f"{storage.url}/{name} cannot be read as a table with the columns {', '.join(wanted)} "
            f"({str(error).splitlines()[0]}); make it again"
        ) from error


def _of(parts: Iterable[pa.Table], ids: pa.Array | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in parts:
        rows += (part if ids is None else part.filter(pc.is_in(part.column("track_id"), ids))).to_pylist()
    return rows


def write_table(crate: Crate, name: str, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """The same rows in the same order, of as many pours, are the same bytes."""
    schema = schema.with_metadata({_COVERS: str(len(crate.pours))})
    with crate.storage.write(name) as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, compression="zstd")
