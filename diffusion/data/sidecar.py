"""Encoded texts beside a crate, so that a large text encoder is not in the training loop.

A folder: `tokens.bin` (float16 rows of the encoder's width, text after text), `index.safetensors` (for each text, in
order of its id: id, first row, rows) and `sidecar.json`, which is written last.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffusion.data.text_encoder import TextEncoder, TextEncoderCard
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from pipeline.storage import Storage

__all__ = ["Sidecar", "sidecar_folder", "write_sidecar"]


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
    texts: Iterable[str],
    encoder: TextEncoder,
    limit: int,
    *,
    on_text: Callable[[int], None] = lambda _: None,
) -> int:
    """Encode each distinct text once; returns how many those are. An unfinished sidecar is started again."""
    from safetensors.numpy import save_file

    if folder.exists():
        shutil.rmtree(folder)
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    starts: dict[int, tuple[int, int]] = {}
    row = 0
    with (temporary / "tokens.bin").open("wb") as file:
        for text in texts:
            key = _text_id(text)
            if key in starts:
                continue
            tokens = encoder.encode(text, limit)
            file.write(tokens.tobytes())
            starts[key] = (row, len(tokens))
            row += len(tokens)
            on_text(len(starts))
    ids = np.array(sorted(starts), dtype=np.uint64)
    places = np.array([starts[int(i)] for i in ids], dtype=np.int64).reshape(-1, 2)
    save_file(
        {"ids": ids, "starts": places[:, 0].copy(), "counts": places[:, 1].copy()}, temporary / "index.safetensors"
    )
    about = {"text_encoder": encoder.card.as_dict(), "token_limit": limit, "texts": len(ids), "tokens": row}
    (temporary / "sidecar.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.rename(folder)
    return len(ids)


def _text_id(text: str) -> int:
    return hash_u64("text", text)
