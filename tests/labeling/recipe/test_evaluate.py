"""The measures, on numbers small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.recipe.judging.controls import FactScores, choose_class, mel_statistics
from labeling.recipe.judging.evaluate import (
    TASKS,
    Figures,
    _true_facts,
    as_table,
    caption_pool,
    drawn_captions,
    retrieval,
    zero_shot,
)
from labeling.recipe.training.captions import Caption

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


def test_the_plain_control_learns_what_level_by_band_tells() -> None:
    """Jazz is bass here and rock treble; who has drums is not to be heard."""
    rng = np.random.default_rng(0)
    jazz = rng.random(200) < 0.5
    mels = rng.normal(size=(200, 6, 8)).astype(np.float32)
    mels[:, :, 0] += 5.0 * jazz[:, None]
    X = mel_statistics(mels)
    assert X.shape == (200, 16)
    styles = ("style:jazz", "style:rock")
    answers = ["style:jazz" if j else "style:rock" for j in jazz]
    chosen = choose_class(X[:150], answers[:150], styles, X[150:])
    assert chosen is not None
    assert (chosen == ~jazz[150:]).mean() > 0.95
    assert choose_class(X[:10], answers[:10], styles, X[150:]) is None
    facts = [frozenset({a, "drums:yes"}) for a in answers]
    scores = FactScores(X[:150], facts[:150], X[150:]).of(
        [Caption("a", ("style:jazz",)), Caption("b", ("style:rock",))]
    )
    assert scores.shape == (2, 50)
    assert ((scores[0] > scores[1]) == jazz[150:]).mean() > 0.95
    sure = FactScores(X[:150], facts[:150], X[150:]).of([Caption("a", ("drums:yes",))])
    assert np.abs(sure).max() < 0.1  # true of all, so it says nothing


def test_retrieval_counts_by_hand() -> None:
    similarity = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32)
    assert retrieval(similarity, at=1) == pytest.approx(1 / 3)
    assert retrieval(similarity, at=2) == pytest.approx(2 / 3)


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
