"""Which clips an export takes, and into which split; each clip that is left out has its reason.

The tables that a crate's curation writes are read where they exist, the rows of one shard's tracks at a time, so that
memory does not grow with the crate: `splits/NAME.parquet` (track_id, split), `dedup/groups.parquet` (track_id, group,
keep), `decontaminate/NAME.parquet` (track_id).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.crate.crate import Crate
from pipeline.errors import BadInput
from pipeline.export.spec import ExportSpec, hash_shares
from pipeline.ids import hash_u64
from pipeline.source.licence import spdx
from pipeline.storage import Storage

__all__ = ["Selection", "check_split", "select", "tables_hash"]

SPLITS, DEDUP, DECONTAMINATE = "splits", "dedup", "decontaminate"
_GROUPS = f"{DEDUP}/groups.parquet"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is known of the tracks of one shard before their clips are read."""

    split_of: Mapping[str, str]
    """track_id -> split; a track that a split table has not is in none and is left out."""
    left_out: Mapping[str, str]
    """track_id -> `duplicate` or `contaminated`."""
    licence_allow: frozenset[str]
    require_licence: bool

    def why_not(self, track_id: str, licence: str) -> str:
        """The reason why a clip is left out; empty where it is taken."""
        if why := self.left_out.get(track_id):
            return why
        if track_id not in self.split_of:
            return "no-split"
        known = spdx(licence)
        if self.licence_allow and known not in self.licence_allow:
            return "licence" if known else "licence-unknown"
        return "licence-unknown" if self.require_licence and not known else ""


def select(crate: Crate, spec: ExportSpec, track_ids: Sequence[str]) -> Selection:
    """Look up the tracks of a shard."""
    ids = sorted(set(track_ids))
    left_out: dict[str, str] = {}
    if not spec.allow_contaminated:
        for name in crate.storage.list(DECONTAMINATE, ".parquet"):
            rows = _rows(crate.storage, f"{DECONTAMINATE}/{name}", ids, ())
            left_out |= {row["track_id"]: "contaminated" for row in rows}
    if not spec.allow_duplicates and crate.storage.exists(_GROUPS):
        rows = _rows(crate.storage, _GROUPS, ids, ("keep",))
        left_out |= {row["track_id"]: "duplicate" for row in rows if not row["keep"]}
    return Selection(
        split_of=_splits(crate, spec, ids),
        left_out=left_out,
        licence_allow=frozenset(spec.licence_allow),
        require_licence=spec.require_licence,
    )


def _splits(crate: Crate, spec: ExportSpec, ids: Sequence[str]) -> dict[str, str]:
    if spec.split == "none":
        return dict.fromkeys(ids, "train")
    if shares := hash_shares(spec.split):
        return {track: _dealt(track, shares) for track in ids}
    storage, name = _split_table(crate, spec)
    found = {row["track_id"]: row["split"] for row in _rows(storage, name, ids, ("split",))}
    for track, split in found.items():
        _check_name(split, f"{storage.url}/{name} puts track {track} into")
    return found


def _dealt(track: str, shares: Mapping[str, float]) -> str:
    """By the track's own hash, so that no other track moves it."""
    at, upto = hash_u64("export-split", track) / 2.0**64, 0.0
    for name in sorted(shares):
        upto += shares[name]
        if at < upto:
            return name
    return "train"


def check_split(crate: Crate, spec: ExportSpec) -> None:
    """Raises BadInput for a split table that is not there or cannot be read."""
    if spec.split != "none" and not hash_shares(spec.split):
        _rows(*_split_table(crate, spec), [], ("split",))


def _check_name(split: object, said: str) -> None:
    if not isinstance(split, str) or not re.fullmatch(r"[A-Za-z0-9_]+", split):
        raise BadInput(f"{said} split {split!r}; loaders take letters, digits and _ alone: rename it in the table")


def _split_table(crate: Crate, spec: ExportSpec) -> tuple[Storage, str]:
    name = f"{SPLITS}/{spec.split}.parquet"
    if crate.storage.exists(name):
        return crate.storage, name
    file = Path(spec.split)
    if file.suffix in (".parquet", ".csv") and file.exists():
        return Storage(file.absolute().parent), file.name
    has = [n.removesuffix(".parquet") for n in crate.storage.list(SPLITS, ".parquet")]
    raise BadInput(
        f"split {spec.split!r} is neither in {crate.storage.url}/{SPLITS} (which has {', '.join(has) or 'none'}) nor a "
        "Parquet or CSV file; make one, or deal by hash: --split hash:test=.05,valid=.05"
    )


def tables_hash(crate: Crate, spec: ExportSpec) -> str:
    """Of the tables that this export looks at: when one of them changes, shards are written again."""
    found = []
    if not spec.allow_contaminated:
        found += [f"{DECONTAMINATE}/{name}" for name in crate.storage.list(DECONTAMINATE, ".parquet")]
    if not spec.allow_duplicates and crate.storage.exists(_GROUPS):
        found.append(_GROUPS)
    said = [f"{name} {crate.storage.sha256(name)}" for name in found]
    if spec.split != "none" and not hash_shares(spec.split):
        storage, name = _split_table(crate, spec)
        said.append(f"split {storage.sha256(name)}")
    return " ".join(said)


def _rows(storage: Storage, name: str, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the tracks `ids`: a Parquet table is looked through a row group at a time."""
    wanted, keep = ["track_id", *columns], pa.array(ids, pa.string())
    try:
        if name.endswith(".csv"):
            parts: Iterable[pa.Table] = [pa_csv.read_csv(io.BytesIO(storage.read_bytes(name))).select(wanted)]
            return _of(parts, keep)
        with storage.open(name) as file:
            parquet = pq.ParquetFile(file)
            if absent := [column for column in wanted if column not in parquet.schema_arrow.names]:
                raise KeyError(f"no column {absent[0]!r}")
            groups = range(parquet.metadata.num_row_groups)
            return _of((parquet.read_row_group(group, columns=wanted) for group in groups), keep)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise BadInput(
            f"{storage.url}/{name} cannot be read as a table with the columns {', '.join(wanted)} "
            f"({str(error).splitlines()[0]}); make it again"
        ) from error


def _of(parts: Iterable[pa.Table], ids: pa.Array) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in parts:
        rows += part.filter(pc.is_in(part.column("track_id"), ids)).to_pylist()
    return rows
