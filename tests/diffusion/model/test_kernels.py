"""Where compiling and CUDA graphs work, what is done where they do not, and that they change nothing."""

import os

import pytest
import torch

from diffusion.generation.stage_model import StageModel
from diffusion.model.config import STAGES
from diffusion.model.kernels import CudaGraphs, compile_where_it_works
from diffusion.model.unet import UNet
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput
from tests.diffusion.small import small_run, small_stage

pytestmark = pytest.mark.slow
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)


def test_without_a_compiler_a_run_that_would_compile_trains_all_the_same(crate, clap, tmp_path, no_compiler, capsys):
    config = small_run("waveform-generator", clap, compile=True, total_steps=1)
    assert train_stage(config, [CrateUse(crate)], tmp_path / "out", cpu=True).step == 1
    assert "not compiled: there is no C++ compiler" in capsys.readouterr().out


def test_without_a_compiler_who_asks_for_it_is_refused(run, no_compiler):
    with pytest.raises(BadInput, match=r"cannot be compiled here: there is no C\+\+ compiler"):
        StageModel.load(run / STAGES[0], compile=True)


def test_where_code_is_kept(monkeypatch, tmp_path):
    """Beside the other caches, unless the user says; compiling itself is not done before the first call."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr("diffusion.model.kernels.why_not_compiled", lambda device: "")
    with torch.device("meta"):
        model = UNet(small_stage("super-resolution").unet)
    compile_where_it_works(model, "cpu")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "cratedig" / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    compile_where_it_works(model, "cpu")
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "mine")


def test_weights_laid_out_for_a_gpu_are_the_same_weights():
    """Values, outputs, and gradients in the parameters' layout, so that an optimizer reads both in one order."""
    torch.manual_seed(0)
    model = UNet(small_stage("super-resolution").unet)
    torch.nn.init.normal_(model.exit.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, t = torch.randn(2, 1, 256), torch.rand(2)
    plain = model(x, t, stacked_BCT=x)
    assert model.weights_channels_last() is model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    kernel = model.down[0].blocks[0].conv_1.weight
    assert kernel.unsqueeze(2).is_contiguous(memory_format=torch.channels_last)
    out = model(x, t, stacked_BCT=x)
    torch.testing.assert_close(out, plain)
    out.square().mean().backward()
    assert kernel.grad.stride() == kernel.stride()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_graphs_without_cuda_are_refused(run):
    with pytest.raises(BadInput, match="no CUDA device"):
        StageModel.load(run / STAGES[0], cuda_graphs=True)


@CUDA
def test_a_graph_gives_what_the_network_gives():
    config = small_stage("waveform-generator")
    torch.manual_seed(0)
    model = UNet(config.unet).cuda().eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    graphs = CudaGraphs(model)
    text = {
        "text_BLW": torch.randn(2, 5, config.unet.text_width).cuda(),
        "text_mask_BL": torch.ones(2, 5).bool().cuda(),
    }
    for length in (256, 256, 512):
        x, t = torch.randn(2, 1, length).cuda(), torch.rand(2).cuda()
        for pair in (False, True):
            torch.testing.assert_close(
                graphs(x, t, guidance_pair=pair, **text), model(x, t, guidance_pair=pair, **text), rtol=1e-3, atol=1e-3
            )
