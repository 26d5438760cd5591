"""Where torch computes, and transformers kept from talking while it loads."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import torch

from pipeline.errors import EmbedderProblem

__all__ = ["choose_device", "quiet"]


def choose_device(device: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU."""
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        chosen = torch.device(name)
    else:
        chosen = torch.device(device)
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(chosen.type, True):
        raise EmbedderProblem(f"device {device}: this machine's torch {torch.__version__} has none; use cpu or auto")
    if chosen.type == "cuda":  # the same bits every time, and full float32
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
    return chosen


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bar, and no table of missing keys: those are an error here, said once."""
    from transformers.utils import logging as transformers_logging

    bars, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
