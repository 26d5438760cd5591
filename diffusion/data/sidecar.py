"""Encoded texts beside a crate, so that a large text encoder is not in the training loop.

A folder: `tokens.bin` (float16 rows of the encoder's width, text after text), `index.safetensors` (for each text, in
order of its id: id, first row, rows, and hashes of the tracks that it is of) and `sidecar.json`, which is written last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion.data.text_encoder import TextEncoder, TextEncoderCard
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from pipeline.storage import Storage

__all__ = ["Sidecar", "drop_tracks", "sidecar_folder", "write_sidecar"]


def sidecar_folder(crate: Path, labels: str, card: TextEncoderCard, limit: int) -> Path:
    """Where the texts of a label run lie once they are encoded."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", card.name).strip("-")
    return crate / "text" / f"{labels}-{name}-{card.width}x{limit}"


class Sidecar:
    """Encoded texts, memory-mapped."""

    def __init__(self, folder: Path, card: TextEncoderCard, limit: int) -> None:
        from safetensors.numpy import load_file

        storage = Storage(folder)
        if not storage.exists("sidecar.json"):
            raise BadInput(f"{folder} has no finished sidecar; make it again: cratedig train ... --encode-text")
        about = storage.read_json("sidecar.json")
        card.refuse_other(about["text_encoder"], str(folder))
        if about["token_limit"] != limit:
            raise BadInput(f"{folder} holds texts of up to {about['token_limit']} tokens, the stage takes {limit}")
        index = load_file(folder / "index.safetensors")
        self.folder = folder
        self._ids = index["ids"]
        self._starts, self._counts = index["starts"], index["counts"]
        rows = int(self._counts.sum())
        size = (folder / "tokens.bin").stat().st_size
        if size != rows * card.width * 2:
            raise BadInput(
                f"{folder}/tokens.bin has {size} bytes, its index needs {rows * card.width * 2}; make it again"
            )
        self._tokens = np.memmap(folder / "tokens.bin", dtype=np.float16, mode="r", shape=(rows, card.width))

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, text: str) -> NDArray[np.float16] | None:
        """The text's tokens, or None where it was not encoded."""
        wanted = np.uint64(_text_id(text))
        at = int(np.searchsorted(self._ids, wanted))
        if at == len(self._ids) or self._ids[at] != wanted:
            return None
        start = int(self._starts[at])
        return np.asarray(self._tokens[start : start + int(self._counts[at])])


def write_sidecar(
    folder: Path,
    texts: Iterable[tuple[str, str]],
    encoder: TextEncoder,
    limit: int,
    *,
    on_text: Callable[[int], None] = lambda _: None,
) -> int:
    """Encode each distinct text once; returns how many those are. An unfinished sidecar is started again.

    texts: (track id, text), so that a text goes when its tracks are taken down.
    """
    if folder.exists():
        shutil.rmtree(folder)
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    starts: dict[int, tuple[int, int]] = {}
    owners: dict[int, set[int]] = {}
    row = 0
    with (temporary / "tokens.bin").open("wb") as file:
        for track, text in texts:
            key = _text_id(text)
            owners.setdefault(key, set()).add(_track_hash(track))
            if key in starts:
                continue
            tokens = encoder.encode(text, limit)
            file.write(tokens.tobytes())
            starts[key] = (row, len(tokens))
            row += len(tokens)
            on_text(len(starts))
    about = {"text_encoder": encoder.card.as_dict(), "token_limit": limit, "texts": len(starts), "tokens": row}
    _finish(folder, temporary, starts, owners, about)
    return len(starts)


def _finish(
    folder: Path, temporary: Path, starts: dict[int, tuple[int, int]], owners: dict[int, set[int]], about: Any
) -> None:
    from safetensors.numpy import save_file

    ids = sorted(starts)
    places = np.array([starts[i] for i in ids], dtype=np.int64).reshape(-1, 2)
    index = {
        "ids": np.array(ids, dtype=np.uint64),
        "starts": places[:, 0].copy(),
        "counts": places[:, 1].copy(),
        "owners": np.array([owner for i in ids for owner in sorted(owners[i])], dtype=np.uint64),
        "owner_counts": np.array([len(owners[i]) for i in ids], dtype=np.int64),
    }
    save_file(index, temporary / "index.safetensors")
    (temporary / "sidecar.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def drop_tracks(text_folder: str | os.PathLike[str], tracks: Iterable[str]) -> Iterator[str]:
    """Take texts that only those tracks had out of all sidecars of a crate; says what was done to each.

    A kill in between loses at most a sidecar, which `--encode-text` makes again.
    """
    from safetensors.numpy import load_file

    gone = {_track_hash(track) for track in tracks}
    for folder in sorted(path.parent for path in Path(text_folder).glob("*/sidecar.json")):
        index = load_file(folder / "index.safetensors")
        bounds = np.concatenate([[0], np.cumsum(index["owner_counts"])])
        owners = {
            int(text): {int(owner) for owner in index["owners"][bounds[i] : bounds[i + 1]]}
            for i, text in enumerate(index["ids"])
        }
        if all(gone.isdisjoint(who) for who in owners.values()):
            continue
        about = json.loads((folder / "sidecar.json").read_text(encoding="utf-8"))
        width = about["text_encoder"]["width"]
        tokens = np.memmap(folder / "tokens.bin", dtype=np.float16, mode="r", shape=(about["tokens"], width))
        temporary = folder.with_name(f".tmp-{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        starts, row = dict[int, tuple[int, int]](), 0
        with (temporary / "tokens.bin").open("wb") as file:
            for text, start, count in sorted(
                zip(*(index[n].tolist() for n in ("ids", "starts", "counts")), strict=True), key=lambda x: x[1]
            ):
                if owners[text] - gone:
                    file.write(np.asarray(tokens[start : start + count]).tobytes())
                    starts[text], row = (row, count), row + count
        left = {text: owners[text] - gone for text in starts}
        _finish(folder, temporary, starts, left, about | {"texts": len(starts), "tokens": row})
        yield f"encoded texts {folder.name}: {len(owners) - len(starts)} of {len(owners)} were of these tracks alone"


def _track_hash(track: str) -> int:
    return hash_u64("track", track)


def _text_id(text: str) -> int:
    return hash_u64("text", text)
