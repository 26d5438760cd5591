"""Which tracks of a crate stand in an evaluation set: by ids and names, and by sound where its audio is at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.audio.decode_guard import DecodeFailure, GuardedDecoder
from pipeline.audio.pieces import WHOLE
from pipeline.crate.crate import Crate
from pipeline.curation.evaluation import Evaluation
from pipeline.curation.likeness.fingerprint import FRAME_S, RATE_HZ, Fingerprint, fingerprint
from pipeline.curation.likeness.heard import HeardIndex
from pipeline.curation.likeness.sound import clip_fingerprints
from pipeline.curation.split import described_tracks
from pipeline.curation.tables import DECONTAMINATE, write_table
from pipeline.records import Track
from pipeline.source.fetch import fetched

__all__ = ["Contamination", "Heard", "find_contamination", "hear", "write_contamination"]

_ROWS = pa.schema(
    [("track_id", pa.string()), ("rule", pa.string()), ("reference", pa.string()), ("error", pa.float32())]
)


@dataclass(kw_only=True)
class Heard:
    """The audio of an evaluation set."""

    names: list[str] = field(default_factory=list)
    prints: list[Fingerprint] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(name, why) of files that could not be listened to."""


@dataclass(kw_only=True)
class Contamination:
    """track_id -> (rule, what it is in the set, share of differing bits or nothing)."""

    tracks: int
    found: dict[str, tuple[str, str, float | None]] = field(default_factory=dict)

    @property
    def rules(self) -> Counter[str]:
        return Counter(rule for rule, _, _ in self.found.values())


def hear(crate: Crate, tracks: Iterable[Track], *, say: Callable[[str], None] = lambda _: None) -> Heard:
    """Fingerprints of a folder's files; what cannot be decoded is named."""
    heard = Heard()
    with GuardedDecoder(crate.config, ()) as decoder:
        for number, track in enumerate(tracks, start=1):
            try:
                with fetched(track.path) as (local_path, _, _):
                    _, sounds = decoder.excerpts(local_path, [WHOLE], channels=1, rate_hz=RATE_HZ)
                    one = fingerprint(next(iter(sounds))[:, 0])
            except DecodeFailure as failure:
                heard.failed.append((track.key, f"{failure.reason}: {failure.detail}"))
                continue
            if one.heard_F.sum() * FRAME_S < _least_s(crate):
                heard.failed.append((track.key, f"less than {_least_s(crate):g} s of sound"))
                continue
            heard.names.append(track.key)
            heard.prints.append(one)
            if number % 500 == 0:
                say(f"{number} files of the set listened to")
    return heard


def _least_s(crate: Crate) -> float:
    return min(5.0, crate.config.clip_s / 2)


def find_contamination(
    crate: Crate,
    evaluation: Evaluation,
    heard: Heard | None = None,
    *,
    error: float,
    say: Callable[[str], None] = lambda _: None,
) -> Contamination:
    """By ids and names first; by sound, clip by clip, for the tracks that these have not found."""
    known = described_tracks(crate)
    result = Contamination(tracks=len(known))
    for track, about in known.items():
        if by := evaluation.look_up(about.row):
            result.found[track] = (*by, None)
    if heard is not None and heard.prints:
        index = HeardIndex(heard.prints)
        clips = clip_fingerprints(crate, None, on_shard=lambda n: say(f"shard {n + 1} of {len(crate.shards)} heard"))
        for clip, one, _ in clips:
            track = clip.rpartition("-")[0]
            before = result.found.get(track)
            if before is not None and before[2] is None:
                continue
            if match := index.find(one, error=error, least_s=_least_s(crate)):
                number, how = match
                if before is None or how.error < (before[2] or 0.0):
                    result.found[track] = ("audio", heard.names[number], how.error)
    return result


def write_contamination(crate: Crate, name: str, found: Contamination) -> None:
    """decontaminate/NAME.parquet, also where nothing was found: it says that somebody looked."""
    rows = [
        {"track_id": track, "rule": rule, "reference": reference, "error": error}
        for track, (rule, reference, error) in sorted(found.found.items())
    ]
    write_table(crate, f"{DECONTAMINATE}/{name}.parquet", rows, _ROWS)
