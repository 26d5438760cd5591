"""What is compared: the clips of a crate (or of one side of its split), or of audio files, shard by shard.

T samples, mono.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio.decode_guard import GuardedDecoder
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.dataset import shard_rows
from pipeline.crate.schema import audio_columns
from pipeline.curation.tables import find_split, split_of
from pipeline.errors import BadInput, DecodeFailure
from pipeline.ids import clip_id, content_hash, hash_u64, track_id
from pipeline.records import EmbedderCard, LeftOut
from pipeline.remote import file_system, is_local
from pipeline.source.fetch import fetched
from pipeline.source.listing import list_input
from pipeline.source.parquet import INSIDE

__all__ = [
    "ClipSet",
    "CrateSet",
    "FileSet",
    "LeftOutClip",
    "SetClip",
    "chosen_by_hash",
    "file_entry",
    "files_config",
    "open_set",
    "set_from",
]

_FILES_PER_SHARD = 16
_ALL = 1_000_000
"""Clips of a file: as many as there are."""
_LEAST_S = 0.5


@dataclass(frozen=True, kw_only=True)
class SetClip:
    """One clip of a set, as its encoder hears it."""

    clip_id: str
    track_id: str
    key: str
    """The file that it is from."""
    start_s: float
    duration_s: float
    source_rate_hz: int
    audio_T: NDArray[np.float32]
    """At the rate that was asked for, no longer than `duration_s`; empty where the crate's own embedding stands."""
    embedding_D: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOutClip:
    """A file or a piece of one that is not in the set, and why."""

    key: str
    reason: str
    detail: str
    level: str = "clip"
    """`clip`, or `track` for a whole file."""


class ClipSet(Protocol):
    """Clips in shards; described by JSON, so that a worker elsewhere opens the same."""

    name: str
    embedder: EmbedderCard | None
    """What chose its captions, where it is a crate."""

    @property
    def shard_count(self) -> int: ...

    def shard_hash(self, shard: int) -> str:
        """Of everything that determines the shard's clips."""
        ...

    def describe(self) -> dict[str, Any]: ...

    def clips(self, shard: int, rate_hz: int, *, through_hz: int = 0, stored: bool = False) -> Iterator[Any]:
        """SetClip and LeftOutClip in a fixed order.

        through_hz: sounds are brought to this rate first, so that sets of other rates are heard alike. stored: hand out
        the crate's embeddings and no audio.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CrateSet(ClipSet):
    """The clips of a crate, or those whose tracks are on one side of a split."""

    name: str
    crate: Crate
    split: str = ""
    part: str = ""
    share: float = 1.0
    """Of the clips, chosen by a hash of their ids."""
    embedder: EmbedderCard | None = None
    _tracks: dict[str, str] = field(default_factory=dict)
    _table: str = ""
    """sha256 of the split's table."""

    @property
    def shard_count(self) -> int:
        return len(self.crate.shards)

    def shard_hash(self, shard: int) -> str:
        state = [self.crate.shard_hash(shard), self.crate.removed_sha256]
        return content_hash([*state, self._table and [self._table, self.part], self.share])

    def describe(self) -> dict[str, Any]:
        return {"kind": "crate", "root": self.crate.storage.url, "split": self.split, "part": self.part,
                "share": self.share}  # fmt: skip

    def clips(self, shard: int, rate_hz: int, *, through_hz: int = 0, stored: bool = False) -> Iterator[Any]:
        column = _column(self.crate.config, through_hz or rate_hz)
        names = ["track_id", "source_key", "start_s", "duration_s", "source_sample_rate_hz"]
        for row in shard_rows(self.crate, shard, columns=[*names, "embedding" if stored else column]):
            clip = row.clip
            if not chosen_by_hash(clip["clip_id"], self.share):
                continue
            if self.split and self._tracks.get(clip["track_id"]) != self.part:
                continue
            audio_T = np.zeros(0, np.float32)
            if not stored:
                samples_T, rate = row.audio(column)
                audio_T = _at_rate(samples_T[: round(clip["duration_s"] * rate)], rate, through_hz, rate_hz)
            yield SetClip(
                clip_id=clip["clip_id"],
                track_id=clip["track_id"],
                key=clip["source_key"],
                start_s=clip["start_s"],
                duration_s=clip["duration_s"],
                source_rate_hz=clip["source_sample_rate_hz"] if stored else min(rate, clip["source_sample_rate_hz"]),
                audio_T=audio_T,
                embedding_D=np.asarray(clip["embedding"], np.float32) if stored else None,
            )


def _column(config: ClipsConfig, rate_hz: int) -> str:
    """The crate's audio that is nearest from above, else the highest."""
    rates = audio_columns(config)
    return min(rates, key=lambda name: (rates[name] < rate_hz, abs(rates[name] - rate_hz)))


