"""The export job's core: one shard of a crate in, its examples in the wanted layout and a marker out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from pipeline.audio.decode_guard import DecodeFailure, GuardedDecoder
from pipeline.audio.pieces import WHOLE
from pipeline.crate.crate import Crate, read_run
from pipeline.crate.dataset import ClipRow, shard_rows
from pipeline.crate.schema import audio_channels, audio_columns
from pipeline.crate.shards import read_marker, write_marker
from pipeline.errors import BadInput
from pipeline.export.encode import encode, from_column
from pipeline.export.example import Example
from pipeline.export.layouts.layout import Layout, Row
from pipeline.export.select import select
from pipeline.export.spec import ExportSpec
from pipeline.export.texts import Slots, choose_texts, join_texts
from pipeline.export.tokens.tokenizer import Tokenizer
from pipeline.records import ShardReport
from pipeline.source.fetch import fetched
from pipeline.source.licence import spdx
from pipeline.storage import Storage

__all__ = ["SHARDS", "Exporter", "examples_of", "export_shard", "selected"]

SHARDS = "shards"
"""Folder of an export that holds its markers."""
_COLUMNS = (
    "clip_id track_id start_s duration_s title artist album isrc tags licence extra source_key source_sha256 "
    "source_duration_s source_sample_rate_hz source_channels"
).split()

Beat = Callable[[dict[str, int]], None]


@dataclass(kw_only=True)
class Exporter:
    """What a process needs to export shards: the crate, the choices, a decoder where sources are read again."""

    crate: Crate
    spec: ExportSpec
    out: Storage
    layout: Layout
    missing_sources: str = "stop"
    """`stop`: a source that is gone or changed ends the run; `drop`: its clips are left out and counted."""
    tokenizer: Tokenizer | None = None
    slots: Slots = field(init=False)
    decoder: GuardedDecoder | None = None

    def __post_init__(self) -> None:
        run = read_run(self.crate, self.spec.labels)
        self.slots = Slots.of_run(run, self.spec.labels, self.spec.text_slots)

    @property
    def from_source(self) -> bool:
        return self.spec.audio == "source" and self.spec.layout != "captions"

    def close(self) -> None:
        if self.decoder is not None:
            self.decoder.close()
            self.decoder = None


def export_shard(exporter: Exporter, index: int, at: tuple[str, int, int], run_hash: str, *, beat: Beat) -> ShardReport:
    """Write one shard's examples, then its marker, which lies `at`. The same bytes whoever does it, and how often."""
    started = time.monotonic()
    counts: Counter[str] = Counter({"clips": 0, "clips-in": 0})

    def counted() -> Iterator[Example]:
        for example in examples_of(exporter, index, counts):
            if exporter.tokenizer is not None:
                example = replace(example, tokens=exporter.tokenizer.encode(example.sound.data))
            seconds = example.audio.seconds if example.audio is not None else example.duration_s
            Row.of(example.__dict__, example.split, seconds).count(counts, exporter.spec)
            beat({"clips": counts["clips"]})
            yield example

    before = read_marker(exporter.out, *at) or {"files": {}}
    files = exporter.layout.write(exporter.out, exporter.spec, index, counted())
    for name in sorted(set(before["files"]) - set(files)):  # of clips that are in the crate no more
        exporter.out.remove(name)
    report = ShardReport(
        shard=index,
        rows=counts["clips"],
        seconds=round(time.monotonic() - started, 3),
        counts=dict(sorted(counts.items())),
    )
    write_marker(exporter.out, *at, report, run_hash=run_hash, files=files)
    return report


def selected(
    exporter: Exporter, index: int, counts: Counter[str], *, audio: bool = False
) -> Iterator[tuple[Example, ClipRow]]:
    """The clips of a shard that are taken, each with its row; what is left out is counted by reason.

    audio: read the crate's audio column as well.
    """
    crate, spec = exporter.crate, exporter.spec
    tracks = [track.track_id for track in crate.plan(index).tracks]
    chosen = select(crate, spec, tracks)
    columns = list(_COLUMNS)
    if audio:
        columns.append(f"{spec.audio}.bytes")
    if spec.with_embeddings:
        columns.append("embedding")
    for row in shard_rows(crate, index, spec.labels, columns=columns):
        counts["clips-in"] += 1
        why = chosen.why_not(row.clip["track_id"], row.clip["licence"])
        texts = choose_texts(row.labels, exporter.slots, spec.text_slots, spec.redact)
        if not why and not texts.captions:
            why = "no-text"
        if why:
            counts[f"dropped:{why}"] += 1
            continue
        captions, scores = texts.captions, texts.scores
        if spec.captions == "one":
            captions, scores = captions[:1], scores[:1]
        elif spec.captions == "joined":
            captions, scores = (join_texts(captions, texts.keywords),), ()
        yield _example(spec, row.clip, chosen.split_of[row.clip["track_id"]], captions, scores, texts.keywords), row


