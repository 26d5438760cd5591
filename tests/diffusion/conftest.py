"""A crate, a text tower, and all five stages, hardly trained; shared, and never written to."""

import pytest
import torch

from diffusion.model.config import STAGES
from diffusion.training.train_job import CrateUse, train_stage
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run
from tests.tiny_clap import make_tiny_clap


@pytest.fixture(scope="session")
def crate(tmp_path_factory):
    return make_crate(tmp_path_factory.mktemp("crate"), shards=1, tracks=2, clips=2, clip_s=0.8)


@pytest.fixture(scope="session")
def clap(tmp_path_factory):
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap")))


@pytest.fixture(scope="session")
def run(crate, clap, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run")
    for stage in STAGES:
        train_stage(small_run(stage, clap, total_steps=2), [CrateUse(crate)], out / stage, cpu=True)
    return out
