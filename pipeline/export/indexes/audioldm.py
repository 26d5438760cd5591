"""AudioLDM-training-finetuning: a root file and a list a split.

Its reader takes every key with `caption` in it for a caption and draws one; a path must be relative; a file that is
not there is silence with a warning.
"""

from __future__ import annotations

import json

from pipeline.export.indexes.index import Files, Listed, json_list

__all__ = ["audioldm_files"]

_NAME = "cratedig"


def audioldm_files(listed: Listed) -> Files:
    """`audioldm/dataset_root.json` (the config's `metadata_root`) and `audioldm/datafiles/SPLIT.json`."""
    lists = {split: f"audioldm/datafiles/{split}.json" for split in listed.splits}
    for split, name in lists.items():
        items = (
            {"wav": row["path"], **{f"caption_{number}": text for number, text in enumerate(row["captions"])}}
            for row in listed.of(split)
        )
        yield name, json_list(items, before='{"data": [', after="]}\n")
    uses = {"train": "train", "val": "valid", "test": "test"}
    paths: dict[str, str | None] = {use: listed.path(lists[listed.split_for(split)]) for use, split in uses.items()}
    root = {_NAME: listed.path(""), "metadata": {"path": {_NAME: {**paths, "class_label_indices": None}}}}
    yield "audioldm/dataset_root.json", [(json.dumps(root, indent=1, ensure_ascii=False) + "\n").encode()]
