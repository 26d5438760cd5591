"""Distances against other people's formulas, against theory, and against the obvious ways to compute them.

N vectors, D dimensions.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.evaluation.frechet import chance_distance, extrapolate, frechet_distance, subset_sizes
from labeling.evaluation.kernel import kad, kernel_distance, median_distance
from labeling.evaluation.moments import Moments, read_moments, write_moments
from labeling.evaluation.neighbours import look_around
from pipeline.errors import BadInput, IndexMismatch

PEERS = json.loads((Path(__file__).parent / "peers.json").read_text())
"""What fadtk 1.1.0, frechet-audio-distance 0.3.4, kadtk 1.1.0 and prdc 0.2 say of `peer_sets`: see check_peers.py."""


def peer_sets() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two sets of vectors as unlike as real ones: another mean, another spread."""
    rng = np.random.default_rng(11)
    scale_D = 0.2 * np.exp(-np.arange(48) / 12)
    return rng.normal(size=(220, 48)) * scale_D, rng.normal(size=(180, 48)) * scale_D * 0.85 + 0.01


def gaussian(count: int, seed: int, scale_D: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, len(scale_D))) * scale_D


SCALE = np.sqrt(0.4 * np.exp(-np.arange(96) / 20))
TRUE = Moments(count=0, mean_D=np.zeros(96), covariance_DD=np.diag(SCALE**2))


def test_frechet_is_what_other_packages_compute() -> None:
    a, b = peer_sets()
    found = frechet_distance(Moments.of(a), Moments.of(b))
    assert found == pytest.approx(PEERS["fadtk"], abs=1e-6)
    assert found == pytest.approx(PEERS["frechet_audio_distance"], abs=1e-6)


def test_the_stored_figures_are_what_those_packages_say() -> None:
    folder = os.environ.get("CRATEDIG_FAD_PEERS", "")
    if not folder:
        pytest.skip("CRATEDIG_FAD_PEERS names no folder with those packages; see check_peers.py")
    from tests.labeling.evaluation.check_peers import run_peers

    found = run_peers(Path(folder))
    for name, value in PEERS.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_extrapolation_is_fadtks_for_the_same_draws() -> None:
    a, b = peer_sets()
    sizes = [int(n) for n in np.linspace(100, len(b), 25)]
    found = extrapolate(Moments.of(a), b, sizes, draw=np.random.RandomState(5))
    assert found.distance == pytest.approx(PEERS["fadtk_inf"], abs=1e-6)
    assert found.r2 == pytest.approx(PEERS["fadtk_inf_r2"], abs=1e-6)


def test_kernel_distance_by_kadtks_conventions_is_kadtks() -> None:
    a, b = peer_sets()
    assert kad(a, b) == pytest.approx(PEERS["kadtk"], abs=1e-6)


def test_neighbours_are_those_of_prdc() -> None:
    found = look_around(*peer_sets())
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(PEERS["prdc"][name], abs=1e-12)


def test_kernel_distance_is_the_double_sum_written_out() -> None:
    a, b = (x[:30] for x in peer_sets())
    d2 = lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1)  # noqa: E731
    s = np.median(np.sqrt(d2(a, a)[np.triu_indices(30, 1)]))
    assert median_distance(a) == pytest.approx(s, rel=1e-9)
    k = lambda x, y: np.exp(-d2(x, y) / (2 * s * s))  # noqa: E731
    within = sum((k(x, x).sum() - 30) / (30 * 29) for x in (a, b))
    assert kernel_distance(a, b) == pytest.approx(within - 2 * k(a, b).mean(), abs=1e-9)


@pytest.mark.parametrize("count", [40, 300])  # fewer than dimensions, and more
def test_an_identical_set_is_at_distance_0(count: int) -> None:
    x = gaussian(count, 0, SCALE)
    assert frechet_distance(Moments.of(x), Moments.of(x.copy())) < 1e-10
    assert abs(kernel_distance(x, x[::-1].copy())) < 1e-9
    around = look_around(x, x)
    assert (around.precision, around.recall, around.coverage) == (1, 1, 1)


def test_gaussians_that_differ_in_one_direction_have_the_distance_of_the_formula() -> None:
    one = Moments(count=0, mean_D=np.zeros(2), covariance_DD=np.diag([4.0, 1.0]))
    two = Moments(count=0, mean_D=np.array([3.0, 0.0]), covariance_DD=np.diag([1.0, 1.0]))
    assert frechet_distance(one, two) == pytest.approx(9 + (2 - 1) ** 2)


