"""LP-MusicCaps: captions by file name, as its annotation files have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.export.indexes.index import Files

__all__ = ["lp_musiccaps_files"]


def lp_musiccaps_files(rows: Callable[[], Iterator[dict[str, Any]]]) -> Files:
    """`annotation.json` and `track_split.json`. rows: (fields with their `split`), read twice.

    A name is `[source]-[start-end]`, whole seconds; the source is the clip's track.
    """
    yield "annotation.json", _annotation(rows())
    yield "track_split.json", _splits(rows())


def _name(row: dict[str, Any]) -> str:
    start = int(row["start_s"])
    return f"[{row['track_id']}]-[{start}-{round(row['start_s'] + row['duration_s'])}]"


def _annotation(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    yield b"{"
    for number, row in enumerate(rows):
        said = {
            "fname": _name(row),
            "ytid": row["track_id"],
            "track_id": row["id"],
            "start_s": row["start_s"],
            "end_s": row["start_s"] + row["duration_s"],
            "aspect_list": row["keywords"],
            "caption": row["text"],
            "captions": row["captions"],
            "source_sha256": row["source_sha256"],
        }
        text = f"{json.dumps(said['fname'])}: {json.dumps(said, sort_keys=True, ensure_ascii=False)}"
        yield ((",\n" if number else "\n") + text).encode()
    yield b"\n}\n"


def _splits(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    names: dict[str, list[str]] = {"train_track": [], "valid_track": [], "test_track": []}
    for row in rows:
        names.setdefault(f"{row['split']}_track", []).append(_name(row))
    yield (json.dumps(names, indent=1, sort_keys=True) + "\n").encode()
