"""Which tracks of a crate are one recording: equal bytes, equal samples, or the same sound.

Embeddings, which every clip has, find candidates; a fingerprint says which of them are the same music at the same
moments; and the waveform, whether they are one recording of it and not two mixes or takes. Tracks are what is grouped:
loops inside one track are no doubles. Nothing is deleted: `dedup/groups.parquet` says which track of a group to keep.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.crate.crate import Crate
from pipeline.curation.components import tied
from pipeline.curation.likeness.fingerprint import Fingerprint, Match, compare
from pipeline.curation.likeness.neighbours import near
from pipeline.curation.likeness.sound import clip_fingerprints, clip_waves
from pipeline.curation.likeness.wave import coherence
from pipeline.curation.tables import GROUPS, PAIRS, write_table
from pipeline.ids import content_hash
from pipeline.parquet import parquet_file

__all__ = ["COHERENCE", "COSINE", "ERROR", "Doubles", "Pair", "find_doubles", "read_clips", "write_doubles"]

COSINE, ERROR, COHERENCE = 0.75, 0.3, 0.92
"""Where embeddings make a candidate, up to which share of differing bits two clips are the same music, and how much
their waveforms must have in common to be one recording. Measured on three collections of recorded music
(benchmarks/doubles.py), 174 copies: they differ in .25 of their bits or less and have .93 in common or more; other
music differs in .40 or more; other mixes of one piece differ in .16 to .37, and have .25 to .91 in common."""
_PAIRS_AT_ONCE = 500
"""Whose waveforms are held together: half a megabyte a clip."""
_LOSSLESS = ("flac", "alac", "ape", "wavpack", "tta", "pcm")
_COLUMNS = ("clip_id", "track_id", "embedding", "clipped_share", "source_sha256", "source_duration_s",
            "source_sample_rate_hz", "source_codec")  # fmt: skip
_PAIRS = pa.schema(
    [("clip_a", pa.string()), ("clip_b", pa.string()), ("cosine", pa.float32()), ("error", pa.float32()),
     ("coherence", pa.float32()), ("offset_s", pa.float32()), ("rule", pa.string())]
)  # fmt: skip
_GROUPS = pa.schema([("track_id", pa.string()), ("group", pa.string()), ("keep", pa.bool_())])


@dataclass(frozen=True, kw_only=True, order=True)
class Pair:
    """Two clips of two tracks that are the same sound."""

    clip_a: str
    clip_b: str
    cosine: float
    error: float
    """Share of differing bits at the best offset."""
    coherence: float
    """Of their waveforms there, in [0, 1]."""
    offset_s: float
    """The moment of clip_a at which clip_b begins."""
    rule: str
    """`bytes`, `samples` or `fingerprint`."""


@dataclass(frozen=True, kw_only=True)
class Doubles:
    """What was found."""

    tracks: int
    clips: int
    candidates: int
    crowded: int
    """Clips that may have more candidates than were looked at."""
    apart: int
    """Pairs of clips with one fingerprint and two waveforms: other mixes or takes."""
    pairs: tuple[Pair, ...]
    groups: Mapping[str, tuple[str, tuple[str, ...]]]
    """Group -> the track to keep, and all tracks of it."""
    rules: Counter[str] = field(default_factory=Counter)


def find_doubles(
    crate: Crate,
    *,
    cosine: float = COSINE,
    error: float = ERROR,
    common: float = COHERENCE,
    keep: str = "best",
    say: Callable[[str], None] = lambda _: None,
) -> Doubles:
    """cosine, error, common: bounds of embeddings, fingerprints, waveforms.

    keep: `best` (longest, highest rate, lossless, least clipped) or `first` by id."""
    clips, tracks, embedding_ND = read_clips(crate)
    say(f"{len(clips)} clips of {len(tracks)} tracks read; looking for clips that are near each other")
    pairs = list(_equal_bytes(tracks))
    sames = {track: about["source_sha256"] for track, about in tracks.items()}
    owner = [clip.rpartition("-")[0] for clip in clips]
    number = {sha: i for i, sha in enumerate(sorted(set(sames.values())))}
    found, crowded = near(embedding_ND, np.array([number[sames[track]] for track in owner], np.int64), cosine)
    say(f"{len(found)} pairs of clips to be compared by their sound")
    wanted = {clips[i] for a, b, _ in found for i in (a, b)}
    heard: dict[str, tuple[Fingerprint, str]] = {}
    for clip, print_, digest in clip_fingerprints(crate, wanted) if wanted else ():
        heard[clip] = print_, digest
        if len(heard) % 2000 == 0:
            say(f"{len(heard)} of {len(wanted)} clips fingerprinted")
    alike: list[tuple[str, str, float, Match]] = []
    for a, b, score in found:
        (print_a, samples_a), (print_b, samples_b) = heard[clips[a]], heard[clips[b]]
        if (match := compare(print_a, print_b, least_s=min(5.0, crate.config.clip_s / 2), error=error)) is None:
            continue
        if samples_a == samples_b:
            pairs.append(Pair(clip_a=clips[a], clip_b=clips[b], cosine=round(score, 4), error=match.error,
                              coherence=1.0, offset_s=match.offset_s, rule="samples"))  # fmt: skip
        else:
            alike.append((clips[a], clips[b], score, match))
    heard.clear()
    say(f"{len(alike)} pairs have one fingerprint; comparing their waveforms")
    coherent = list(_one_waveform(crate, alike, common))
    pairs = sorted([*pairs, *coherent])
    return Doubles(
        tracks=len(tracks),
        clips=len(clips),
        candidates=len(found),
        crowded=crowded,
        apart=len(alike) - len(coherent),
        pairs=tuple(pairs),
        groups=_groups(pairs, tracks, keep),
        rules=Counter(pair.rule for pair in pairs),
    )


def _one_waveform(crate: Crate, alike: Sequence[tuple[str, str, float, Match]], common: float) -> Iterator[Pair]:
    for start in range(0, len(alike), _PAIRS_AT_ONCE):
        block = alike[start : start + _PAIRS_AT_ONCE]
        waves = dict(clip_waves(crate, {clip for a, b, *_ in block for clip in (a, b)}))
        for a, b, score, match in block:
            if (found := coherence(waves[a], waves[b], match.offset_s)) >= common:
                yield Pair(clip_a=a, clip_b=b, cosine=round(score, 4), error=match.error, coherence=round(found, 4),
                           offset_s=match.offset_s, rule="fingerprint")  # fmt: skip


def read_clips(crate: Crate) -> tuple[list[str], dict[str, dict[str, Any]], NDArray[np.float32]]:
    """Clip ids, what is known of each track, and embeddings of length 1."""
    clips: list[str] = []
    tracks: dict[str, dict[str, Any]] = {}
    parts = []
    for index in crate.shards:
        with crate.storage.open(crate.clips_part(index)) as file:
            parquet = parquet_file(file)
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=list(_COLUMNS), use_threads=False)
                flat = table.column("embedding").combine_chunks().flatten().to_numpy(zero_copy_only=False)
                parts.append(flat.reshape(len(table), -1).astype(np.float32))
                for row in table.drop_columns(["embedding"]).to_pylist():
                    clips.append(row["clip_id"])
                    about = tracks.setdefault(row["track_id"], row)
                    about["clipped_share"] = max(about["clipped_share"] or 0.0, row["clipped_share"] or 0.0)
    embedding_ND = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    embedding_ND /= np.maximum(np.linalg.norm(embedding_ND, axis=1, keepdims=True), 1e-9)
    return clips, tracks, embedding_ND


def _equal_bytes(tracks: Mapping[str, Mapping[str, Any]]) -> Iterable[Pair]:
    by_hash = defaultdict(list)
    for track in sorted(tracks):
        if tracks[track]["source_sha256"]:
            by_hash[tracks[track]["source_sha256"]].append(tracks[track]["clip_id"])
    for first, *others in by_hash.values():
        for other in others:
            yield Pair(clip_a=first, clip_b=other, cosine=1.0, error=0.0, coherence=1.0, offset_s=0.0, rule="bytes")


def _groups(
    pairs: Iterable[Pair], tracks: Mapping[str, Mapping[str, Any]], keep: str
) -> dict[str, tuple[str, tuple[str, ...]]]:
    keys: dict[str, list[str]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        for clip in (pair.clip_a, pair.clip_b):
            keys[clip.rpartition("-")[0]].append(str(number))
    found = {}
    for members, _ in tied(keys):
        best = members[0] if keep == "first" else _best(members, tracks)
        found[content_hash(["doubles", members[0]])] = best, tuple(members)
    return found


def _best(members: Iterable[str], tracks: Mapping[str, Mapping[str, Any]]) -> str:
    """The longest (a second more or less is an encoder's padding), then by rate, lossless, clipping, id."""
    seconds = {track: float(tracks[track]["source_duration_s"]) for track in members}
    longest = max(seconds.values())

    def worse(track: str) -> tuple[Any, ...]:
        about = tracks[track]
        lossless = str(about["source_codec"]).startswith(_LOSSLESS)
        return -about["source_sample_rate_hz"], not lossless, round(about["clipped_share"], 4), track

    return min((track for track in seconds if seconds[track] >= longest - 1.0), key=worse)


def write_doubles(crate: Crate, doubles: Doubles) -> None:
    """dedup/pairs.parquet and dedup/groups.parquet; the second last, since others read it."""
    write_table(crate, PAIRS, [vars(pair) for pair in doubles.pairs], _PAIRS)
    rows = [
        {"track_id": track, "group": group, "keep": track == best}
        for group, (best, members) in doubles.groups.items()
        for track in members
    ]
    write_table(crate, GROUPS, sorted(rows, key=lambda row: row["track_id"]), _GROUPS)
