"""The text steers what is generated: the benchmark of it, made small."""

import pytest
import torch

from benchmarks.diffusion_conditioning import conditioning

pytestmark = pytest.mark.slow


def test_the_right_class_comes_out(tmp_path):
    torch.set_num_threads(1)
    result = conditioning(tmp_path, encoder="bundled", steps=250, prompts=5, guidances=(3.0,), seconds=0.32)
    guided = result["guidance_3"]
    assert guided["of"] == 10
    assert guided["right"] >= 9, guided["centroids_hz"]
