"""When too much was left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.engine import Engine
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.rejects import FirstTracks, check_reject_share, reject_shares
from pipeline.crate.shards import marker_name
from pipeline.errors import BadInput, TooManyRejects
from tests.audio_files import chord, tone, write_audio
from tests.crates import mine_clips, plan_crate


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


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory, tiny_clap: Path, lane: Engine) -> Crate:
    """24 silent tracks, 2 a shard."""
    folder = tmp_path_factory.mktemp("silence")
    for number in range(24):
        write_audio(folder / f"{number}.wav", 0 * tone(2, 8_000), 8_000, "wav-s16")
    crate = plan_crate(folder, tmp_path_factory.mktemp("crate") / "crate", tiny_clap)
    mine_clips(crate, lane)
    return crate


def test_first_tracks_that_are_all_rejected_for_one_reason_are_enough(silence: Crate) -> None:
    with pytest.raises(TooManyRejects, match=r"the first 20 of 24 tracks .* same reason, silent \(\d+.wav: "):
        FirstTracks(silence, 0.5).check()
    FirstTracks(silence, 0.51).check()  # allowed by somebody who knows


def test_first_tracks_are_those_of_the_plan_whatever_was_done_first(silence: Crate) -> None:
    ninth = silence.storage.path(marker_name(*silence.at(CLIPS, 9)))
    Path(ninth).rename(ninth + ".away")
    try:
        first = FirstTracks(silence, 0.2)
        first.check(now=True)  # the shards after it are done and rejected too, but say nothing yet
    finally:
        Path(ninth + ".away").rename(ninth)
    with pytest.raises(TooManyRejects):
        first.check(now=True)


def test_one_good_track_among_the_first_lets_the_run_go_on(
    silence: Crate, tmp_path: Path, tiny_clap: Path, lane: Engine
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    last = silence.plan(9).tracks[-1].key  # the twentieth of the plan
    for number in range(24):
        good = f"{number}.wav" == last
        write_audio(folder / f"{number}.wav", chord(2, 8_000) if good else 0 * tone(2, 8_000), 8_000, "wav-s16")
    crate = plan_crate(folder, tmp_path / "crate", tiny_clap)
    mine_clips(crate, lane)
    FirstTracks(crate, 0.2).check()


def test_the_limit_is_a_share() -> None:
    with pytest.raises(BadInput, match="expected a number from 0 to 1"):
        check_reject_share({}, 20)
