"""The order of clips: each once an epoch, well mixed, mixed by weight, a function of the position alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion.data.order import EpochOrder, Mixture, lane_count


def sequence(order, lanes, count):
    """The first `count` positions of one crate alone."""
    return [order.locate(p % lanes, p // lanes) for p in range(count)]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(1, 8), st.integers(1, 3), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_clip_once_an_epoch(rows, window, ranks, seed):
    lanes = lane_count(len(rows), window=window, ranks=ranks)
    order = EpochOrder(rows, lanes=lanes, seed=seed)
    everything = {(part, row) for part, n in enumerate(rows) for row in range(n)}
    found = Counter(sequence(order, lanes, 20 * order.clips * lanes))
    assert set(found.values()) == {1}
    for epoch in range(3):
        assert {(part, row) for part, row, e in found if e == epoch} == everything


def test_one_lane_goes_through_epoch_after_epoch():
    order = EpochOrder([5, 3], lanes=1, seed=0)
    assert [epoch for _, _, epoch in sequence(order, 1, 24)] == [0] * 8 + [1] * 8 + [2] * 8


def test_epochs_and_seeds_differ_and_repeat():
    def places(seed, epoch):
        order = EpochOrder([50] * 8, lanes=4, seed=seed)
        return [(part, row) for part, row, _ in sequence(order, 4, 1200)[400 * epoch : 400 * epoch + 400]]

    assert places(0, 0) == places(0, 0)
    assert places(0, 0) != places(0, 1)
    assert places(0, 0) != places(1, 0)


def test_neighbours_come_from_many_shards():
    order = EpochOrder([96] * 64, lanes=16, seed=0)
    assert len({part for part, _, _ in sequence(order, 16, 64)}) == 16


@pytest.mark.parametrize("ranks", [1, 2, 8, 16])
def test_a_row_group_is_read_once_an_epoch_by_one_rank(ranks):
    rows = np.random.default_rng(0).integers(40, 100, size=320).tolist()
    lanes = lane_count(len(rows), window=16, ranks=ranks)
    order = EpochOrder(rows, lanes=lanes, seed=0)
    readers = {}
    for p, (part, _, epoch) in enumerate(sequence(order, lanes, sum(rows))):
        readers.setdefault((epoch, part), set()).add(p % ranks)
    assert {len(found) for found in readers.values()} == {1}
    assert len(readers) <= 1.1 * len(rows)


def test_another_number_of_ranks_goes_on_within_a_window():
    """Positions taken by 24 ranks, then by 1: hardly a clip is skipped or comes twice."""
    rows = [96] * 960
    many, one = (lane_count(len(rows), window=16, ranks=r) for r in (24, 1))
    assert (many, one) == (24, 16)
    taken = sum(rows) // 2
    first = set(sequence(EpochOrder(rows, lanes=many, seed=0), many, taken))
    order = EpochOrder(rows, lanes=one, seed=0)
    after = [order.locate(p % one, p // one) for p in range(taken, sum(rows))]
    twice = len(first.intersection(after))
    assert twice <= 24 * 96
    assert sum(rows) - len(first.union(after)) <= 24 * 96


@pytest.mark.parametrize(("groups", "ranks", "lanes"), [(1, 1, 1), (7, 1, 4), (100, 4, 16), (100, 24, 24), (3, 2, 2)])
def test_lanes(groups, ranks, lanes):
    assert lane_count(groups, window=16, ranks=ranks) == lanes


def test_a_mixture_holds_its_weights_and_each_crate_its_epochs():
    lanes = 4
    small, large = EpochOrder([10] * 4, lanes=lanes, seed=0), EpochOrder([96] * 50, lanes=lanes, seed=0)
    mixture = Mixture([small, large], [1, 3], lanes=lanes, seed=0)
    places = [mixture.locate(i) for i in range(4096 * lanes)]
    assert np.mean([place.source == 0 for place in places]) == 0.25
    for lane in range(lanes):
        from_small = [(p.part, p.row, p.epoch) for p in places[lane::lanes] if p.source == 0]
        assert from_small == [small.locate(lane, i) for i in range(len(from_small))]
    assert mixture.locate(5000) == places[5000]
