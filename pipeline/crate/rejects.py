"""Whether so much was left out that the run must not pass for a success."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.shards import read_marker
from pipeline.errors import BadInput, Outage, TooManyRejects
from pipeline.parquet import read_table

__all__ = ["FIRST_TRACKS", "FirstTracks", "check_outages", "check_reject_share", "reject_shares"]

FIRST_TRACKS = 20
"""In the order of the plan, which is by hash and so a sample of the input."""
_LOOK_EVERY_S = 1.0

_EXPECTED = ("clip:too-short", "clip:not-music")
"""What is left at the end of nearly every track is no failure, nor is what --min-music was asked to leave out."""


def reject_shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Share of tracks that gave no clip (rows of a list that name no track are such), and of the cut clips that were
    left out for their quality.
    """
    rows = counts.get("rows_rejected", 0)
    tracks, bad_tracks = counts.get("tracks", 0) + rows, counts.get("tracks_rejected", 0) + rows
    bad_clips = sum(n for name, n in counts.items() if name.startswith("clip:") and name not in _EXPECTED)
    clips = counts.get("clips", 0) + bad_clips
    return {"tracks": bad_tracks / max(tracks, 1), "clips": bad_clips / max(clips, 1)}


def check_outages(crate: Crate, reason: str) -> None:
    """Raises Outage, with what was met, where tracks are left out for now for `reason`."""
    met: Counter[str] = Counter()
    example = ""
    for index in crate.shards:
        with crate.storage.open(crate.rejects_part(index)) as file:
            for row in read_table(file, columns=["key", "reason", "detail"]).to_pylist():
                if row["reason"] == reason:
                    met[row["detail"]] += 1
                    example = example or row["key"]
    if met:
        said = ", ".join(f"{detail} ({count})" for detail, count in met.most_common(3))
        raise Outage(
            f"{met.total()} of {crate.tracks:,} tracks could not be fetched: {said}; the first is {example}. All "
            "others are done; run the same command again to fetch these, or label what is there: cratedig label "
            f"{crate.storage.url}"
        )


def check_reject_share(counts: Mapping[str, int], limit: float) -> None:
    """Raises TooManyRejects, with the reasons, where more than `limit` of the tracks or of the clips were left out."""
    if not 0 <= limit <= 1:
        raise BadInput(f"the largest share of rejects is {limit}; expected a number from 0 to 1")
    for what, share in reject_shares(counts).items():
        if share > limit:
            level = ("rejected-track:", "row:") if what == "tracks" else ("clip:",)
            reasons = {
                name.partition(":")[2]: n
                for name, n in counts.items()
                if name.startswith(level) and name not in _EXPECTED
            }
            said = ", ".join(f"{name} {n}" for name, n in sorted(reasons.items(), key=lambda kv: (-kv[1], kv[0])))
            raise TooManyRejects(
                f"{share:.0%} of the {what} were rejected ({said}), more than the {limit:.0%} allowed; look at "
                "rejects/, then mend the input and run again with --retry-rejects, or allow more with "
                "--max-reject-share"
            )


class FirstTracks:
    """Whether the first tracks of a plan were all rejected for one reason: then the rest need not be waited for.

    limit: the share that the run allows. One that allows more than half is asked for by somebody who knows.
    """

    def __init__(self, crate: Crate, limit: float) -> None:
        self._crate = crate
        self._decided = limit > 0.5 or crate.tracks < FIRST_TRACKS
        self._shard, self._tracks, self._next_look = 0, 0, 0.0
        self._reasons: set[str] | None = None

    def check(self, *, now: bool = False) -> None:
        """Look at the shards that are done, at most once a second; raises TooManyRejects when the first tracks are.

        The answer depends on the input alone: whole shards in the plan's order, until they hold FIRST_TRACKS tracks.
        """
        if self._decided or (time.monotonic() < self._next_look and not now):
            return
        self._next_look = time.monotonic() + (_LOOK_EVERY_S if self._crate.storage.is_local else 10 * _LOOK_EVERY_S)
        while not self._decided and self._crate.clips_done(self._shard):
            marker = read_marker(self._crate.storage, *self._crate.at(CLIPS, self._shard))
            counts: Mapping[str, int] = marker["counts"] if marker else {}
            tracks = counts.get("tracks", 0)
            reasons = {
                name.partition(":")[2]
                for name, count in counts.items()
                if name.startswith("rejected-track:") and count == tracks
            }
            self._reasons = reasons if self._reasons is None else self._reasons & reasons
            self._shard, self._tracks = self._shard + 1, self._tracks + tracks
            if not self._reasons or counts.get("tracks_rejected", 0) < tracks:
                self._decided = True
            elif self._tracks >= FIRST_TRACKS:
                raise TooManyRejects(self._words(sorted(self._reasons)[0]))

    def _words(self, reason: str) -> str:
        with self._crate.storage.open(self._crate.rejects_part(0)) as file:
            rows = read_table(file, columns=["key", "reason", "detail"]).to_pylist()
        example = next(row for row in rows if row["reason"] == reason)
        return (
            f"the first {self._tracks} of {self._crate.tracks:,} tracks were all rejected for the same reason, "
            f"{reason} ({example['key']}: {example['detail']}); stopped there. Mend the input and run again with "
            "--retry-rejects, or go on all the same with --max-reject-share above 0.5"
        )
