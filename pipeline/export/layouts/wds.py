"""`wds`: tar files of KEY.flac, KEY.json, KEY.txt, as webdataset, stable-audio-tools and `datasets` stream them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.export.encode import audio_seconds, suffix
from pipeline.export.example import Example
from pipeline.export.layouts.fields import as_json, fields, track_of
from pipeline.export.layouts.layout import PerSplit, Removal, Row
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["WDS_USAGE", "Wds"]

WDS_USAGE = """```python
import glob

import webdataset

clips = webdataset.WebDataset(sorted(glob.glob("train/*.tar")), shardshuffle=100)
```

Each key (the clip's id) has its audio, a `.json` with `text`, `captions` and what is known of the clip, and a `.txt`
with one caption. The JSON has the same keys and types in every sample; what is not known is an empty text.

stable-audio-tools: `dataset_config.json` names this folder and `custom_metadata.py`, which draws one of the captions
each time a clip is read. After moving the folder: `cratedig export reroot THIS_FOLDER`.
"""


class Wds:
    """`SPLIT/clips-00007.tar`, a file a shard and split. Keys have no dot: a reader cuts names at the first one."""

    has_audio = True

    def write(self, out: Storage, spec: ExportSpec, index: int, examples: Iterator[Example]) -> dict[str, HashingFile]:
        def name(split: str) -> str:
            return f"{split}/clips-{index:05d}.tar"

        with PerSplit(out, name, lambda file: file, _end) as tars:
            for example in examples:
                tar = tars.of(example.split)
                _add(tar, f"{example.id}.{suffix(spec.codec)}", example.sound.data)
                _add(tar, f"{example.id}.json", as_json(fields(example)))
                _add(tar, f"{example.id}.txt", example.text.encode())
        return tars.files

    def remove(self, out: Storage, spec: ExportSpec, files: Sequence[str], gone: frozenset[str]) -> Removal:
        changed = {}
        for name in files:
            with out.open(name) as file, tarfile.open(fileobj=file) as tar:
                members = tar.getmembers()
                kept = [member for member in members if track_of(member.name) not in gone]
                if len(kept) == len(members):
                    continue
                with out.write(name) as wrote:
                    for member in kept:
                        _add(wrote, member.name, _data(tar, member))
                    _end(wrote)
                changed[name] = wrote
        return Removal(changed=changed, deleted=())

    def rows(self, out: Storage, spec: ExportSpec, files: Sequence[str]) -> Iterator[Row]:
        for name in files:
            audio = b""
            with out.open(name) as file, tarfile.open(fileobj=file) as tar:
                for member in tar:
                    if member.name.endswith(".json"):
                        yield Row.of(json.loads(_data(tar, member)), name.partition("/")[0], audio_seconds(audio))
                    elif not member.name.endswith(".txt"):
                        audio = _data(tar, member)

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        audio = b""
        with out.open(name) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    yield json.loads(_data(tar, member)), audio
                    limit -= 1
                    if limit == 0:
                        return
                elif not member.name.endswith(".txt"):
                    audio = _data(tar, member)


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = tar.extractfile(member)
    assert found is not None, "we wrote files alone"
    return found.read()


def _add(tar: HashingFile, name: str, data: bytes) -> None:
    """A member without owner and time, so that the same examples are the same bytes; written in one piece, where
    `TarFile.addfile` would copy it in pieces of 16 KB."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    tar.write(info.tobuf(tarfile.USTAR_FORMAT))
    tar.write(data)
    tar.write(bytes(-len(data) % tarfile.BLOCKSIZE))


def _end(tar: HashingFile) -> None:
    """Two empty blocks, filled up to a whole record."""
    tar.write(bytes(2 * tarfile.BLOCKSIZE))
    tar.write(bytes(-tar.size % tarfile.RECORDSIZE))
