"""How fast the U-Net trains on this machine, kernel by kernel, and other projects' networks of as many parameters.

    pip install --no-deps --target peers a-unet==0.0.16 stable-audio-tools==0.0.19 einops      not dependencies
    PYTHONPATH=peers:. python -m benchmarks.diffusion_peers --parameters 5 --cpu

One process, forward and backward pass of the same samples (B, 1, T), float32 on a CPU and bf16 on a GPU. Operations are
torch's own count of what was run. Each network is as wide as comes nearest to the parameters asked for: ours in the
shape of the waveform generator, a-unet's blocks with the same strides and depths, and a transformer as
stable-audio-tools builds it, on patches of 64 samples. What is not installed is left out, with the reason.

The share of the matrix rate is of a float32 (bf16) product of 1,024 (8,192) rows, measured in the same process. Kernels
are the time of each kind of operation by torch's profiler; what is left of the step is what Python and autograd take.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from diffusion.model.kernels import fast_kernels
from diffusion.model.unet import UNet
from diffusion.model.unet_config import UNetConfig

__all__ = ["main"]

_STRIDES, _MULTIPLIERS, _BLOCKS = (4, 4, 4, 4), (1, 2, 4, 4), (1, 1, 2, 2)
_DEEP = (False, False, True, True)
_HEADS, _PATCH = 4, 64
_KINDS = {  # the first whose name begins an operation's counts it
    "convolution, backward": ("convolution_backward",),
    "convolution": ("mkldnn_convolution", "_slow_conv2d", "cudnn_convolution", "convolution"),
    "group norm, backward": ("native_group_norm_backward", "native_layer_norm_backward"),
    "group norm": ("native_group_norm", "native_layer_norm"),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "attention": ("_scaled_dot_product",),
}

Network = tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]
"""A network, and how it is called with (x, t)."""


def ours(width: int) -> Network:
    model = UNet(
        UNetConfig(
            signal_channels=1, base=width, kernel=5, strides=_STRIDES, multipliers=_MULTIPLIERS, blocks=_BLOCKS,
            self_attention=_DEEP, cross_attention=(False,) * 4, heads=_HEADS, groups=8,
        )
    )  # fmt: skip
    return model, lambda x, t: model(x, t)


def a_unet(width: int) -> Network:
    from a_unet.apex import AttentionItem, ModulationItem, ResnetItem, XBlock, XUNet

    blocks = [
        XBlock(
            channels=width * multiplier,
            factor=factor,
            items=[ResnetItem, ModulationItem, *([AttentionItem] if attends else [])] * count,
            attention_features=width * multiplier // _HEADS,
        )
        for factor, multiplier, count, attends in zip(_STRIDES, _MULTIPLIERS, _BLOCKS, _DEEP, strict=True)
    ]
    model = XUNet(
        in_channels=1, blocks=blocks, dim=1, resnet_groups=8, modulation_features=width, attention_heads=_HEADS
    )
    return model, lambda x, t: model(x, features=t[:, None].expand(-1, width))


def stable_audio(heads: int) -> Network:
    """Of 64 channels each, as its rotary embedding wants."""
    from stable_audio_tools.models.dit import DiffusionTransformer

    model = DiffusionTransformer(io_channels=_PATCH, embed_dim=64 * heads, depth=8, num_heads=heads)

    def call(x: Tensor, t: Tensor) -> Tensor:
        patches = x.view(len(x), -1, _PATCH).transpose(1, 2)
        made: Tensor = model(patches, t)
        return made.transpose(1, 2).reshape(x.shape)

    return model, call


PEERS: dict[str, tuple[str, Callable[[int], Network], int]] = {
    "cratedig": ("diffusion", ours, 16),
    "a-unet 0.0.16": ("a_unet", a_unet, 16),
    "stable-audio-tools 0.0.19": ("stable_audio_tools", stable_audio, 1),
}
"""Its package, and how it is built with a width, in steps of the last."""


def of_size(build: Callable[[int], Network], grain: int, parameters: float) -> Network:
    """As wide as comes nearest to so many parameters."""
    counts = {0: 0}
    while counts[width := max(counts)] < parameters:
        counts[width + grain] = sum(p.numel() for p in build(width + grain)[0].parameters())
    return build(min(counts, key=lambda w: abs(counts[w] - parameters)))


def matrix_rate(device: torch.device) -> float:
    """FLOP/s, the best of a few."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    a = torch.randn(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(5):
        _wait(device)
        start = time.perf_counter()
        a @ a
        _wait(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def measure(network: Network, batch: int, length: int, device: torch.device, steps: int) -> dict[str, Any]:
    model, call = network
    model.to(device).train()
    x, t = torch.randn(batch, 1, length, device=device), torch.rand(batch, device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = call(x, t).float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        _wait(device)

    with FlopCounterMode(display=False) as counted:
        step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    flop, step_s = counted.get_total_flops(), median(seconds)
    rate = matrix_rate(device)
    return {
        "parameters_m": _short(sum(p.numel() for p in model.parameters()) / 1e6),
        "gflop": _short(flop / 1e9),
        "ms": _short(1e3 * step_s),
        "samples_per_s": _short(batch / step_s),
        "gflop_per_s": _short(flop / step_s / 1e9),
        "share_of_matrix_rate": _short(flop / step_s / rate),
        "kernels": kernels(step, device),
    }


def kernels(step: Callable[[], None], device: torch.device) -> dict[str, Any]:
    """Of one step: ms of each kind, and which share of the step all operations take together."""
    step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        start = time.perf_counter()
        step()
        wall = time.perf_counter() - start
    found: dict[str, float] = defaultdict(float)
    for event in recorded.key_averages():
        if event.key.startswith("aten::"):
            name = event.key.removeprefix("aten::")
            kind = next((k for k, names in _KINDS.items() if name.startswith(names)), "all else")
            own = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
            found[kind] += own / 1e3
    ms = {kind: _short(value) for kind, value in sorted(found.items(), key=lambda item: -item[1])}
    return {**ms, "share_of_the_step": _short(sum(found.values()) / 1e3 / wall)}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=5.0, help="of each network, in millions")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=8192, help="samples")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    fast_kernels(device)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    for name, (package, build, grain) in PEERS.items():
        if find_spec(package) is None:
            found[name] = f"left out: {package} is not installed (see --help)"
            continue
        found[name] = measure(of_size(build, grain, args.parameters * 1e6), args.batch, args.length, device, args.steps)
    threads = f"{torch.get_num_threads()} CPU threads"
    print(json.dumps({"device": torch.cuda.get_device_name() if device.type == "cuda" else threads, **found}, indent=1))


if __name__ == "__main__":
    main()
