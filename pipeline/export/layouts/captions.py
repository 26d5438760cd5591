"""`captions`: what is said of each clip without its audio, publishable where audio is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.export.example import Example
from pipeline.export.layouts.fields import as_json, fields
from pipeline.export.layouts.layout import PerSplit
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["CAPTIONS_USAGE", "Captions"]

CAPTIONS_USAGE = """`captions/SPLIT-*.jsonl`: a line a clip; `source_sha256`, `start_s` and `duration_s` say which sound
is meant, `scores` how near the model finds each caption. `annotation.json` and `track_split.json` have the form of
LP-MusicCaps.
"""


class Captions:
    """`captions/SPLIT-00007-of-00128.jsonl`, a line a clip."""

    has_audio = False

    def write(
        self, out: Storage, spec: ExportSpec, index: int, count: int, examples: Iterator[Example]
    ) -> dict[str, HashingFile]:
        def name(split: str) -> str:
            return f"captions/{split}-{index:05d}-of-{count:05d}.jsonl"

        with PerSplit(out, name, lambda file: file, lambda file: None) as files:
            for example in examples:
                said = fields(example) | {"keywords": list(example.keywords), "tags": list(example.tags)}
                files.of(example.split).write(as_json(said | {"scores": [round(s, 6) for s in example.scores]}))
        return files.files

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        with out.open(name) as file:
            for _, line in zip(range(limit), file, strict=False):
                yield json.loads(line), b""
