"""TangoFlux: JSON rows of captions (one string), location and duration; a row a caption, since it takes no list."""

from __future__ import annotations

from pipeline.export.indexes.index import Files, Listed, json_list

__all__ = ["tangoflux_files"]


def tangoflux_files(listed: Listed) -> Files:
    """`tangoflux/SPLIT.json`."""
    for split in listed.splits:
        rows = (
            {"captions": text, "location": listed.path(row["path"]), "duration": row["samples"] / listed.spec.rate_hz}
            for row in listed.of(split)
            for text in row["captions"]
        )
        yield f"tangoflux/{split}.json", json_list(rows)
