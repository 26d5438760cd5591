"""Stand-ins for what a peer imports and its loader never calls, or cannot have without CUDA; checks say which."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path


def stand_in(*names: str) -> None:
    """Empty modules whose every attribute is an empty class."""
    for name in names:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__path__ = []

        def attribute(wanted: str) -> type:
            if wanted.startswith("__"):
                raise AttributeError(wanted)
            return type(wanted, (), {})

        module.__getattr__ = attribute  # type: ignore[method-assign]
        sys.modules[name] = module


def without_init(*packages: str) -> None:
    """Packages whose `__init__` would import models and training: their modules, without it."""
    for package in packages:
        top, _, rest = package.partition(".")
        found = importlib.machinery.PathFinder.find_spec(top)
        assert found is not None, f"{top} is not installed"
        folder = Path(found.submodule_search_locations[0], *rest.split(".") if rest else ())
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module


def soundfile_decodes_for_torchaudio() -> None:
    """torchaudio from 2.9 on decodes by torchcodec alone, whose wheel wants CUDA libraries even on a CPU."""
    import soundfile
    import torch
    import torchaudio

    def load(source: object, format: str | None = None, frame_offset: int = 0, num_frames: int = -1, **_: object):  # type: ignore[no-untyped-def]
        samples_TC, rate = soundfile.read(
            source, dtype="float32", always_2d=True, start=frame_offset, frames=num_frames
        )
        return torch.from_numpy(samples_TC.T.copy()), rate

    torchaudio.load = load
