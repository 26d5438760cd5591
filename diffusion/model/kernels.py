"""How a device computes: fast kernels on a GPU, blocks compiled where they can be, CUDA graphs for sampling."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusion.model.unet import UNet

__all__ = ["CudaGraphs", "compile_where_it_works", "fast_kernels", "fast_weights", "not_compiled", "why_not_compiled"]

_WARM_UP = 3
_COMPILERS = ("g++", "c++", "clang++")


def fast_kernels(device: torch.device | str) -> None:
    """cuDNN tries its algorithms on the first batch of each shape, and float32 products are TF32: for this process."""
    if torch.device(device).type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def fast_weights(model: UNet, device: torch.device | str) -> UNet:
    """The model with its weights laid out as the device's kernels want them."""
    return model.weights_channels_last() if torch.device(device).type == "cuda" else model


def compile_where_it_works(
    model: UNet, device: torch.device | str, *, say: Callable[[str], None] = lambda _: None
) -> UNet:
    """`UNet.compile_blocks`, with what was compiled kept for the next process; where that can't be, the model as it is.

    Torch's own place for compiled code is the machine's temporary folder, which jobs and containers begin without.
    """
    if why := why_not_compiled(device):
        say(f"not compiled: {why}")
        return model
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home / "cratedig" / "compiled"))
    return model.compile_blocks()


def not_compiled() -> AbstractContextManager[Any]:
    """Within it compiled modules run as they are: for a few calls of other shapes, each of which would be compiled."""
    return torch.compiler.set_stance("force_eager")


def why_not_compiled(device: torch.device | str) -> str:
    """What torch.compile lacks here; empty where it lacks nothing."""
    named = (os.environ.get("CXX"), *_COMPILERS)
    if not any(shutil.which(name) for name in named if name):
        return f"there is no C++ compiler ({', '.join(_COMPILERS)})"
    if torch.device(device).type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major < 7:
            return f"this GPU has compute capability {major}.{minor}, Triton needs 7.0"
        if find_spec("triton") is None:
            return "Triton is not installed (pip install triton)"
    return ""


class CudaGraphs:
    """A network whose kernels are recorded once for each shape and then launched together, which spares the time
    between them: what a small network on a large GPU spends most of its time with.

    Takes what `UNet.forward` takes, tensors by name. One shape is kept, the last: its memory is that of a call.
    """

    def __init__(self, model: UNet) -> None:
        self._model = model
        self._shape: tuple[Any, ...] = ()

    @torch.no_grad()
    def __call__(self, x_BCT: Tensor, t_B: Tensor, *, guidance_pair: bool = False, **given: Tensor) -> Tensor:
        tensors = {"x_BCT": x_BCT, "t_B": t_B, **given}
        shape = (guidance_pair, *((name, value.shape, value.dtype) for name, value in tensors.items()))
        if shape != self._shape:
            self._record(tensors, guidance_pair)
            self._shape = shape
        for name, value in tensors.items():
            self._inputs[name].copy_(value)
        self._graph.replay()
        return self._output.clone()

    def _record(self, tensors: dict[str, Tensor], guidance_pair: bool) -> None:
        """Beside the current stream first, so that libraries have chosen their algorithms and taken their memory."""
        self._inputs = {name: value.clone() for name, value in tensors.items()}
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP):
                self._model(**self._inputs, guidance_pair=guidance_pair)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = self._model(**self._inputs, guidance_pair=guidance_pair)