def _example(
    spec: ExportSpec,
    clip: dict[str, Any],
    split: str,
    captions: tuple[str, ...],
    scores: tuple[float, ...],
    keywords: tuple[str, ...],
) -> Example:
    hidden = set(spec.redact)
    if hidden & {"title", "artist", "album"}:
        hidden.add("source")  # a file's name mostly says both

    def said(name: str, column: str = "") -> str:
        return "" if name in hidden else str(clip.get(column or name) or "")

    return Example(
        id=clip["clip_id"],
        track_id=clip["track_id"],
        split=split,
        text=captions[0],
        captions=captions,
        keywords=keywords,
        tags=() if "tags" in hidden else tuple(clip["tags"] or ()),
        title=said("title"),
        artist=said("artist"),
        album=said("album"),
        isrc=said("isrc"),
        bpm=_bpm(clip["extra"]),
        key=_extra(clip["extra"], ("key", "initialkey", "initial_key", "musical_key")),
        licence=spdx(clip["licence"]) or str(clip["licence"] or ""),
        source=said("source", "source_key"),
        source_sha256=clip["source_sha256"],
        start_s=float(clip["start_s"]),
        duration_s=float(clip["duration_s"]),
        track_duration_s=float(clip["source_duration_s"]),
        source_rate_hz=int(clip["source_sample_rate_hz"]),
        source_channels=int(clip["source_channels"]),
        scores=scores,
        embedding=clip.get("embedding"),
    )


def _extra(pairs: Sequence[Mapping[str, str]], names: Sequence[str]) -> str:
    """The first of the further columns or tags that has one of these names."""
    return next((pair["value"] for pair in pairs or () if pair["name"].casefold() in names), "")


def _bpm(pairs: Sequence[Mapping[str, str]]) -> float:
    try:
        beats = float(_extra(pairs, ("bpm", "tempo", "tbpm")))
    except ValueError:
        return 0.0
    return beats if 20 <= beats <= 400 else 0.0


def examples_of(exporter: Exporter, index: int, counts: Counter[str]) -> Iterator[Example]:
    """The examples of a shard with their audio; `counts` is told what was read, joined and left out."""
    spec, crate = exporter.spec, exporter.crate
    rows = selected(exporter, index, counts, audio=exporter.layout.has_audio and not exporter.from_source)
    if exporter.from_source:
        yield from _from_sources(exporter, index, rows, counts)
    elif not exporter.layout.has_audio:
        yield from (_whole_tracks(rows, counts) if spec.whole_tracks else (example for example, _ in rows))
    else:
        column_hz = audio_columns(crate.config)[spec.audio]
        column = column_hz, audio_channels(crate.config)[spec.audio]
        samples = round(column_hz * crate.config.clip_s)
        for example, row in rows:
            flac = row.clip[spec.audio]["bytes"]
            yield example.with_audio(from_column(flac, column, spec.rate_hz, spec.channels, spec.codec, samples))


def _whole_tracks(rows: Iterator[tuple[Example, ClipRow]], counts: Counter[str]) -> Iterator[Example]:
    for _, group in groupby(rows, key=lambda pair: pair[0].track_id):
        clips = [example for example, _ in group]
        counts["clips-joined"] += len(clips) - 1
        yield _of_track(clips)


def _of_track(clips: list[Example]) -> Example:
    """One example of a whole track: all that is said of its clips, each sentence once."""
    first = clips[0]
    captions = tuple(dict.fromkeys(caption for clip in clips for caption in clip.captions))
    fields = {**first.__dict__, "id": first.track_id, "captions": captions, "scores": (), "embedding": None}
    keywords = tuple(dict.fromkeys(word for clip in clips for word in clip.keywords))
    return Example(**{**fields, "keywords": keywords, "start_s": 0.0, "duration_s": first.track_duration_s})


def _from_sources(
    exporter: Exporter, index: int, rows: Iterator[tuple[Example, ClipRow]], counts: Counter[str]
) -> Iterator[Example]:
    """Track by track: the source is fetched, compared with the hash that it had, and cut where the clips lie."""
    spec, crate = exporter.spec, exporter.crate
    exporter.decoder = exporter.decoder or GuardedDecoder(crate.config, ())
    paths = {t.track_id: (t.key, t.path) for t in crate.plan(index).tracks}
    samples = round(spec.rate_hz * crate.config.clip_s)
    for track, group in groupby(rows, key=lambda pair: pair[0].track_id):
        clips = [example for example, _ in group]
        counts["clips-joined"] += len(clips) - 1 if spec.whole_tracks else 0
        wanted = [_of_track(clips)] if spec.whole_tracks else clips
        places = [WHOLE] if spec.whole_tracks else [(clip.start_s, clip.duration_s) for clip in clips]
        key, path = paths[track]
        given = 0
        try:
            with fetched(path) as (local_path, sha256, _):
                if sha256 != clips[0].source_sha256:
                    raise DecodeFailure("source-changed", "its bytes are not those that the crate was mined from")
                _, found = exporter.decoder.excerpts(local_path, places, channels=spec.channels, rate_hz=spec.rate_hz)
                for example, samples_TC in zip(wanted, found, strict=True):
                    if not spec.whole_tracks and len(samples_TC) < samples:
                        samples_TC = _padded(samples_TC, samples)
                    audio = encode(samples_TC if spec.whole_tracks else samples_TC[:samples], spec.rate_hz, spec.codec)
                    given += 1
                    yield example.with_audio(audio)
        except DecodeFailure as failure:
            if exporter.missing_sources == "stop":
                raise BadInput(
                    f"source {key} of track {track} cannot be cut again ({failure.reason}: {failure.detail}; looked "
                    f"for at {path}); put it back, say where the music lies now: cratedig plan INPUT --out "
                    f"{crate.storage.url}, leave its clips out: --drop-missing, or take the crate's: --audio audio"
                ) from failure
            if spec.whole_tracks:
                counts["clips-joined"] -= len(clips) - 1
            counts[f"dropped:source-{failure.reason.removeprefix('source-')}"] += len(clips) - given


def _padded(samples_TC: Any, samples: int) -> Any:
    import numpy as np

    return np.pad(samples_TC, ((0, samples - len(samples_TC)), (0, 0)))
