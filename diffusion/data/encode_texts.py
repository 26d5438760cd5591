"""A sidecar made by all ranks: the distinct texts of a crate gathered, then encoded in batches of like length.

    .tmp-NAME-HASH/gather-0003.arrow    the texts of some shards with their tracks, by id       (phase 1)
    .tmp-NAME-HASH/part-0007.*          the texts of a range of ids, encoded                    (phase 2)

Each file is written whole or not at all, and what is there is not made again: the same command goes on after a kill.
The files are dealt to ranks by their number; ranks need one folder that they all see. What a sidecar holds depends
neither on the number of ranks nor on what was interrupted: batches have one shape for each length.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from diffusion.data.crate_data import CrateClips
from diffusion.data.sidecar import INDEX, OWNERS, finish, part_paths, text_id, track_hash, write_array
from diffusion.data.text_batch import text_batch
from diffusion.data.text_encoder import TextEncoder
from pipeline.crate.crate import Crate
from pipeline.ids import content_hash

__all__ = ["encode_texts", "pours_hash"]

_UNITS = 256
"""Files of gathered texts, at most."""
_PART_TEXTS = 32_768
"""Texts of a part, about."""
_SAY_S, _LOOK_S = 10.0, 0.5
_GATHERED = pa.schema([("id", pa.uint64()), ("text", pa.string()), ("tracks", pa.list_(pa.uint64()))])


def encode_texts(
    folder: Path,
    clips: CrateClips,
    encoder: TextEncoder,
    limit: int,
    *,
    rank: int = 0,
    ranks: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Make `folder`, or wait until the other ranks have; returns how many distinct texts it holds."""
    identity = {
        "text_encoder": encoder.card.as_dict(), "token_limit": limit, "labels_hash": clips.labels_hash,
        "pours_hash": pours_hash(clips.crate), "part_texts": _PART_TEXTS,
    }  # fmt: skip
    work = folder.with_name(f".tmp-{folder.name}-{content_hash(identity)[:12]}")
    work.mkdir(parents=True, exist_ok=True)
    progress = _Progress(say)

    def finished() -> bool:
        return _made_for(folder) == identity

    shards = list(clips.crate.shards)
    units = [unit.tolist() for unit in np.array_split(np.array(shards), min(len(shards), _UNITS))]
    gathered = [work / f"gather-{u:04d}.arrow" for u in range(len(units))]
    for u in range(rank, len(units), ranks):
        if not gathered[u].exists():
            _gather(gathered[u], clips, units[u], encoder, limit)
        progress.say(f"texts gathered: {u + 1} of {len(units)} groups of shards")
    if not _wait(gathered, finished, progress):
        return _count(folder)
    rows = sum(_rows(path).num_rows for path in gathered)
    parts = 1 << max(0, (rows // _PART_TEXTS).bit_length())
    indexes = [part_paths(work, part)["index.npy"] for part in range(parts)]
    for part in range(rank, parts, ranks):
        if not indexes[part].exists():
            _encode(work, part, parts, gathered, encoder, limit, progress)
    if not _wait(indexes, finished, progress):
        return _count(folder)
    if rank:
        while not finished():
            time.sleep(_LOOK_S)
        return _count(folder)
    for path in gathered:
        path.unlink()
    texts = sum(len(np.load(path, mmap_mode="r")) for path in indexes)
    finish(work, {**identity, "parts": parts, "texts": texts})
    shutil.rmtree(folder, ignore_errors=True)  # of other labels, or another format
    work.rename(folder)
    for left in folder.parent.glob(f".tmp-{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return texts


def pours_hash(crate: Crate) -> str:
    """Of what was poured into the crate: new music brings new texts, a takedown takes its own along (`drop_tracks`)."""
    return content_hash([crate.base_hash, [pour.hash for pour in crate.pours]])


def _gather(path: Path, clips: CrateClips, shards: list[int], encoder: TextEncoder, limit: int) -> None:
    """Each distinct text of some shards, with the hashes of its tracks."""
    texts: dict[int, str] = {}
    tracks: defaultdict[int, set[int]] = defaultdict(set)
    for track, known in clips.all_texts(shards):
        for text in text_batch(known, encoder.token_ends, limit):
            key = text_id(text)
            texts[key] = text
            tracks[key].add(track_hash(track))
    ids = sorted(texts)
    table = pa.table([ids, [texts[i] for i in ids], [sorted(tracks[i]) for i in ids]], schema=_GATHERED)
    temporary = path.with_name(f".tmp-{path.name}")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, _GATHERED) as writer:
        writer.write_table(table)
    temporary.replace(path)


def _encode(
    work: Path, part: int, parts: int, gathered: list[Path], encoder: TextEncoder, limit: int, progress: _Progress
) -> None:
    texts: dict[int, str] = {}
    owners: set[tuple[int, int]] = set()
    low, high = (part << 64) // parts, ((part + 1) << 64) // parts
    for path in gathered:
        table = _rows(path)
        ids = table.column("id").to_numpy()
        first = int(np.searchsorted(ids, np.uint64(low)))
        last = len(ids) if high == 1 << 64 else int(np.searchsorted(ids, np.uint64(high)))
        for row in table.slice(first, last - first).to_pylist():
            texts[row["id"]] = row["text"]
            owners.update((row["id"], track) for track in row["tracks"])
    ids = sorted(texts)
    paths = part_paths(work, part)
    index = np.zeros(len(ids), INDEX)
    index["id"] = ids
    temporary, start = paths["tokens"].with_name(f".tmp-{paths['tokens'].name}"), 0
    with temporary.open("wb") as file:
        for done, (place, tokens) in enumerate(encoder.encode_many([texts[i] for i in ids], limit)):
            file.write(tokens.tobytes())
            index["start"][place], index["count"][place] = start, len(tokens)
            start += len(tokens)
            progress.say(f"texts encoded: {done + 1} of {len(ids)} of part {part + 1} of {parts}")
    temporary.replace(paths["tokens"])
    write_array(paths["owners.npy"], np.array(sorted(owners), OWNERS))
    write_array(paths["index.npy"], index)


def _rows(path: Path) -> Any:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _wait(paths: list[Path], finished: Callable[[], bool], progress: _Progress) -> bool:
    """Until the other ranks have written theirs; false where they have finished all meanwhile."""
    missing = list(paths)
    while missing:
        missing = [path for path in missing if not path.exists()]
        if missing and finished():
            return False
        if missing:
            progress.say(f"waiting for other ranks: {len(missing)} of {len(paths)} files, {missing[0].name} first")
            time.sleep(_LOOK_S)
    return True


def _made_for(folder: Path) -> dict[str, Any]:
    """The identity of what stands; empty where nothing does."""
    try:
        about = json.loads((folder / "sidecar.json").read_text(encoding="utf-8"))
        return {k: about[k] for k in ("text_encoder", "token_limit", "labels_hash", "pours_hash", "part_texts")}
    except (OSError, ValueError, KeyError):
        return {}


def _count(folder: Path) -> int:
    return int(json.loads((folder / "sidecar.json").read_text(encoding="utf-8"))["texts"])


class _Progress:
    """A line every ten seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last = say, time.monotonic()

    def say(self, line: str) -> None:
        if time.monotonic() - self._last >= _SAY_S:
            self._last = time.monotonic()
            self._say(line)
