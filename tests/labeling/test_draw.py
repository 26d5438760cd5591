"""The draw has the law it claims, and depends on nothing but (seed, clip, caption)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from labeling.draw import draw, first_draw_probability
from pipeline.ids import draw_uniform, hash_u64


def clips(n: int) -> np.ndarray:
    return np.array([hash_u64("clip", i) for i in range(n)], dtype=np.uint64)


def test_probability_is_the_share_of_one_over_count() -> None:
    # 1/1, 1/2, 1/4 -> 4/7, 2/7, 1/7
    np.testing.assert_allclose(first_draw_probability(np.array([[1, 2, 4]])), [[4 / 7, 2 / 7, 1 / 7]])


def test_what_is_not_allowed_comes_last_and_has_no_chance() -> None:
    n, counts = 500, np.array([5, 1, 1, 1])
    captions = np.array([hash_u64("caption", i) for i in range(4)], dtype=np.uint64)
    allowed = np.tile([True, True, False, False], (n, 1))
    got = draw(
        seed=3,
        clip_B=clips(n),
        caption_BK=np.tile(captions, (n, 1)),
        counts_BK=np.tile(counts, (n, 1)),
        drawn=3,
        allowed_BK=allowed,
    )
    assert (got[:, :2] == [0, 1]).all()
    np.testing.assert_allclose(
        first_draw_probability(np.array([[4, 2, 1]]), np.array([[True, True, False]])), [[1 / 3, 2 / 3, 0]]
    )
    assert (first_draw_probability(np.array([[1, 1]]), np.zeros((1, 2), bool)) == 0).all()


def test_pairs_are_drawn_as_often_as_drawing_one_by_one_predicts() -> None:
    n = 60_000
    counts = np.array([1, 2, 4, 8])
    weights = 1 / counts
    captions = np.array([hash_u64("caption", i) for i in range(4)], dtype=np.uint64)
    got = draw(
        seed=3,
        clip_B=clips(n),
        caption_BK=np.tile(captions, (n, 1)),
        counts_BK=np.tile(counts, (n, 1)),
        drawn=2,
    )
    for a, b in itertools.combinations(range(4), 2):
        w = weights / weights.sum()
        predicted = w[a] * w[b] / (1 - w[a]) + w[b] * w[a] / (1 - w[b])
        observed = float(((got[:, 0] == a) & (got[:, 1] == b)).mean())
        assert observed == pytest.approx(predicted, abs=4 * np.sqrt(predicted * (1 - predicted) / n))


def test_a_clips_draw_depends_on_itself_alone() -> None:
    rng = np.random.default_rng(0)
    clip, caption = clips(50), rng.integers(0, 2**63, (50, 10)).astype(np.uint64)
    counts = rng.integers(1, 100, (50, 10))
    together = draw(seed=1, clip_B=clip, caption_BK=caption, counts_BK=counts, drawn=3)
    order = rng.permutation(50)
    shuffled = draw(seed=1, clip_B=clip[order], caption_BK=caption[order], counts_BK=counts[order], drawn=3)
    assert np.array_equal(together[order], shuffled)
    other_seed = draw(seed=2, clip_B=clip, caption_BK=caption, counts_BK=counts, drawn=3)
    assert not np.array_equal(together, other_seed)


def test_controls_and_bounds() -> None:
    one = np.array([5], dtype=np.uint64)
    caption, counts = np.arange(4, dtype=np.uint64)[None], np.array([[1000, 1, 1, 1]])
    assert draw(seed=0, clip_B=one, caption_BK=caption, counts_BK=counts, drawn=2, method="top").tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="drawn is 5; expected at most the 4"):
        draw(seed=0, clip_B=one, caption_BK=caption, counts_BK=counts, drawn=5)


def test_the_noise_is_fixed_for_all_time() -> None:
    got = draw_uniform(0, np.array([[1]], dtype=np.uint64), np.array([[2, 3]], dtype=np.uint64))
    again = draw_uniform(0, np.array([[1]], dtype=np.uint64), np.array([[3, 2]], dtype=np.uint64))[:, ::-1]
    assert np.array_equal(got, again)
    np.testing.assert_allclose(got, [[0.7578772111259038, 0.9759412540469936]], rtol=0, atol=1e-15)
    many = draw_uniform(7, clips(2000)[:, None], np.arange(50, dtype=np.uint64)[None])
    assert abs(many.mean() - 0.5) < 0.003
    assert abs(np.quantile(many, 0.1) - 0.1) < 0.005


def test_a_meaning_is_drawn_again_only_after_all_others() -> None:
    n = 20_000
    captions = np.array([hash_u64("caption", i) for i in range(5)], dtype=np.uint64)
    got = draw(
        seed=1,
        clip_B=clips(n),
        caption_BK=np.tile(captions, (n, 1)),
        counts_BK=np.ones((n, 5), dtype=np.int64),
        drawn=3,
        allowed_BK=np.tile([True, True, True, True, False], (n, 1)),
        meaning_BK=np.tile([7, 7, 7, 9, 11], (n, 1)),
    )
    assert (got[:, 2] == 3).all()  # the other meaning always, the one that is not allowed never
    pairs = sorted({(int(a), int(b)) for a, b in got[:, :2]})
    assert pairs == [(0, 1), (0, 2), (1, 2)]
    for pair in pairs:
        assert (got[:, :2] == pair).all(axis=1).mean() == pytest.approx(1 / 3, abs=0.02)


def test_meanings_that_are_all_different_change_nothing() -> None:
    n = 300
    captions = np.array([hash_u64("caption", i) for i in range(6)], dtype=np.uint64)
    settings = {
        "seed": 4,
        "clip_B": clips(n),
        "caption_BK": np.tile(captions, (n, 1)),
        "counts_BK": np.tile([3, 1, 4, 1, 5, 9], (n, 1)),
        "drawn": 3,
    }
    assert np.array_equal(draw(**settings), draw(**settings, meaning_BK=np.tile(np.arange(6), (n, 1))))
