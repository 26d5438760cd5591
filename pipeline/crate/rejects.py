"""Whether so much was left out that the run must not pass for a success."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import BadInput, TooManyRejects

__all__ = ["check_reject_share", "reject_shares"]

_EXPECTED = ("clip:too-short",)
"""What is left at the end of nearly every track is no failure."""


def reject_shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Share of tracks that gave no clip, and of the cut clips that were left out for their quality."""
    tracks, bad_tracks = counts.get("tracks", 0), counts.get("tracks_rejected", 0)
    bad_clips = sum(n for name, n in counts.items() if name.startswith("clip:") and name not in _EXPECTED)
    clips = counts.get("clips", 0) + bad_clips
    return {"tracks": bad_tracks / max(tracks, 1), "clips": bad_clips / max(clips, 1)}


def check_reject_share(counts: Mapping[str, int], limit: float) -> None:
    """Raises TooManyRejects, with the reasons, where more than `limit` of the tracks or of the clips were left out."""
    if not 0 <= limit <= 1:
        raise BadInput(f"the largest share of rejects is {limit}; expected a number from 0 to 1")
    for what, share in reject_shares(counts).items():
        if share > limit:
            level = "rejected-track:" if what == "tracks" else "clip:"
            reasons = {
                name.partition(":")[2]: n
                for name, n in counts.items()
                if name.startswith(level) and name not in _EXPECTED
            }
            said = ", ".join(f"{name} {n}" for name, n in sorted(reasons.items(), key=lambda kv: (-kv[1], kv[0])))
            raise TooManyRejects(
                f"{share:.0%} of the {what} were rejected ({said}), more than the {limit:.0%} allowed; look at the "
                "report and rejects/, then mend the input and run again with --retry-rejects, or allow more with "
                "--max-reject-share"
            )
