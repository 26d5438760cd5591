"""The order of clips: each once an epoch, well mixed, mixed by weight, a function of the position alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion.data.order import EpochOrder, Mixture


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_every_clip_once_an_epoch(rows, window, seed):
    order = EpochOrder(rows, window=window, seed=seed)
    everything = {(part, row) for part, n in enumerate(rows) for row in range(n)}
    for epoch in range(2):
        places = [order.locate(epoch * order.clips + i) for i in range(order.clips)]
        assert {e for _, _, e in places} == {epoch}
        assert {(p, r) for p, r, _ in places} == everything
        assert len(places) == len(everything)


def test_epochs_and_seeds_differ_and_repeat():
    places = lambda seed, epoch: [EpochOrder([50] * 8, window=4, seed=seed).locate(400 * epoch + i) for i in range(400)]  # noqa: E731
    strip = lambda found: [(p, r) for p, r, _ in found]  # noqa: E731
    assert strip(places(0, 0)) == strip(places(0, 0))
    assert strip(places(0, 0)) != strip(places(0, 1))
    assert strip(places(0, 0)) != strip(places(1, 0))


def test_neighbours_come_from_many_shards():
    order = EpochOrder([96] * 64, window=16, seed=0)
    batch = [order.locate(i)[0] for i in range(64)]
    # 64 draws from 16 row groups miss few of them: the expected number of distinct ones is 15.7.
    assert len(set(batch)) >= 14


def test_a_mixture_holds_its_weights_and_each_crate_its_epochs():
    small, large = EpochOrder([10], window=4, seed=0), EpochOrder([96] * 50, window=16, seed=0)
    mixture = Mixture([small, large], [1, 3], seed=0)
    places = [mixture.locate(i) for i in range(8192)]
    share = np.mean([place.source == 0 for place in places])
    assert share == 0.25
    from_small = [(p.part, p.row, p.epoch) for p in places if p.source == 0]
    assert from_small == [small.locate(i) for i in range(len(from_small))]
    assert mixture.locate(5000) == places[5000]
