"""What lies beside the shards of an export, made anew from their markers and rows whenever it is finished."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import CrateMismatch
from pipeline.export.card import card, named
from pipeline.export.export import Export
from pipeline.export.indexes.by_name import index_files
from pipeline.export.indexes.index import Files, Listed
from pipeline.export.indexes.lp_musiccaps import lp_musiccaps_files
from pipeline.export.indexes.stable_audio import stable_audio_files
from pipeline.export.layouts.by_name import usage_of
from pipeline.export.layouts.folder import rows_name
from pipeline.export.layouts.hf import dataset_info
from pipeline.parquet import read_table
from pipeline.publishing.attribution import ATTRIBUTION, attribution
from pipeline.publishing.croissant import croissant_json

__all__ = ["finish_export"]


def finish_export(export: Export) -> Export:
    """Card, lists and glue; last export.json with the counts. Removes what killed writers and earlier lists left."""
    counts: Counter[str] = Counter()
    for index, marker in export.markers():
        if marker is None:
            raise CrateMismatch(f"{export.storage.url} lacks shard {index} of {export.shards}; export it again first")
        counts.update(marker["counts"])
    export.sweep()
    wrote = {}
    for name, pieces in _beside(export, counts):
        with export.storage.write(name) as file:
            for piece in pieces:
                file.write(piece)
        wrote[name] = {"sha256": file.sha256, "bytes": file.size}
    for name in sorted(set(export.files) - set(wrote)):
        export.storage.remove(name)
    finished = replace(export, counts=dict(sorted(counts.items())), files=dict(sorted(wrote.items())))
    finished.write()
    return finished


def _beside(export: Export, counts: Mapping[str, int]) -> Files:
    spec, splits = export.spec, named(counts, "split:")
    root, features = spec.root or export.storage.url, ""
    if spec.layout == "hf":
        features = dataset_info(spec, int(export.crate["dimension"]), splits, _bytes_by_split(export))
        described = croissant_json(
            description=f"{counts.get('clips', 0)} music clips with captions that a model retrieved.",
            licences=named(counts, "licence:"),
            includes="data/*.parquet",
            texts=("clip_id", "text", "title", "artist", "album", "licence", "source", "track_id"),
            numbers=("start_s", "duration_s", "track_duration_s"),
            published=export.crate.get("published", {}).get("date", ""),
        )
        yield "croissant.json", [described]
    elif spec.layout == "wds":
        for name, text in stable_audio_files(spec, root, splits).items():
            yield name, [text.encode()]
    elif spec.layout == "folder":
        yield from index_files(Listed(spec=spec, rows=lambda: _rows(export), splits=splits, root=root))
    else:
        yield from lp_musiccaps_files(lambda: _caption_rows(export))
    yield ATTRIBUTION, attribution(_sources(export))
    yield "README.md", [card(export, counts, usage=usage_of(spec), features=features).encode()]


def _sources(export: Export) -> Iterator[dict[str, Any]]:
    """What each example says of its track, as the files hold it: what was redacted is empty there."""
    layout = export.spec.layout
    if layout == "folder":
        yield from _rows(export)
        return
    for name in export.data_files():
        with export.storage.open(name) as file:
            if layout == "hf":
                columns = ["track_id", "title", "artist", "album", "licence", "source"]
                yield from read_table(file, columns).to_pylist()
            elif layout == "captions":
                yield from map(json.loads, file)
            else:
                with tarfile.open(fileobj=file) as tar:
                    for member in tar:
                        if member.name.endswith(".json") and (data := tar.extractfile(member)) is not None:
                            yield json.loads(data.read())


def _bytes_by_split(export: Export) -> Counter[str]:
    size: Counter[str] = Counter()
    for _, marker in export.markers():
        for name, wrote in (marker or {"files": {}})["files"].items():
            size[name.rpartition("/")[2].partition("-")[0]] += wrote["bytes"]
    return size


def _rows(export: Export) -> Iterator[dict[str, Any]]:
    for index in range(export.shards):
        with export.storage.open(rows_name(index)) as file:
            yield from map(json.loads, file)


def _caption_rows(export: Export) -> Iterator[dict[str, Any]]:
    for name in export.data_files():
        split = name.rpartition("/")[2].partition("-")[0]
        with export.storage.open(name) as file:
            yield from ({**json.loads(line), "split": split} for line in file)
