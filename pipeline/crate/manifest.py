"""manifest.json: what a crate holds, file by file. The same crate gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.crate.crate import CLIPS, LABELS, Crate
from pipeline.crate.shards import read_marker
from pipeline.crate.verify import label_runs
from pipeline.ids import content_hash

__all__ = ["MANIFEST_FILE", "shard_counts", "write_manifest"]

MANIFEST_FILE = "manifest.json"


def shard_counts(crate: Crate) -> Counter[str]:
    """Tracks, clips and rejects by `level:reason`, over all finished shards."""
    counts: Counter[str] = Counter()
    for index in crate.shards:
        marker = read_marker(crate.storage, CLIPS, index, crate.plan.shards)
        counts.update(marker["counts"] if marker else {})
    return counts


def write_manifest(crate: Crate) -> dict[str, Any]:
    """Put the markers of all finished shards together; `content_hash` stands for every byte of data in the crate."""
    runs = {run: crate.storage.read_json(f"{LABELS}/{run}/run.json") for run in label_runs(crate)}
    clips = _files(crate, CLIPS)
    labels = {run: _files(crate, f"{LABELS}/{run}") for run in runs}
    counts = shard_counts(crate)
    manifest = {
        "format_version": 1,
        "clips_hash": crate.clips_hash,
        "plan": {"tracks": crate.plan.tracks, "shards": crate.plan.shards, "hash": crate.plan.hash},
        "embedder": crate.embedder.as_dict(),
        "totals": dict(sorted(counts.items())),
        "clips": clips,
        "labels": {run: {**description, "files": labels[run]} for run, description in runs.items()},
        "content_hash": content_hash([clips, labels], digest_size=16),
    }
    crate.storage.write_json(MANIFEST_FILE, manifest)
    return manifest


def _files(crate: Crate, folder: str) -> Mapping[str, Mapping[str, Any]]:
    markers = (read_marker(crate.storage, folder, index, crate.plan.shards) for index in crate.shards)
    return {name: wrote for marker in markers if marker for name, wrote in sorted(marker["files"].items())}
