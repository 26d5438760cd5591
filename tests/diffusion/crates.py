"""Small crates, written in the format of the real ones, of music that a test can recognise."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.config import ClipsConfig
from pipeline.crate.crate import CLIPS, LABELS, Crate
from pipeline.crate.plan import Pour
from pipeline.crate.schema import audio_channels, audio_columns, clips_schema, labels_schema
from pipeline.crate.seals import write_sealed
from pipeline.crate.shards import ShardWriter, part_name, write_marker
from pipeline.records import EmbedderCard, ShardReport
from pipeline.storage import Storage

__all__ = ["make_crate", "tones"]

Sound = Callable[[int, float], NDArray[np.float32]]
"""(clip number, seconds) -> audio at 24 kHz: mono (T,), or (T, 2) for a stereo crate."""


def tones(clip: int, seconds: float) -> NDArray[np.float32]:
    """A chord whose pitch tells the clip's number, with a pulse and a little noise."""
    t = np.arange(round(24_000 * seconds)) / 24_000
    low = 110 * 2 ** (clip % 12 / 12)
    sound = sum(np.sin(2 * np.pi * low * k * t) / k for k in (1, 2, 3, 5, 16, 40))
    sound = 0.2 * sound * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t))
    return (sound + 0.005 * np.random.default_rng(clip).standard_normal(len(t))).astype(np.float32)


def make_crate(
    folder: Path,
    *,
    shards: int = 2,
    tracks: int = 2,
    clips: int = 2,
    clip_s: float = 1.0,
    sound: Sound = tones,
    words: Callable[[int], dict[str, Any]] | None = None,
    labels: str | None = "run",
    stereo: bool = False,
    about: Callable[[int], dict[str, Any]] = lambda clip: {},
) -> Path:
    """`tracks` per shard and `clips` per track; `words(clip)` gives long, short and metadata texts, `about(clip)` other
    columns of its row."""
    config = ClipsConfig(clip_s=clip_s, clips_per_track=clips, stereo=stereo)
    card = EmbedderCard(
        name="none", sample_rate_hz=24_000, window_s=1.0, dimension=4, text_limit_tokens=16, licence="", revision="",
        weights_hash="0",
    )  # fmt: skip
    storage = Storage(folder)
    pour = Pour(tracks=shards * tracks, shards=shards, hash="0")
    crate = Crate(storage=storage, config=config, embedder=card, embedder_source="none", pours=(pour,))
    crate.write_header()
    number = 0
    all_ids: list[list[tuple[int, str]]] = []
    for shard in range(shards):
        rows, ids = [], []
        for track in range(tracks):
            track_id = f"t{shard:03d}{track:03d}"
            for index in range(clips):
                rows.append(_clip_row(track_id, index, clip_s, sound(number, clip_s), config) | about(number))
                ids.append((number, rows[-1]["clip_id"]))
                number += 1
        schema = clips_schema(config, card.dimension)
        _write(crate, CLIPS, shard, schema, rows, crate.shard_hash(shard), media=list(audio_columns(config)))
        all_ids.append(ids)
    if labels:
        add_labels(crate, labels, all_ids, words or _words)
    return folder


def add_labels(crate: Crate, run: str, all_ids: list[list[tuple[int, str]]], words: Any) -> None:
    slots = {"llm_lf": "long", "rater_sf": "short"}
    for shard, ids in enumerate(all_ids):
        rows = []
        for number, clip_id in ids:
            said = words(number)
            rows.append(
                {
                    "clip_id": clip_id,
                    "metadata": said.get("metadata", []),
                    "llm_lf": [_label(text) for text in said.get("long", [])],
                    "rater_sf": [_label(text) for text in said.get("short", [])],
                }
            )
        schema = labels_schema(list(slots))
        _write(crate, f"{LABELS}/{run}", shard, schema, rows, crate.made_hash("labels", shard), media=[])
    said = {"profile": "noise2music", "run_hash": "labels", "drawn_by": "labels"}
    write_sealed(crate.storage, f"{LABELS}/{run}/run.json", said | {"covers": crate.covers, "slots": slots})


def _words(number: int) -> dict[str, Any]:
    return {
        "metadata": [f"track {number}"],
        "long": [f"slow piano {number}", "jazz music", "dark bass"],
        "short": ["warm", "loud"],
    }


def _label(text: str) -> dict[str, Any]:
    return {"caption_id": text, "text": text, "score": 0.5, "rank": 0, "count": 1, "probability": 1.0}


def _clip_row(track_id: str, index: int, clip_s: float, audio: NDArray[np.float32], config: ClipsConfig) -> Any:
    of = {column: audio.mean(1) if audio.ndim > count else audio for column, count in audio_channels(config).items()}
    columns = {
        column: {"bytes": _flac(of[column], rate), "path": "x.flac"} for column, rate in audio_columns(config).items()
    }
    clip_id = f"{track_id}-{index:04d}"
    return {
        "clip_id": clip_id, "track_id": track_id, "index": index, "start_s": index * clip_s, "duration_s": clip_s,
        "embedding": [0.0] * 4, "title": "", "artist": "", "tags": [], "licence": "", **columns,
    }  # fmt: skip


def _flac(audio: NDArray[np.float32], rate: int) -> bytes:
    if rate != 24_000:
        audio = soxr.resample(audio, 24_000, rate, quality="HQ")
    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _write(crate: Crate, folder: str, shard: int, schema: Any, rows: Any, run_hash: str, media: Any) -> None:
    storage, name = crate.storage, part_name(*crate.at(folder, shard))
    with storage.write(name) as file:
        writer = ShardWriter(file, schema, media=media)
        writer.add(rows)
        writer.close()
    report = ShardReport(shard=shard, rows=len(rows), seconds=0.0)
    write_marker(storage, *crate.at(folder, shard), report, run_hash=run_hash, files={name: file})