@pytest.mark.parametrize("count", [500, 2_000])
def test_two_halves_are_apart_by_what_theory_says(count: int) -> None:
    found = [
        frechet_distance(Moments.of(both[:count]), Moments.of(both[count:]))
        for both in (gaussian(2 * count, seed, SCALE) for seed in range(4))
    ]
    assert np.mean(found) == pytest.approx(chance_distance(TRUE, count, count), rel=0.05)
    one = [frechet_distance(TRUE, Moments.of(gaussian(count, seed, SCALE))) for seed in range(4)]
    assert np.mean(one) == pytest.approx(chance_distance(TRUE, 0, count), rel=0.05)


@pytest.mark.parametrize(("first", "second"), [(20, 20), (15, 200), (0, 25)])
def test_chance_is_right_for_sets_smaller_than_the_dimension_too(first: int, second: int) -> None:
    even = Moments(count=0, mean_D=np.zeros(96), covariance_DD=np.eye(96) / 96)

    def sample(count: int, seed: int) -> Moments:
        return Moments.of(gaussian(count, seed, np.full(96, 96**-0.5))) if count else even

    found = [frechet_distance(sample(first, 2 * s), sample(second, 2 * s + 1)) for s in range(8)]
    assert chance_distance(even, first, second) == pytest.approx(np.mean(found), rel=0.06)


def test_extrapolation_without_replacement_takes_the_bias_off_and_with_it_leaves_much() -> None:
    chance = chance_distance(TRUE, 0, 400)
    without, replaced, plain = [], [], []
    for seed in range(4):
        x = gaussian(400, seed, SCALE)
        plain.append(frechet_distance(TRUE, Moments.of(x)))
        sizes = subset_sizes(len(x), 97)
        without.append(extrapolate(TRUE, x, sizes, replace=False).distance)
        replaced.append(extrapolate(TRUE, x, sizes).distance)
    assert np.mean(plain) == pytest.approx(chance, rel=0.1)
    assert abs(np.mean(without)) < 0.2 * chance
    assert 0.3 * chance < np.mean(replaced) < np.mean(plain)


def test_parts_together_are_the_whole(tmp_path: Path) -> None:
    x = gaussian(101, 3, SCALE) + 5
    whole = Moments.nothing(96)
    for part in (x[:1], x[1:40], x[40:40], x[40:]):
        whole = whole.with_others(Moments.of(part))
    assert whole.count == 101
    np.testing.assert_allclose(whole.mean_D, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(whole.covariance_DD, np.cov(x, rowvar=False), atol=1e-12)


def test_statistics_come_back_and_are_fadtks() -> None:
    moments = Moments.of(gaussian(50, 1, SCALE))
    data = write_moments(moments, {"name": "m"}, "m")
    assert data == write_moments(moments, {"name": "m"}, "m"), "same statistics, same bytes"
    back, about = read_moments(data, "x.npz")
    assert (back.count, about) == (50, {"name": "m"})
    np.testing.assert_array_equal(back.covariance_DD, moments.covariance_DD)


def test_bad_statistics_get_a_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), cov=np.zeros((4, 4)))
    with pytest.raises(BadInput, match=r"mu has shape \(3,\), cov \(4, 4\)"):
        read_moments((tmp_path / "a.npz").read_bytes(), "a.npz")
    with pytest.raises(BadInput, match="no file of statistics"):
        read_moments(b"no npz", "b.npz")
    np.savez(tmp_path / "c.npz", **{"x.mu": np.zeros(2), "y.mu": np.zeros(2)})
    with pytest.raises(BadInput, match="holds statistics of x, y and not of 'z'"):
        read_moments((tmp_path / "c.npz").read_bytes(), "c.npz", wanted="z")
    np.savez(tmp_path / "d.npz", mu=np.array([np.nan]), cov=np.ones((1, 1)))
    with pytest.raises(BadInput, match="NaN"):
        read_moments((tmp_path / "d.npz").read_bytes(), "d.npz")
    np.savez(tmp_path / "e.npz", mu=np.array(["x"], dtype=object), cov=np.ones((1, 1)))
    with pytest.raises(BadInput, match="no file of statistics"):
        read_moments((tmp_path / "e.npz").read_bytes(), "e.npz")  # pickled: not read


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(IndexMismatch, match="96 and of 2"):
        frechet_distance(TRUE, Moments.of(np.eye(2)))


def test_a_vector_far_from_all_is_the_strangest() -> None:
    x, y = gaussian(100, 0, SCALE), gaussian(50, 1, SCALE)
    y[17] += 10
    around = look_around(x, y)
    assert around.strangeness_M.argmax() == 17
    assert np.median(np.delete(around.strangeness_M, 17)) == pytest.approx(1, abs=0.2)
