"""Probes of composed windows: what decides a window, and that a fact is found where recordings vary with it."""

from __future__ import annotations

import numpy as np

from labeling.recipe.judging.probes import probes, verdicts


def test_a_fact_is_true_false_or_undecided_of_a_window() -> None:
    windows = [["drums:yes", "mood:sad"], ["drums:no", "instrument:violin"], ["family:brass"]]
    facts = ["drums:yes", "mood:sad", "mood:happy", "instrument:violin", "family:strings"]
    undecided = np.nan
    expected = [
        [1, 1, 0, 0, 0],
        [0, undecided, undecided, 1, 1],  # what follows from a fact holds, too; a piece without a mood decides none
        [undecided, undecided, undecided, 0, 0],
    ]
    np.testing.assert_array_equal(verdicts(facts, windows), expected)


def test_a_probe_points_along_the_fact_and_not_along_what_goes_with_it_in_recordings_alone() -> None:
    dice = np.random.default_rng(0)
    holds_W = (np.arange(400) % 2).astype(np.float64)
    windows_WD = dice.normal(0, 1, (400, 6)).astype(np.float32)
    windows_WD[:, 2] += 3 * holds_W  # the fact
    windows_WD[:, 4] += windows_WD[:, 2]  # follows it, and says no more
    clips_BD = (dice.normal(0, 1, (300, 6)) * [1, 1, 2, 1, 0.01, 1]).astype(np.float32)
    rare_W = np.where(np.arange(400) < 3, 1.0, 0.0)
    unknown_W = np.full(400, np.nan)
    unknown_W[:100] = holds_W[:100]
    fact, rare, half_known = probes(windows_WD, np.stack([holds_W, rare_W, unknown_W], axis=1), clips_BD)
    assert rare is None
    for probe in (fact, half_known):
        assert probe is not None
        assert probe[2] > 0.9 * np.linalg.norm(probe)
        assert abs(probe[4]) < 0.1 * probe[2]  # recordings do not vary along it
