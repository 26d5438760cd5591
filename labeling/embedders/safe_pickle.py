"""Tensors out of a `.pt` or `.bin` file, and nothing else out of it: such files are pickles, which can run code."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.errors import BadInput, EmbedderProblem

__all__ = ["HARMLESS", "load_tensors"]

_DTYPES = (np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_)


def _harmless() -> list[Any]:
    """NumPy's number constructors under the names that old and new versions pickle them by."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *(type(np.dtype(d)) for d in _DTYPES)]


HARMLESS = _harmless()
"""What may stand in a checkpoint beside tensors and plain containers: LAION's hold an epoch's scores as NumPy numbers.
None of these calls anything when it is read."""


def load_tensors(file: Path, inside: str | None = None) -> dict[str, torch.Tensor]:
    """The dictionary of tensors in `file`, under its key `inside` where it has one; tensors stay on disk till used."""
    if not file.is_file():
        raise BadInput(f"no file at {file}: expected a checkpoint such as music_audioset_epoch_15_esc_90.14.pt")
    try:
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles; the error says it
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")
        found = next((line.strip() for line in reason if "GLOBAL" in line or "Unsupported" in line), reason[0])
        raise EmbedderProblem(
            f"{file} is no checkpoint, or holds more than tensors, and reading that could run code; it was not read "
            f"({found}); have its makers save the state_dict alone, or as safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise EmbedderProblem(
            f"{file} ({file.stat().st_size} bytes) can't be read as a torch checkpoint ({str(error).splitlines()[0]}); "
            "it may be cut short: fetch it again"
        ) from error
    state = content.get(inside, content) if isinstance(content, dict) and inside else content
    if not isinstance(state, dict) or not state:
        raise EmbedderProblem(f"{file} holds a {type(state).__name__}: expected a state_dict of named tensors")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise EmbedderProblem(
                f"{file}: {key!r} is a {type(value).__name__}: expected a state_dict, which holds tensors only"
            )
    return state


def _is_zip(file: Path) -> bool:
    """Torch's format since 1.6, the only one that can be mapped."""
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
