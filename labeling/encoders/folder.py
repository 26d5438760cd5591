"""What folders of audio networks share: a config.json, one file of safetensors, and a hash over both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labeling.embedders.maker_package import hash_files
from pipeline.errors import EmbedderProblem

__all__ = ["folder_hash", "read_config", "read_weights"]

WEIGHTS = "model.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    """Raises EmbedderProblem where the folder is not whole."""
    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            pickled = sorted(p.name for p in folder.glob("*.bin")) + sorted(p.name for p in folder.glob("*.pt*"))
            remedy = (
                f"{pickled[0]} is pickled and could run code; this reads nothing but tensors from it: "
                f"cratedig evaluate convert {folder} OUT"
                if pickled and name == WEIGHTS
                else "fetch it again"
            )
            raise EmbedderProblem(f"{folder} has no {name}; {remedy}")
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmbedderProblem(f"{folder}/config.json is not valid JSON ({error}); fetch the model again") from error
    return config


def folder_hash(folder: Path) -> str:
    """Of everything that moves a vector."""
    files = [folder / name for name in ("config.json", "preprocessor_config.json", WEIGHTS)]
    return hash_files([file for file in files if file.is_file()])


def read_weights(folder: Path) -> dict[str, Any]:
    """Name -> tensor on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise EmbedderProblem(f"{folder / WEIGHTS} cannot be read ({error}); fetch or convert it again") from error
