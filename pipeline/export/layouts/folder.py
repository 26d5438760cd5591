"""`folder`: one tree of audio with JSON beside it, and a list of its rows for indexes to be made from.

audio/SPLIT/t1d/CLIP.flac, CLIP.json          the JSON is what audiocraft reads, and more
audiocraft/audio/SPLIT/t1d/CLIP-0.flac, ...   where each caption needs a file of its own: hard links to the same audio
musicgen-trainer/SPLIT/CLIP.wav, CLIP.txt     flat, as its reader lists it; hard links too. Never a text in audio/,
                                              which ACE-Step 1.5 would read as lyrics
rows/00007.jsonl                              a line a clip, from which every index is made
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import BadInput
from pipeline.export.encode import suffix
from pipeline.export.example import Example
from pipeline.export.layouts.fields import as_json, fields, track_of
from pipeline.export.layouts.layout import Removal, Row
from pipeline.export.spec import ExportSpec
from pipeline.storage import HashingFile, Storage

__all__ = ["FOLDER_USAGE", "Folder", "audiocraft_fields", "rows_name"]

FOLDER_USAGE = """`audio/SPLIT/` holds each clip with a `.json` of its text and of what is known of it. The lists beside
it name these files for one trainer each. After moving the folder: `cratedig export reroot THIS_FOLDER`.
"""
_ROWS = "rows/"


def rows_name(index: int) -> str:
    """The file that lists a shard's clips."""
    return f"{_ROWS}{index:05d}.jsonl"


def audiocraft_fields(example: Example, caption: str) -> dict[str, Any]:
    """What MusicInfo of audiocraft needs, all of it: a key that lacks is an error there, a description that is a list
    becomes none without a word, keywords that are a text are cut at every space."""
    return {
        "title": example.title,
        "artist": example.artist,
        "key": example.key,
        "bpm": float(example.bpm) if example.bpm else "",
        "genre": "",
        "moods": [],
        "keywords": list(example.keywords),
        "description": caption,
        "name": example.id,
        "instrument": "",
    }


class Folder:
    """Two files a clip, and more names for them where an index needs those."""

    has_audio = True

    def write(self, out: Storage, spec: ExportSpec, index: int, examples: Iterator[Example]) -> dict[str, HashingFile]:
        files: dict[str, HashingFile] = {}
        with contextlib.ExitStack() as stack:
            rows = stack.enter_context(out.write(rows_name(index)))
            for example in examples:
                name = f"audio/{example.split}/{example.track_id[:3]}/{example.id}"
                audio = f"{name}.{suffix(spec.codec)}"
                said = {**fields(example), **audiocraft_fields(example, example.text)}
                files[audio] = _put(out, audio, example.sound.data)
                files[f"{name}.json"] = _put(out, f"{name}.json", as_json(said))
                if "musicgen-trainer" in spec.beside:
                    flat = f"musicgen-trainer/{example.split}/{example.id}"
                    files[f"{flat}.wav"] = _link(out, audio, f"{flat}.wav", files)
                    files[f"{flat}.txt"] = _put(out, f"{flat}.txt", example.text.encode())
                also = _variants(out, example, audio, files) if "audiocraft" in spec.beside else []
                rows.write(as_json(_row(example, audio, also)))
        files[rows_name(index)] = rows
        _to_disk(out, files)
        return files

    def remove(self, out: Storage, spec: ExportSpec, files: Sequence[str], gone: frozenset[str]) -> Removal:
        listed = [name for name in files if name.startswith(_ROWS)]
        changed = {}
        for name in listed:
            lines = out.read_bytes(name).splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["track_id"] not in gone]
            if len(kept) < len(lines):
                with out.write(name) as wrote:
                    wrote.write(b"".join(kept))
                changed[name] = wrote
        deleted = tuple(name for name in files if name not in listed and track_of(name) in gone)
        return Removal(changed=changed, deleted=deleted)

    def rows(self, out: Storage, spec: ExportSpec, files: Sequence[str]) -> Iterator[Row]:
        for name in files:
            if name.startswith(_ROWS):
                for row in map(json.loads, out.read_bytes(name).splitlines()):
                    yield Row.of(row, row["split"], row["samples"] / spec.rate_hz)

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        if not name.startswith(_ROWS):
            return
        with out.open(name) as file:
            for line in file.read().splitlines()[:limit]:
                row = json.loads(line)
                yield row, out.read_bytes(row["path"])


def _row(example: Example, audio: str, also: list[str]) -> dict[str, Any]:
    sound = example.sound
    return {
        **fields(example),
        "keywords": list(example.keywords),
        "tags": list(example.tags),
        "split": example.split,
        "path": audio,
        "samples": sound.samples,
        "channels": sound.channels,
        "audiocraft": also,
    }


def _put(out: Storage, name: str, data: bytes) -> HashingFile:
    with out.write(name, durable=False) as file:  # `_to_disk` waits once for all of a shard
        file.write(data)
    return file


def _variants(out: Storage, example: Example, audio: str, files: dict[str, HashingFile]) -> list[str]:
    """A name for each caption: audiocraft reads one description a file. The audio is on the disk once."""
    made = []
    for number, caption in enumerate(example.captions):
        name = f"audiocraft/{audio.rpartition('.')[0]}-{number}"
        copy = f"{name}.{audio.rpartition('.')[2]}"
        files[copy] = _link(out, audio, copy, files)
        said = {**fields(example), "text": caption, **audiocraft_fields(example, caption)}
        files[f"{name}.json"] = _put(out, f"{name}.json", as_json(said))
        made.append(copy)
    return made


def _link(out: Storage, audio: str, copy: str, files: dict[str, HashingFile]) -> HashingFile:
    """Another name for the same audio."""
    if not out.is_local:
        raise BadInput(
            f"{out.url} has no hard links for a second name of the same audio: give a local --out, or, for audiocraft, "
            "--captions joined, which needs none"
        )
    target = Path(out.path(copy))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(out.path(audio), temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(out.path(audio), temporary)
    os.replace(temporary, target)
    return files[audio]


def _to_disk(out: Storage, files: dict[str, HashingFile]) -> None:
    """Before the marker says that they are there."""
    for name in files if out.is_local else ():
        descriptor = os.open(out.path(name), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
