"""`captions`: what is said of each clip without its audio, publishable where audio is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.export.example import Example
from pipeline.export.layouts.fields import as_json, fields
from pipeline.export.layouts.layout import PerSplit, Removal, Row
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["CAPTIONS_USAGE", "Captions"]

CAPTIONS_USAGE = """`captions/SPLIT-*.jsonl`: a line a clip; `source_sha256`, `start_s` and `duration_s` say which sound
is meant, `scores` how near the model finds each caption. `annotation.json` and `track_split.json` have the form of
LP-MusicCaps.
"""


class Captions:
    """`captions/SPLIT-00007.jsonl`, a line a clip."""

    has_audio = False

    def write(self, out: Storage, spec: ExportSpec, index: int, examples: Iterator[Example]) -> dict[str, HashingFile]:
        def name(split: str) -> str:
            return f"captions/{split}-{index:05d}.jsonl"

        with PerSplit(out, name, lambda file: file, lambda file: None) as files:
            for example in examples:
                said = fields(example) | {"keywords": list(example.keywords), "tags": list(example.tags)}
                files.of(example.split).write(as_json(said | {"scores": [round(s, 6) for s in example.scores]}))
        return files.files

    def remove(self, out: Storage, spec: ExportSpec, files: Sequence[str], gone: frozenset[str]) -> Removal:
        changed = {}
        for name in files:
            lines = out.read_bytes(name).splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["track_id"] not in gone]
            if len(kept) < len(lines):
                with out.write(name) as wrote:
                    wrote.write(b"".join(kept))
                changed[name] = wrote
        return Removal(changed=changed, deleted=())

    def rows(self, out: Storage, spec: ExportSpec, files: Sequence[str]) -> Iterator[Row]:
        for name in files:
            split = name.rpartition("/")[2].partition("-")[0]
            for row in map(json.loads, out.read_bytes(name).splitlines()):
                yield Row.of(row, split, row["duration_s"])

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        with out.open(name) as file:
            for _, line in zip(range(limit), file, strict=False):
                yield json.loads(line), b""
