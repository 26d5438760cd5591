"""Where clips lie: by hand, and as properties of any track."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.cut import IGNORED_TAIL_S, place_clips
from pipeline.config import ClipsConfig


def config(**changes: Any) -> ClipsConfig:
    return ClipsConfig(**{"clip_s": 1.0, "sample_rates_hz": (16_000,), **changes})


def starts(duration_samples: int, rate: int, cfg: ClipsConfig) -> list[float]:
    return [place.start / rate for place in place_clips(duration_samples, rate, cfg).kept]


def test_a_short_track_is_cut_back_to_back_and_its_rest_is_named() -> None:
    placed = place_clips(28_000, 8_000, config())
    assert [place.start for place in placed.kept] == [0, 8_000, 16_000]
    assert placed.too_short is not None
    assert (placed.too_short.index, placed.too_short.start, placed.too_short.samples) == (3, 24_000, 4_000)


def test_a_long_track_gives_exactly_its_clips_from_first_sample_to_last() -> None:
    placed = place_clips(185 * 44_100, 44_100, ClipsConfig())
    assert [place.start / 44_100 for place in placed.kept] == [0, 31, 62, 93, 124, 155]
    assert placed.kept[-1].end == 185 * 44_100
    assert placed.too_short is None


def test_a_track_of_just_six_clips_has_no_gap() -> None:
    assert starts(180 * 8_000, 8_000, ClipsConfig()) == [0, 30, 60, 90, 120, 150]


def test_one_clip_a_track_is_the_first() -> None:
    assert starts(100_000, 8_000, config(clips_per_track=1)) == [0]


@pytest.mark.parametrize(("seconds", "rest"), [(2.05, None), (2.1, None), (2.2, 0.2), (0.05, 0.05)])
def test_codec_padding_is_no_left_out_clip_but_a_tiny_track_is(seconds: float, rest: float | None) -> None:
    placed = place_clips(round(seconds * 8_000), 8_000, config())
    assert (placed.too_short and round(placed.too_short.samples / 8_000, 3)) == rest


@pytest.mark.parametrize(("seconds", "kept"), [(9.98, [9.98]), (9.9, [9.9]), (9.89, []), (29.95, [10, 10, 9.95])])
def test_a_piece_that_lacks_a_tenth_of_a_second_is_a_clip(seconds: float, kept: list[float]) -> None:
    placed = place_clips(round(seconds * 8_000), 8_000, config(clip_s=10.0))
    assert [place.samples / 8_000 for place in placed.kept] == kept
    assert (placed.too_short is None) == bool(kept)
    assert place_clips(500, 8_000, config(clip_s=0.15)).kept == (), "half of a clip is not nearly one"


def test_padding_takes_a_rest_that_is_long_enough() -> None:
    padded = config(short_clip="pad", min_padded_s=0.4)
    assert [place.samples for place in place_clips(28_000, 8_000, padded).kept] == [8_000, 8_000, 8_000, 4_000]
    assert [place.samples for place in place_clips(4_000, 8_000, padded).kept] == [4_000]
    short = place_clips(26_400, 8_000, padded)
    assert len(short.kept) == 3
    assert short.too_short is not None
    assert place_clips(48_400, 8_000, padded).too_short is None, "six clips are all a track gives"


@given(
    duration=st.integers(0, 10_000_000),
    rate=st.integers(2_000, 200_000),
    clip_s=st.sampled_from([0.25, 1.0, 2.5, 10.0, 30.0]),
    per_track=st.integers(1, 12),
    pad=st.booleans(),
)
def test_clips_lie_inside_the_track_and_apart(
    duration: int, rate: int, clip_s: float, per_track: int, pad: bool
) -> None:
    cfg = config(
        clip_s=clip_s, clips_per_track=per_track, short_clip="pad" if pad else "reject", min_padded_s=clip_s / 4
    )
    placed = place_clips(duration, rate, cfg)
    length = round(rate * clip_s)
    assert [place.index for place in placed.kept] == list(range(len(placed.kept)))
    end = 0
    for place in placed.kept:
        assert place.start >= end
        end = place.end
        assert end <= duration
    whole = [place for place in placed.kept if place.samples == length]
    assert len(whole) == min(per_track, duration // length)
    nearly = [p for p in placed.kept if length > p.samples >= length - 0.1 * rate]
    assert len(placed.kept) - len(whole) in ((0, 1) if pad or nearly else (0,))
    if placed.too_short is not None:
        assert 0 < placed.too_short.samples < length
        assert placed.too_short.end == duration
    elif len(whole) < per_track and duration:
        assert duration - end <= IGNORED_TAIL_S * rate
