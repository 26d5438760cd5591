"""When too much was left out."""

from __future__ import annotations

import pytest

from pipeline.crate.rejects import check_reject_share, reject_shares
from pipeline.errors import BadInput, TooManyRejects


def test_shares_of_tracks_and_of_clips_without_what_is_left_at_the_end() -> None:
    counts = {
        "tracks": 10,
        "tracks_rejected": 1,
        "clips": 30,
        "track:truncated": 1,
        "clip:silent": 10,
        "clip:too-short": 9,
    }
    assert reject_shares(counts) == {"tracks": 0.1, "clips": 0.25}
    check_reject_share(counts, 0.25)


def test_too_many_names_the_reasons_most_frequent_first() -> None:
    counts = {
        "tracks": 10,
        "tracks_rejected": 5,
        "clips": 30,
        "rejected-track:truncated": 1,
        "rejected-track:not-audio": 4,
    }
    counts |= {"track:truncated": 1, "clip:too-short": 5}
    with pytest.raises(
        TooManyRejects, match=r"50% of the tracks were rejected \(not-audio 4, truncated 1\), more than the 20%"
    ):
        check_reject_share(counts, 0.2)


def test_the_limit_is_a_share() -> None:
    with pytest.raises(BadInput, match="expected a number from 0 to 1"):
        check_reject_share({}, 20)
