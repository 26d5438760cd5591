"""The clips job's core: the tracks of one shard in, its clips and rejects on disk out.

Decoding, cutting, resampling, embedding, encoding and writing happen in this one step, so that audio never crosses a
shuffle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode_guard import DecodeFailure, GuardedDecoder
from pipeline.audio.embedding import AudioEmbedder, embed_clips
from pipeline.audio.flac import encode_flac, to_int16
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.left_out import write_rejects
from pipeline.crate.removed import read_removed
from pipeline.crate.schema import audio_columns, clips_schema
from pipeline.crate.shards import ShardWriter, write_marker
from pipeline.ids import clip_id
from pipeline.known import known_columns
from pipeline.records import CutClip, LeftOut, Reject, ShardReport, SourceInfo, Track
from pipeline.source.fetch import fetched

__all__ = ["EMBED_BATCH_CLIPS", "decoder_rates", "mine_shard"]

_LONGER_S = 5.0
"""Than its list says, before a file is a whole video; people cut a little more than the ten seconds."""

EMBED_BATCH_CLIPS = 4
"""Clips embedded at once: fixed, since it moves the last bits of an embedding."""

MusicScore = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(C, D) embeddings -> (C,): how much nearer each is to music than to other sounds."""
Beat = Callable[[dict[str, int]], None]
"""Told the counts so far after each track."""


def decoder_rates(crate: Crate) -> tuple[int, ...]:
    """Every rate that a clip is needed at: those that are written and the embedder's."""
    return tuple(dict.fromkeys((*crate.config.sample_rates_hz, crate.embedder.sample_rate_hz)))


def mine_shard(
    crate: Crate,
    index: int,
    *,
    embedder: AudioEmbedder,
    decoder: GuardedDecoder,
    beat: Beat,
    music: MusicScore | None = None,
) -> ShardReport:
    """Write the shard's clips and rejects, then its marker. The same bytes whoever runs it, and how often."""
    started = time.monotonic()
    shard = crate.plan(index)
    removed = read_removed(crate.storage) if crate.removed else []
    barred = frozenset(removal.source_sha256 for removal in removed if removal.source_sha256)
    counts: Counter[str] = Counter(tracks=0, tracks_rejected=0, clips=0, tracks_removed=len(shard.removed))
    rejects: list[Reject] = []
    with crate.storage.write(crate.clips_part(index)) as clips_file:
        schema = clips_schema(crate.config, crate.embedder.dimension)
        writer = ShardWriter(clips_file, schema, media=audio_columns(crate.config))
        batch = _EmbedBatch(crate, embedder, writer, rejects, music)
        decoder.on_decoded = lambda seconds: beat({**counts, "clips": batch.seen, "seconds_decoded": int(seconds)})
        beat({**counts})
        for track in shard.tracks:
            before, seen = len(rejects), batch.seen
            for row in _track_rows(crate, track, decoder, rejects, barred):
                batch.add(row)
                beat({**counts, "clips": batch.seen})
            counts["tracks"] += 1
            if batch.seen == seen:
                counts["tracks_rejected"] += 1
                counts.update(f"rejected-track:{reason}" for reason in {r.reason for r in rejects[before:]})
            counts.update(f"{r.level}:{r.reason}" for r in rejects[before:])
            beat({**counts, "clips": batch.seen})
        before = len(rejects)
        batch.flush()
        counts.update(f"{r.level}:{r.reason}" for r in rejects[before:])
        writer.close()
    with crate.storage.write(crate.rejects_part(index)) as rejects_file:
        write_rejects(rejects_file, rejects)
    counts["clips"] = writer.rows
    report = ShardReport(
        shard=index,
        rows=writer.rows,
        seconds=round(time.monotonic() - started, 3),
        counts=dict(sorted(counts.items())),
    )
    files = {crate.clips_part(index): clips_file, crate.rejects_part(index): rejects_file}
    write_marker(crate.storage, *crate.at(CLIPS, index), report, run_hash=crate.shard_hash(index), files=files)
    return report


def _track_rows(
    crate: Crate, track: Track, decoder: GuardedDecoder, rejects: list[Reject], barred: frozenset[str]
) -> Iterator[tuple[dict[str, Any], CutClip]]:
    """The rows of a track's clips, without embedding; what is left out goes to `rejects`.

    barred: sha256 of files that were taken down from the crate.
    """
    written = 0

    def reject(stage: str, reason: str, detail: str, piece: LeftOut | None = None) -> None:
        rejects.append(
            Reject(
                track_id=track.track_id,
                key=track.key,
                level="clip" if piece or written else "track",
                stage=stage,
                reason=reason,
                detail=detail,
                index=piece.index if piece else written or None,
                start_s=piece.start_s if piece else None,
                duration_s=piece.duration_s if piece else None,
            )
        )

    try:
        with fetched(track.path) as (local_path, sha256, size):
            if sha256 in barred:
                raise DecodeFailure("removed", "these bytes were taken down from this crate", stage="takedown")
            info, pieces = decoder.cut(local_path)
            _refuse_whole_video(track, info)
            shared = _shared_columns(track, info, sha256, size)
            for piece in pieces:
                if isinstance(piece, LeftOut):
                    reject("cut" if piece.reason == "too-short" else "quality", piece.reason, piece.detail, piece)
                else:
                    written += 1
                    yield _clip_row(crate, track, piece) | shared, piece
    except DecodeFailure as failure:
        reject(failure.stage, failure.reason, failure.detail)


