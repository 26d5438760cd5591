"""What embedders share that run through their makers' own packages.

Such packages fetch parts of a model by name when they load it; here they may only take them from the hub's cache, so
that a run never depends on a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EmbedderProblem

__all__ = ["cache_only", "hash_files", "normalised", "package"]


def package(name: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EmbedderProblem(f"this model needs the package {name} ({error}): {install}") from error


@contextlib.contextmanager
def cache_only(model: str, remedy: str) -> Iterator[None]:
    """The hub's client keeps to its cache: without a network it would otherwise retry for many minutes."""
    import huggingface_hub.constants

    try:
        with mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True):
            yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()
        raise EmbedderProblem(
            f"{model} can't be loaded ({reason[0] if reason else type(error).__name__}); where a part of it is not in "
            f"the hub's cache: {remedy}"
        ) from error


def hash_files(files: list[Path]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                total.update(block)
    return total.hexdigest()


def normalised(found: Any) -> NDArray[np.float32]:
    import torch

    return torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy()
