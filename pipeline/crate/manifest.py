"""manifest.json: what a crate holds, file by file. The same crate gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.crate.crate import CLIPS, LABELS, RUN_FILE, Crate, label_runs, read_run
from pipeline.crate.left_out import row_counts
from pipeline.crate.seals import write_sealed
from pipeline.ids import content_hash

__all__ = ["MANIFEST_FILE", "hash_by_markers", "hash_of_content", "shard_counts", "write_manifest"]

MANIFEST_FILE = "manifest.json"


def shard_counts(crate: Crate) -> Counter[str]:
    """Tracks, clips and rejects by `level:reason`, over all finished shards and the rows of the input's list."""
    counts = row_counts(crate.listed)
    for marker in crate.markers(CLIPS):
        counts.update(marker["counts"] if marker else {})
    return counts


def hash_of_content(crate: Crate, files: Mapping[str, str]) -> str:
    """Of the plan, the settings, and the sha256 of every file of clips, rejects and labels: of all that is read."""
    return content_hash([crate.clips_hash, dict(files)], digest_size=16)


def write_manifest(crate: Crate) -> dict[str, Any]:
    """Put the markers of all finished shards together. Their word is taken for what the files hold; `verify` hashes
    the files themselves and compares what they come to with `content_hash`."""
    clips, labels = _data_files(crate)
    manifest = {
        "format_version": 2,
        "clips_hash": crate.clips_hash,
        "pours": [{"tracks": p.tracks, "shards": p.shards, "hash": p.hash} for p in crate.pours],
        "removed": crate.removed,
        "embedder": crate.embedder.as_dict(),
        "totals": dict(sorted(shard_counts(crate).items())),
        "clips": clips,
        "labels": {run: {**read_run(crate, run), "files": files} for run, files in labels.items()},
        "content_hash": _hash_of_files(crate, clips, labels),
    }
    write_sealed(crate.storage, MANIFEST_FILE, manifest)
    return manifest


def hash_by_markers(crate: Crate) -> str:
    """`hash_of_content` of what the markers say of the files."""
    return _hash_of_files(crate, *_data_files(crate))


def _hash_of_files(crate: Crate, clips: Mapping[str, Any], labels: Mapping[str, Mapping[str, Any]]) -> str:
    hashes = {name: wrote["sha256"] for files in (clips, *labels.values()) for name, wrote in files.items()}
    hashes |= {name: crate.storage.sha256(name) for name in (f"{LABELS}/{run}/{RUN_FILE}" for run in labels)}
    return hash_of_content(crate, hashes)


def _data_files(crate: Crate) -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    """Of the clips, and of each label run: name -> sha256 and bytes."""
    return _files(crate, CLIPS), {run: _files(crate, f"{LABELS}/{run}") for run in label_runs(crate)}


def _files(crate: Crate, folder: str) -> Mapping[str, Mapping[str, Any]]:
    markers = crate.markers(folder)
    return {name: wrote for marker in markers if marker for name, wrote in sorted(marker["files"].items())}
