"""The JSON of an example: flat, the same keys and types in every one, never null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.export.example import Example

__all__ = ["as_json", "fields", "track_of"]


def fields(example: Example) -> dict[str, Any]:
    """What readers that guess types from the first few examples can take.

    Numbers are floats, always: a column of which the first five are whole would be read as whole numbers. Lists that
    may be empty are one text with commas, since the type of an empty list cannot be told; `captions` never is.
    """
    return {
        "id": example.id,
        "text": example.text,
        "captions": list(example.captions),
        "keywords": ", ".join(example.keywords),
        "tags": ", ".join(example.tags),
        "title": example.title,
        "artist": example.artist,
        "album": example.album,
        "isrc": example.isrc,
        "bpm": float(example.bpm),
        "key": example.key,
        "licence": example.licence,
        "source": example.source,
        "source_sha256": example.source_sha256,
        "track_id": example.track_id,
        "start_s": float(example.start_s),
        "duration_s": float(example.duration_s),
        "track_duration_s": float(example.track_duration_s),
        "source_rate_hz": float(example.source_rate_hz),
        "source_channels": float(example.source_channels),
        **({"sample_rate": float(example.audio.rate_hz)} if example.audio is not None else {}),
    }


def as_json(value: Mapping[str, Any]) -> bytes:
    """Sorted keys, one line."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n").encode()


def track_of(name: str) -> str:
    """The track of a file that is called by its example: `t1d89004070d80de41ea1-000030000.flac`."""
    return name.rpartition("/")[2].partition(".")[0].partition("-")[0]
