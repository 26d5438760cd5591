"""lhotse: recordings and supervisions as JSON lines; paths are relative (`with_path_prefix`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.export.indexes.index import Files, Listed, gzipped

__all__ = ["lhotse_files"]


def lhotse_files(listed: Listed) -> Files:
    """`lhotse/SPLIT/recordings.jsonl.gz` and `supervisions.jsonl.gz`."""
    for split in listed.splits:
        yield f"lhotse/{split}/recordings.jsonl.gz", gzipped(_recordings(listed.of(split), listed.spec.rate_hz))
        yield f"lhotse/{split}/supervisions.jsonl.gz", gzipped(_supervisions(listed.of(split), listed.spec.rate_hz))


def _recordings(rows: Iterable[dict[str, Any]], rate_hz: int) -> Iterator[dict[str, Any]]:
    for row in rows:
        channels = list(range(row["channels"]))
        yield {
            "id": row["id"],
            "sources": [{"type": "file", "channels": channels, "source": row["path"]}],
            "sampling_rate": rate_hz,
            "num_samples": row["samples"],
            "duration": row["samples"] / rate_hz,
            "channel_ids": channels,
        }


def _supervisions(rows: Iterable[dict[str, Any]], rate_hz: int) -> Iterator[dict[str, Any]]:
    for row in rows:
        channels = list(range(row["channels"]))
        custom = {name: row[name] for name in ("captions", "keywords", "tags", "licence", "title", "artist")}
        yield {
            "id": row["id"],
            "recording_id": row["id"],
            "start": 0.0,
            "duration": row["samples"] / rate_hz,
            "channel": channels if len(channels) > 1 else 0,
            "text": row["text"],
            "language": "en",
            "custom": custom,
        }
