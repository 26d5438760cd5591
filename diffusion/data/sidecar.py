"""Encoded texts beside a crate, so that a large text encoder is not in the training loop.

A folder: for each part of the texts' ids `part-k.tokens` (float16 rows of the encoder's width, text after text),
`part-k.index.npy` (by id: where a text's rows are) and `part-k.owners.npy` (hashes of the tracks that a text is of);
and `sidecar.json`, which is written last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion.data.text_encoder import TextEncoderCard
from pipeline.errors import BadInput
from pipeline.ids import hash_u64

__all__ = ["INDEX", "OWNERS", "Sidecar", "drop_tracks", "part_paths", "sidecar_folder", "text_id", "track_hash"]

FORMAT = 2
INDEX = np.dtype([("id", "<u8"), ("start", "<i8"), ("count", "<i4")])
OWNERS = np.dtype([("text", "<u8"), ("track", "<u8")])


def sidecar_folder(root: Path, labels: str, card: TextEncoderCard, limit: int) -> Path:
    """Where the texts of a label run lie once they are encoded; `root` is the crate's `text`, or any other place."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", card.name).strip("-")[-60:]
    return root / f"{labels}-{name}-{card.width}x{limit}"


def part_paths(folder: Path, part: int) -> dict[str, Path]:
    return {kind: folder / f"part-{part:04d}.{kind}" for kind in ("tokens", "owners.npy", "index.npy")}


class Sidecar:
    """Encoded texts, memory-mapped part by part as they are asked for."""

    def __init__(self, folder: Path, card: TextEncoderCard, limit: int) -> None:
        again = "make it again: cratedig train ... --encode-text"
        try:
            about = json.loads((folder / "sidecar.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{folder} has no finished sidecar ({error}); {again}") from error
        if about.get("format") != FORMAT:
            raise BadInput(
                f"{folder} has sidecar format {about.get('format', 1)}, this cratedig reads {FORMAT}; {again}"
            )
        card.refuse_other(about["text_encoder"], str(folder))
        if about["token_limit"] != limit:
            raise BadInput(f"{folder} holds texts of up to {about['token_limit']} tokens, the stage takes {limit}")
        for name, size in about["bytes"].items():
            found = (folder / name).stat().st_size if (folder / name).is_file() else -1
            if found != size:
                raise BadInput(f"{folder / name} has {max(found, 0)} bytes, expected {size}; {again}")
        self.folder, self.labels_hash, self.pours_hash = folder, about["labels_hash"], about["pours_hash"]
        self._texts, self._parts, self._width = about["texts"], about["parts"], card.width
        self._open: dict[int, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return int(self._texts)

    def get(self, text: str) -> NDArray[np.float16] | None:
        """The text's tokens (L, W), or None where it was not encoded."""
        wanted = text_id(text)
        part = wanted * self._parts >> 64
        if part not in self._open:
            self._open[part] = _open_part(self.folder, part, self._width)
        index, tokens = self._open[part]
        at = int(np.searchsorted(index["id"], np.uint64(wanted)))
        if at == len(index) or index["id"][at] != wanted:
            return None
        start = int(index["start"][at])
        return np.asarray(tokens[start : start + int(index["count"][at])])


def drop_tracks(text_folder: str | os.PathLike[str], tracks: Iterable[str]) -> Iterator[str]:
    """Take texts that only those tracks had out of all sidecars of a crate; says what was done to each.

    A kill in between loses at most a sidecar, which `--encode-text` makes again.
    """
    gone = np.array(sorted({track_hash(track) for track in tracks}), dtype=np.uint64)
    for file in sorted(Path(text_folder).glob("*/sidecar.json")):
        folder, about = file.parent, json.loads(file.read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:  # can't be read any longer, and holds what was taken down
            shutil.rmtree(folder)
            yield f"encoded texts {folder.name}: removed, they are of an older format"
            continue
        owners = [np.load(part_paths(folder, part)["owners.npy"]) for part in range(about["parts"])]
        if not any(np.isin(each["track"], gone).any() for each in owners):
            continue
        file.unlink()
        dropped = 0
        for part, each in enumerate(owners):
            kept = each[~np.isin(each["track"], gone)]
            if len(kept) < len(each):
                dropped += _rewrite(folder, part, kept, about["text_encoder"]["width"])
        finish(folder, {**about, "texts": about["texts"] - dropped})
        yield f"encoded texts {folder.name}: {dropped} of {about['texts']} were of these tracks alone"


def finish(folder: Path, about: Mapping[str, Any]) -> None:
    """`sidecar.json`, last, with what each file holds."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("part-*"))}
    _write(folder / "sidecar.json", (json.dumps({**about, "format": FORMAT, "bytes": sizes}, indent=1) + "\n").encode())


def write_array(path: Path, array: NDArray[Any]) -> None:
    temporary = path.with_name(f".tmp-{path.name}.npy")
    np.save(temporary, array, allow_pickle=False)
    temporary.replace(path)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _open_part(folder: Path, part: int, width: int) -> tuple[Any, Any]:
    paths = part_paths(folder, part)
    index = np.load(paths["index.npy"], mmap_mode="r" if paths["index.npy"].stat().st_size > 1 << 16 else None)
    rows = paths["tokens"].stat().st_size // (2 * width)
    if not rows:
        return index, np.empty((0, width), np.float16)
    return index, np.memmap(paths["tokens"], dtype=np.float16, mode="r", shape=(rows, width))


def _rewrite(folder: Path, part: int, owners: NDArray[Any], width: int) -> int:
    """A part without the texts that nobody owns any longer; returns how many went."""
    paths = part_paths(folder, part)
    index, tokens = _open_part(folder, part, width)
    kept = np.array(index[np.isin(index["id"], owners["text"])])
    temporary, row = paths["tokens"].with_name(f".tmp-{paths['tokens'].name}"), 0
    with temporary.open("wb") as file:
        for entry in sorted(range(len(kept)), key=lambda i: int(kept["start"][i])):
            start, count = int(kept["start"][entry]), int(kept["count"][entry])
            file.write(np.asarray(tokens[start : start + count]).tobytes())
            kept["start"][entry], row = row, row + count
    gone = len(index) - len(kept)
    del index, tokens
    temporary.replace(paths["tokens"])
    write_array(paths["owners.npy"], owners)
    write_array(paths["index.npy"], kept)
    return gone


def track_hash(track: str) -> int:
    return hash_u64("track", track)


def text_id(text: str) -> int:
    return hash_u64("text", text)
