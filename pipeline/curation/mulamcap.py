"""From a folder of AudioSet clips to lists of its music, as MuLaMCap takes it (PAPER, appendix D): what is there, what
is missing, and what was left out for which reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.curation.audioset import Segment, named_clip
from pipeline.records import Track
from pipeline.storage import Storage

__all__ = ["Found", "match", "write_lists"]

_SCHEMA = pa.schema(
    [("path", pa.string()), ("ytid", pa.string()), ("audioset_start_s", pa.float64()),
     ("audioset_end_s", pa.float64()), ("audioset_split", pa.string()), ("audioset_labels", pa.string()),
     ("in_musiccaps", pa.string())]
)  # fmt: skip
_ID_COLUMNS = ("video_id", "ytid", "youtube_id")


@dataclass(kw_only=True)
class Found:
    """Every listed piece of music, and every file, by what became of it."""

    listed: Counter[str] = field(default_factory=Counter)
    """`train`, `test` -> rows of the lists that have a label of the set."""
    paths: dict[str, str] = field(default_factory=dict)
    """Id -> its file."""
    files: Counter[str] = field(default_factory=Counter)
    """`taken`, `double`, `no-music`, `other-segment`, `unknown-name`, `musiccaps` -> files."""
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of each but `taken`, up to five names."""
    missing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """`train`, `test` -> ids without a file."""
    by_label: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Label -> (listed, found)."""

    @property
    def coverage(self) -> float:
        """Share of the listed music that is there."""
        return len(self.paths) / max(self.listed.total(), 1)


def match(
    tracks: Collection[Track],
    segments: Mapping[str, Segment],
    labels: Mapping[str, str],
    *,
    musiccaps: Collection[str] = (),
    exclude_musiccaps: bool = False,
) -> Found:
    """Which file is which clip. One file a clip: of several the first by name."""
    music = {ytid: said for ytid, said in segments.items() if not labels.keys().isdisjoint(said.labels)}
    wanted = {ytid for ytid in music if not (exclude_musiccaps and ytid in musiccaps)}
    found = Found(listed=Counter(music[ytid].split for ytid in wanted))

    def count(why: str, key: str) -> None:
        found.files[why] += 1
        if why != "taken" and len(found.examples[why]) < 5:
            found.examples[why].append(key)

    for track in sorted(tracks, key=lambda track: track.key):
        extra = dict(track.extra)
        given = next((extra[name] for name in _ID_COLUMNS if extra.get(name) in segments), "")
        clip = named_clip(f"{given}.x" if given else track.key, segments)
        if clip is None:
            count("unknown-name", track.key)
        elif clip.ytid not in music:
            count("no-music", track.key)
        elif clip.ytid not in wanted:
            count("musiccaps", track.key)
        elif not clip.fits:
            count("other-segment", track.key)
        elif clip.ytid in found.paths:
            count("double", track.key)
        else:
            found.paths[clip.ytid] = track.path
            count("taken", track.key)
    for ytid in sorted(wanted - found.paths.keys()):
        found.missing[music[ytid].split].append(ytid)
    for mid, name in sorted(labels.items(), key=lambda pair: pair[1]):
        having = [ytid for ytid in wanted if mid in music[ytid].labels]
        found.by_label[name] = len(having), sum(ytid in found.paths for ytid in having)
    return found


def write_lists(
    out: Storage,
    found: Found,
    segments: Mapping[str, Segment],
    labels: Mapping[str, str],
    said: Mapping[str, Any],
    *,
    musiccaps: Collection[str] = (),
) -> None:
    """train.parquet and test.parquet for `cratedig mine`, missing.csv, and last mulamcap.json with the counts."""
    for split in ("train", "test"):
        rows = [
            {
                "path": path,
                "ytid": ytid,
                "audioset_start_s": segments[ytid].start_s,
                "audioset_end_s": segments[ytid].end_s,
                "audioset_split": split,
                "audioset_labels": "; ".join(labels[mid] for mid in segments[ytid].labels if mid in labels),
                "in_musiccaps": "yes" if ytid in musiccaps else "no" if musiccaps else "",
            }
            for ytid, path in sorted(found.paths.items())
            if segments[ytid].split == split
        ]
        with out.write(f"{split}.parquet") as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), file, compression="zstd")
    lines = [f"{ytid},{segments[ytid].start_s:g},{split}" for split in found.missing for ytid in found.missing[split]]
    out.write_bytes("missing.csv", "\n".join(["ytid,start_s,split", *sorted(lines), ""]).encode())
    taken = Counter(segments[ytid].split for ytid in found.paths)
    counts = {
        "listed": dict(sorted(found.listed.items())),
        "found": dict(sorted(taken.items())),
        "missing": {split: len(found.missing[split]) for split in sorted(found.listed)},
        "files": dict(sorted(found.files.items())),
        "examples": dict(sorted(found.examples.items())),
        "labels": {name: {"listed": a, "found": b} for name, (a, b) in found.by_label.items()},
        "in_musiccaps": sum(ytid in musiccaps for ytid in found.paths) if musiccaps else None,
        "coverage": round(found.coverage, 4),
    }
    out.write_json("mulamcap.json", {**said, **counts})
