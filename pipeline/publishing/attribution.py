"""ATTRIBUTION.csv: whose each track is and under which licence, as licences such as CC BY ask for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.publishing.hub import licence_class

__all__ = ["ATTRIBUTION", "attribution"]

ATTRIBUTION = "ATTRIBUTION.csv"
_COLUMNS = ("track_id", "title", "artist", "album", "licence", "spdx", "source")


def attribution(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One line a track, in the order of its first clip; clips of a track stand together. The licence as it was given,
    and as it is counted (`spdx`: an identifier, `other` or `unknown`)."""
    yield _line(_COLUMNS)
    last = None
    for row in rows:
        if row["track_id"] != last:
            last = row["track_id"]
            given = str(row.get("licence") or "")
            said = {name: str(row.get(name) or "") for name in _COLUMNS} | {"licence": given}
            said["spdx"] = licence_class(given).partition(":")[0]
            yield _line([said[name] for name in _COLUMNS])


def _line(values: Iterable[str]) -> bytes:
    """A text that a spreadsheet would take for a formula is quoted with `'`."""
    text = io.StringIO()
    safe = [f"'{value}" if value[:1] in ("=", "+", "-", "@") else value for value in values]
    csv.writer(text, lineterminator="\n").writerow(safe)
    return text.getvalue().encode("utf-8", "replace")
