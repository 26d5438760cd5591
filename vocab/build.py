"""From texts to the rows of a vocabulary: ids, one row for each distinct caption, the first one kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.ids import caption_id
from vocab.store import SCHEMA, Kind, ids_to_hex

__all__ = ["caption_table", "provenance_json"]


def provenance_json(value: Mapping[str, Any]) -> str:
    """One line of JSON with sorted keys: the same provenance is the same bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def caption_table(
    texts: Iterable[str],
    *,
    kind: Kind,
    source: str,
    licence: str,
    provenance: Iterable[str] | str,
    facts: Iterable[tuple[str, ...] | None] | None = None,
) -> tuple[pa.Table, int]:
    """A table of SCHEMA with one row for each distinct caption, and how many repetitions were left out.

    Texts are stripped and their runs of white space become one space; case and accents stay as they are. `provenance`
    is one JSON string for all rows or one for each.
    """
    seen: dict[int, int] = {}
    kept: list[str] = []
    rows: list[int] = []
    total = 0
    for row, text in enumerate(texts):
        total += 1
        tidy = " ".join(text.split())
        identity = caption_id(tidy)
        if identity not in seen:
            seen[identity] = row
            kept.append(tidy)
            rows.append(row)
    count = len(kept)
    if isinstance(provenance, str):
        origin = pa.array([provenance] * count, pa.string())
    else:
        every = list(provenance)
        origin = pa.array([every[row] for row in rows], pa.string())
    if facts is None:
        stated = pa.nulls(count, SCHEMA.field("facts").type)
    else:
        known = list(facts)
        stated = pa.array([known[row] for row in rows], SCHEMA.field("facts").type)
    ids = np.fromiter(seen, dtype=np.uint64, count=count)
    columns = [
        ids_to_hex(ids),
        pa.array(kept, pa.string()),
        pa.array([kind] * count, pa.string()),
        pa.array([source] * count, pa.string()),
        pa.array([licence] * count, pa.string()),
        origin,
        stated,
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA), total - count
