"""`wds`: tar files of KEY.flac, KEY.json, KEY.txt, as webdataset, stable-audio-tools and `datasets` stream them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

from pipeline.export.encode import suffix
from pipeline.export.example import Example
from pipeline.export.layouts.fields import as_json, fields
from pipeline.export.layouts.layout import PerSplit
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

    def write(
        self, out: Storage, spec: ExportSpec, index: int, count: int, examples: Iterator[Example]
    ) -> dict[str, HashingFile]:
        def opened(file: HashingFile) -> tarfile.TarFile:
            return tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]

        with PerSplit(out, lambda split: f"{split}/clips-{index:05d}.tar", opened, tarfile.TarFile.close) as tars:
            for example in examples:
                tar = tars.of(example.split)
                _add(tar, f"{example.id}.{suffix(spec.codec)}", example.sound.data)
                _add(tar, f"{example.id}.json", as_json(fields(example)))
                _add(tar, f"{example.id}.txt", example.text.encode())
        return tars.files

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        audio = b""
        with out.open(name) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                data = tar.extractfile(member)
                assert data is not None, "we wrote files alone"
                if member.name.endswith(".json"):
                    yield json.loads(data.read()), audio
                    limit -= 1
                    if limit == 0:
                        return
                elif not member.name.endswith(".txt"):
                    audio = data.read()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """No owner and no time: the same examples are the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(data))