def _refuse_whole_video(track: Track, info: SourceInfo) -> None:
    """A list of AudioSet's clips (`cratedig mulamcap`) says which seconds of a video are meant: a file that is much
    longer is not cut to them, and its labels are of another moment. Raises DecodeFailure."""
    listed = dict(track.extra)
    try:
        start_s, end_s = float(listed["audioset_start_s"]), float(listed["audioset_end_s"])
    except (KeyError, ValueError):
        return
    if info.duration_s > end_s - start_s + _LONGER_S:
        detail = f"{info.duration_s:.1f} s, the list means {start_s:g} to {end_s:g} s of the video; cut that out of it"
        raise DecodeFailure("whole-video", detail, stage="cut")


def _clip_row(crate: Crate, track: Track, clip: CutClip) -> dict[str, Any]:
    identity = clip_id(track.track_id, clip.start_s)
    audio = {}
    for name, rate in audio_columns(crate.config).items():
        samples = clip.stereo_TC if name == "audio" and clip.stereo_TC is not None else clip.audio[rate]
        audio[name] = {"bytes": encode_flac(samples, rate), "path": f"{identity}-{rate}.flac"}
    stereo = {}
    if clip.stereo_TC is not None:
        left_T, right_T = to_int16(clip.stereo_TC).T
        stereo = {"channels": 1 if np.array_equal(left_T, right_T) else 2}
    return {
        "clip_id": identity,
        "track_id": track.track_id,
        "index": clip.index,
        "start_s": clip.start_s,
        "duration_s": clip.duration_s,
        **audio,
        **asdict(clip.quality),
        **stereo,
    }


def _shared_columns(track: Track, info: SourceInfo, sha256: str, size: int) -> dict[str, Any]:
    facts = asdict(info)
    tags = dict(facts.pop("tags"))
    return {
        **known_columns(track, tags),
        "source_key": track.key,
        "source_sha256": sha256,
        "source_bytes": size,
        **{f"source_{name}": value for name, value in facts.items()},
    }


class _EmbedBatch:
    """Gathers clips until a batch is full, embeds them, and hands finished rows to the writer in order."""

    def __init__(
        self,
        crate: Crate,
        embedder: AudioEmbedder,
        writer: ShardWriter,
        rejects: list[Reject],
        music: MusicScore | None,
    ) -> None:
        self._crate, self._embedder, self._writer, self._rejects = crate, embedder, writer, rejects
        self._music = music
        self._waiting: list[tuple[dict[str, Any], CutClip]] = []
        self.seen = 0

    def add(self, row: tuple[dict[str, Any], CutClip]) -> None:
        self.seen += 1
        self._waiting.append(row)
        if len(self._waiting) == EMBED_BATCH_CLIPS:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        rate = self._crate.embedder.sample_rate_hz
        embedding_CD = embed_clips(
            [clip.audio[rate] for _, clip in self._waiting],
            [clip.duration_s for _, clip in self._waiting],
            clip_s=self._crate.config.clip_s,
            batch=EMBED_BATCH_CLIPS,
            embedder=self._embedder,
        )
        scores = self._music(embedding_CD).tolist() if self._music else [None] * len(embedding_CD)
        least = self._crate.config.min_music
        for (row, clip), embedding_D, score in zip(self._waiting, embedding_CD, scores, strict=True):
            if not np.isfinite(embedding_D).all():
                self._rejects.append(_not_embedded(row, clip, "not-finite", "the embedder gave NaN or infinity"))
            elif least is not None and score is not None and score < least:
                detail = f"music score {score:.4f}, at least {least:g} wanted"
                self._rejects.append(_not_embedded(row, clip, "not-music", detail))
            else:
                self._writer.add([row | {"embedding": embedding_D.tolist(), "music_score": score}])
        self._waiting.clear()


def _not_embedded(row: dict[str, Any], clip: CutClip, reason: str, detail: str) -> Reject:
    return Reject(
        track_id=row["track_id"],
        key=row["source_key"],
        level="clip",
        stage="embed",
        reason=reason,
        detail=detail,
        index=clip.index,
        start_s=clip.start_s,
        duration_s=clip.duration_s,
    )
