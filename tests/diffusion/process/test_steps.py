"""Table 8: sums, counts, direction."""

import numpy as np
import pytest

from diffusion.model.stages import paper_stage
from diffusion.process.steps import TABLE_8, step_sizes, step_times
from pipeline.errors import BadInput

TABLE_4_STEPS = {
    "waveform-generator": 1000,
    "waveform-cascader": 800,
    "spectrogram-generator": 1000,
    "spectrogram-vocoder": 100,
    "super-resolution": 800,
}


@pytest.mark.parametrize(("stage", "name"), [(s, n) for s in TABLE_8 for n in TABLE_8[s]])
def test_every_schedule_sums_to_one_and_is_pinned(stage, name):
    assert step_sizes(stage, name).sum() == pytest.approx(1, abs=1e-12)
    times = step_times(stage, name)
    assert times[0] == 0
    assert times[-1] == 1
    assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize("stage", list(TABLE_4_STEPS))
def test_the_evaluation_schedule_has_table_4s_steps(stage):
    assert len(step_sizes(stage, paper_stage(stage).sampling.schedule)) == TABLE_4_STEPS[stage]


def test_front_heavy_has_its_small_steps_at_the_clean_end():
    times = step_times("waveform-generator", "front_heavy")
    assert times[200] == pytest.approx(0.01)
    assert times[600] == pytest.approx(0.05)
    assert times[-51] == pytest.approx(0.5)
    back = step_times("waveform-generator", "back_heavy")
    np.testing.assert_allclose(back, 1 - times[::-1], atol=1e-12)
    assert len(step_sizes("spectrogram-generator", "front_heavy")) == 2000
    assert step_times("spectrogram-generator", "back_heavy_eval")[50] == pytest.approx(0.3)


def test_fewer_steps_walk_the_same_curve():
    full = step_times("spectrogram-vocoder", "front_heavy")
    np.testing.assert_allclose(step_times("spectrogram-vocoder", "front_heavy", 50), full[::2], atol=1e-12)
    assert len(step_times("spectrogram-vocoder", "front_heavy", 7)) == 8


def test_own_step_sizes():
    np.testing.assert_allclose(step_times("super-resolution", [0.25, 0.75]), [0, 0.25, 1])


@pytest.mark.parametrize("sizes", [[], [0.5, 0.6], [1.5, -0.5], [float("nan"), 1]])
def test_bad_step_sizes(sizes):
    with pytest.raises(BadInput, match="step"):
        step_times("super-resolution", sizes)


def test_unknown_schedule_names_those_of_the_stage():
    with pytest.raises(BadInput, match="back_heavy_eval"):
        step_times("spectrogram-generator", "sideways")
