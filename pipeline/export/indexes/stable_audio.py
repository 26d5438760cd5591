"""stable-audio-tools: the two files that its trainer is given beside a folder of tars or of audio.

What its reader does to a layout that looks right (0.0.20, data/dataset.py): a list given as prompt is not drawn from,
its first element is taken; the custom function is unpickled for each sample, so that a module which holds captions
costs its size each time; errors are swallowed; without a custom module a folder of audio has no text at all.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping

from pipeline.export.spec import ExportSpec

__all__ = ["stable_audio_files"]

_WDS = '''"""Draws a caption each time a clip is read. stable-audio-tools, dataset_type wds."""


def get_custom_metadata(info, audio):
    import random

    said = {"prompt": random.choice(info["captions"])}
TIMING    return said
'''
_FOLDER = '''"""Draws a caption from the JSON beside a clip each time it is read. stable-audio-tools, audio_dir."""


def get_custom_metadata(info, audio):
    import json
    import random

    with open(info["path"].rsplit(".", 1)[0] + ".json", encoding="utf-8") as file:
        clip = json.load(file)
    said = {"prompt": random.choice(clip["captions"])}
TIMING    return said
'''
_TRACK_TIMING = """    said["seconds_start"] = int(CLIP["start_s"] + info["seconds_start"])
    said["seconds_total"] = -int(-CLIP["track_duration_s"] // 1)
"""
_BATCH = 16


def stable_audio_files(spec: ExportSpec, root: str, splits: Mapping[str, int]) -> dict[str, str]:
    """`dataset_config.json` and `custom_metadata.py`.

    root: where the trainer will find the export. splits: clips of each.
    """
    wds = spec.layout == "wds"
    timing = _TRACK_TIMING.replace("CLIP", "info" if wds else "clip") if spec.timing == "track" else ""
    train = "train" if "train" in splits else next(iter(splits), "train")
    where = posixpath.join(root, train) if wds else posixpath.join(root, "audio", train)
    config: dict[str, object] = {
        "dataset_type": "wds" if wds else "audio_dir",
        "datasets": [
            {
                "id": "cratedig",
                "path": where,
                "custom_metadata_module": posixpath.join(root, "custom_metadata.py"),
            }
        ],
        "random_crop": True,
        "drop_last": True,
    }
    if wds:
        config["epoch_steps"] = max(1, splits.get(train, 0) // _BATCH)
    return {
        "custom_metadata.py": (_WDS if wds else _FOLDER).replace("TIMING", timing),
        "dataset_config.json": json.dumps(config, indent=1) + "\n",
    }
