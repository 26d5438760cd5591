"""audiocraft (MusicGen): `egs/` lists of files with their JSON beside them, and the dataset's YAML.

What MusicDataset 1.3 does to a layout that looks right: it takes one description a file, so captions that shall vary
need a file each; its default draws a stretch of 30 s from a file of 30 s at a random place and fills up with silence
(`min_segment_ratio` 1 stops that); a rate above `max_sample_rate` is an error, so that is the true one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.export.indexes.index import Files, Listed, gzipped

__all__ = ["audiocraft_files"]

_NAME = "cratedig"
_USES = (("train", "train"), ("valid", "valid"), ("evaluate", "test"), ("generate", "test"))


def audiocraft_files(listed: Listed) -> Files:
    """`audiocraft/egs/cratedig/SPLIT/data.jsonl.gz` and `audiocraft/dset/audio/cratedig.yaml`."""
    for split in listed.splits:
        yield f"audiocraft/egs/{_NAME}/{split}/data.jsonl.gz", gzipped(_metas(listed, split))
    spec = listed.spec
    lines = ["# @package __global__", "", "datasource:"]
    lines += [f"  max_sample_rate: {spec.rate_hz}", f"  max_channels: {spec.channels}"]
    for use, split in _USES:
        folder = listed.path(f"audiocraft/egs/{_NAME}/{listed.split_for(split)}")
        lines.append(f"  {use}: {json.dumps(folder, ensure_ascii=False)}")
    lines += ["", "dataset:", "  train:", "    min_segment_ratio: 1.0", ""]
    yield f"audiocraft/dset/audio/{_NAME}.yaml", ["\n".join(lines).encode()]


def _metas(listed: Listed, split: str) -> Iterator[dict[str, Any]]:
    for row in listed.of(split):
        for name in row["audiocraft"] or [row["path"]]:
            rate = listed.spec.rate_hz
            yield {"path": listed.path(name), "duration": row["samples"] / rate, "sample_rate": rate}