@dataclass(frozen=True, kw_only=True)
class FileSet(ClipSet):
    """Clips cut from files: a folder, a glob, a list, generated audio."""

    name: str
    files: Sequence[Mapping[str, str]]
    """track_id, key, path and hash of each, in their order."""
    config: ClipsConfig
    middle_s: float = 0.0
    """Of each file only the middle, so many seconds (PAPER 4.3.3); 0 for all of it."""
    embedder: EmbedderCard | None = None

    @property
    def shard_count(self) -> int:
        return -(-len(self.files) // _FILES_PER_SHARD)

    def _of(self, shard: int) -> Sequence[Mapping[str, str]]:
        return self.files[shard * _FILES_PER_SHARD : (shard + 1) * _FILES_PER_SHARD]

    def shard_hash(self, shard: int) -> str:
        files = [[file["track_id"], file["hash"]] for file in self._of(shard)]
        return content_hash([files, self.config.hash(), self.middle_s])

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "files",
            "name": self.name,
            "files": [dict(file) for file in self.files],
            "config": self.config.model_dump(mode="json"),
            "middle_s": self.middle_s,
        }

    def clips(self, shard: int, rate_hz: int, *, through_hz: int = 0, stored: bool = False) -> Iterator[Any]:
        decode_hz = through_hz or rate_hz
        with GuardedDecoder(self.config, [decode_hz]) as decoder:
            for file in self._of(shard):
                yield from self._cut(decoder, file, decode_hz, rate_hz)

    def _cut(
        self, decoder: GuardedDecoder, file: Mapping[str, str], decode_hz: int, rate_hz: int
    ) -> Iterator[SetClip | LeftOutClip]:
        try:
            with fetched(file["path"]) as (local_path, _, _):
                info, pieces = decoder.cut(local_path)
                for piece in pieces:
                    if isinstance(piece, LeftOut):
                        yield LeftOutClip(key=file["key"], reason=piece.reason, detail=piece.detail)
                        continue
                    audio_T = piece.audio[decode_hz][: round(piece.duration_s * decode_hz)]
                    start_s, duration_s = piece.start_s, piece.duration_s
                    if self.middle_s and duration_s > self.middle_s:
                        start_s += (duration_s - self.middle_s) / 2
                        at = (len(audio_T) - round(self.middle_s * decode_hz)) // 2
                        audio_T, duration_s = audio_T[at : at + round(self.middle_s * decode_hz)], self.middle_s
                    yield SetClip(
                        clip_id=clip_id(file["track_id"], start_s),
                        track_id=file["track_id"],
                        key=file["key"],
                        start_s=start_s,
                        duration_s=duration_s,
                        source_rate_hz=min(info.sample_rate_hz, decode_hz),
                        audio_T=_at_rate(audio_T, decode_hz, 0, rate_hz),
                    )
        except DecodeFailure as failure:
            yield LeftOutClip(key=file["key"], reason=failure.reason, detail=failure.detail, level="track")


def chosen_by_hash(clip: str, share: float) -> bool:
    """Whether a clip is among the share of all that is looked at; the same clips whoever asks."""
    return share >= 1 or hash_u64("sampled", clip) < share * 2.0**64


def open_set(source: str, *, clip_s: float = 10.0, middle_s: float = 0.0, share: float = 1.0) -> ClipSet:
    """A crate (`CRATE`, or `CRATE#SPLIT/PART` for one side of a split), else audio as `cratedig mine` takes it.

    clip_s: into which files are cut; a last piece that is shorter is kept as it is, from half a second on.
    """
    root, _, fragment = source.partition("#")
    if fragment or _is_crate(root):
        crate = Crate.open(root)
        crate.require_clips()
        split, _, part = fragment.partition("/")
        if fragment and not (split and part):
            raise BadInput(f"{source!r}: expected CRATE#SPLIT/PART, such as {root}#artists/test")
        tracks, table = split_of(crate, split, None) if split else {}, ""
        if split:
            storage, file = find_split(crate, split)
            table = storage.sha256(file)
        if split and part not in tracks.values():
            raise BadInput(
                f"{source!r}: split {split!r} has {', '.join(sorted(set(tracks.values())))}, and no {part!r}"
            )
        return CrateSet(
            name=source,
            crate=crate,
            split=split,
            part=part,
            share=share,
            embedder=crate.embedder,
            _tracks=tracks,
            _table=table,
        )
    files = [file_entry(track.key, track.path, track.track_id) for track in list_input(source).tracks]
    return FileSet(name=source, files=files, config=files_config(clip_s), middle_s=middle_s)


def files_config(clip_s: float) -> ClipsConfig:
    """All of a file in pieces of so many seconds."""
    return ClipsConfig(
        clip_s=round(clip_s, 3),  # whole samples at every rate
        clips_per_track=_ALL,
        short_clip="pad",
        min_padded_s=min(_LEAST_S, clip_s),
        sample_rates_hz=(16_000,),
    )


def file_entry(key: str, path: str, track: str = "") -> dict[str, str]:
    """A file of a FileSet, hashed."""
    return {"track_id": track or track_id(key), "key": key, "path": path, "hash": _file_hash(path)}


def set_from(described: Mapping[str, Any]) -> ClipSet:
    """What `describe` said, opened again."""
    if described["kind"] == "crate":
        split = f"#{described['split']}/{described['part']}" if described["split"] else ""
        return open_set(described["root"] + split, share=described["share"])
    return FileSet(
        name=described["name"],
        files=described["files"],
        config=ClipsConfig.model_validate(described["config"]),
        middle_s=described["middle_s"],
    )


def _is_crate(root: str) -> bool:
    fs, path = file_system(root)
    return bool(fs.exists(f"{path.rstrip('/')}/crate.json"))


def _file_hash(path: str) -> str:
    """Of the bytes where they are at hand; elsewhere of what the store says of them, which changes with them."""
    if not path.startswith(INSIDE):
        fs, inner = file_system(path)
        if not is_local(fs):
            return content_hash(str(fs.ukey(inner)))
    try:
        with fetched(path) as (_, sha256, _):
            return sha256
    except DecodeFailure as failure:
        return str(failure)  # the decoder meets it again, and then the file is left out with this reason


def _at_rate(samples_T: NDArray[np.float32], rate_hz: int, through_hz: int, to_hz: int) -> NDArray[np.float32]:
    for wanted in (through_hz, to_hz):
        if wanted and wanted != rate_hz:
            samples_T = soxr.resample(samples_T, rate_hz, wanted, quality="HQ").astype(np.float32)
            rate_hz = wanted
    return samples_T
