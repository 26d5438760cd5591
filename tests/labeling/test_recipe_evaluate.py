"""The measures, on numbers small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.recipe.captions import Caption
from labeling.recipe.evaluate import TASKS, Figures, _true_facts, as_table, caption_pool, drawn_captions, zero_shot

BY_NAME = {task.name: task for task in TASKS}


def test_tasks_answer_only_where_they_apply() -> None:
    solo = frozenset({"lead:violin", "instrument:violin", "family:strings", "ensemble:solo"})
    band = frozenset({"lead:violin", "drums:yes", "tempo:slow"})
    assert BY_NAME["solo instrument"].answer(solo) == "lead:violin"
    assert BY_NAME["solo instrument"].answer(band) is None
    assert BY_NAME["lead family"].answer(band) == "family:strings"
    assert BY_NAME["tempo"].answer(solo) is None
    assert len(BY_NAME["style"].classes) >= 24
    assert len(BY_NAME["solo instrument"].classes) >= 41


def test_zero_shot_takes_the_nearest_class() -> None:
    task = BY_NAME["drums"]
    facts = [frozenset({"drums:yes"}), frozenset({"tempo:slow"}), frozenset({"drums:no"})]
    windows = np.array([[1, 0], [1, 0], [1, 0.1]], np.float32)
    rows, truth, chosen = zero_shot(task, windows, np.eye(2, dtype=np.float32), facts)
    assert rows.tolist() == [0, 2]
    assert truth.tolist() == [0, 1]
    assert chosen.tolist() == [0, 0]


def test_drawn_captions_are_three_of_the_ten_best() -> None:
    similarity = np.random.default_rng(0).normal(size=(50, 40))
    drawn = drawn_captions(similarity, 1)
    assert drawn.shape == (50, 3)
    for row, picks in zip(similarity, drawn, strict=True):
        assert set(picks) <= set(np.argsort(-row)[:10])
        assert len(set(picks.tolist())) == 3


def test_a_hub_is_drawn_less_often_than_evenly() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.normal(size=(2000, 400))
    similarity[:, 7] = 10.0  # in every top ten
    drawn = drawn_captions(similarity, 0)
    assert (drawn == 7).any(axis=1).mean() < 0.1  # an even draw would give 0.3


def test_true_facts_counts_by_hand() -> None:
    pool = [Caption("a", ("drums:yes", "tempo:slow")), Caption("b", ("style:jazz",))]
    facts = [frozenset({"drums:yes", "tempo:fast", "style:jazz"})]
    assert _true_facts(np.array([[0, 1, 0]]), pool, facts) == (1.0, pytest.approx(3 / 5))


def test_pool_captions_differ_and_repeat_by_seed() -> None:
    pool = caption_pool(3, size=60)
    assert len({c.text for c in pool}) == 60
    assert pool == caption_pool(3, size=60)


def test_table_has_mean_and_spread() -> None:
    runs = [
        [Figures(name="style", classes=3, windows=10, chance=1 / 3, result=r, shuffled=0.3, plain=0.4)]
        for r in (0.5, 0.7)
    ]
    assert as_table(runs).splitlines()[-1] == "| style | 3 | 20 | 0.333 | 0.400 | 0.300 | 0.600 (0.500 to 0.700) |"
