"""Checkpoints: a folder of safetensors and JSON that takes its name when it is complete. Nothing is ever unpickled.

step-00001200/
    model.safetensors       the weights
    ema.safetensors         their moving average: what sampling uses
    optimizer.safetensors   Adam's moments, `exp_avg.<parameter>` and `exp_avg_sq.<parameter>`
    state.json              step, configuration, text encoder, data, and the sha256 of the three

What `cratedig export-model` writes has the averaged weights alone, as model.safetensors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from diffusion.model.config import TrainConfig
from pipeline.errors import BadInput, RunFailed

__all__ = ["Checkpoint", "latest_checkpoint", "list_checkpoints", "read_checkpoint", "save_checkpoint", "save_weights"]

_REMEDY = "use another checkpoint; to train on from the one before, delete its folder"
_FORMAT = 1
_FILES = ("model.safetensors", "ema.safetensors", "optimizer.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint; tensors are read when they are asked for."""

    folder: Path
    step: int
    config: TrainConfig
    text_encoder: dict[str, Any] | None
    data: list[dict[str, Any]]
    """Crates, label runs and weights it was trained with."""
    state: dict[str, Any]

    @property
    def averaged_file(self) -> str:
        """`ema.safetensors`; in an export, which has no others, `model.safetensors`."""
        return _FILES[1] if _FILES[1] in self.state["sha256"] else _FILES[0]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """`model`, `ema` or `optimizer`, after a comparison with the sha256 in `state.json`."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self.folder / (self.averaged_file if name == "ema" else f"{name}.safetensors")
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != self.state["sha256"][path.name]:
                raise BadInput(f"{path} is truncated or changed (sha256 differs); {_REMEDY}")
            return load(data)
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{path} cannot be read as safetensors ({error}); {_REMEDY}") from error


def save_checkpoint(
    root: Path,
    step: int,
    config: TrainConfig,
    tensors: Mapping[str, Mapping[str, Tensor]],
    *,
    text_encoder: dict[str, Any] | None,
    data: list[dict[str, Any]],
    keep: int,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write under a temporary name, rename, and only then drop what is older than the last `keep`.

    Raises RunFailed where the disk is full; nothing finished is lost then.
    """
    final = _save(root / f"step-{step:08d}", step, config, tensors, text_encoder, data, extra)
    for old in list_checkpoints(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def save_weights(
    folder: Path,
    step: int,
    config: TrainConfig,
    weights: Mapping[str, Tensor],
    *,
    text_encoder: dict[str, Any] | None,
    data: list[dict[str, Any]],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """An export: one file of weights, which `read_checkpoint` gives as `ema`."""
    return _save(folder, step, config, {"model": weights}, text_encoder, data, extra)


def _save(
    final: Path,
    step: int,
    config: TrainConfig,
    tensors: Mapping[str, Mapping[str, Tensor]],
    text_encoder: dict[str, Any] | None,
    data: list[dict[str, Any]],
    extra: Mapping[str, Any] | None,
) -> Path:
    temporary = final.with_name(f".tmp-{final.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        hashes = {}
        for name in tensors:
            hashes[f"{name}.safetensors"] = _write_tensors(temporary / f"{name}.safetensors", tensors[name])
        state = {
            "format": _FORMAT,
            "step": step,
            "config": config.model_dump(mode="json"),
            "text_encoder": text_encoder,
            "data": data,
            "sha256": hashes,
            **(extra or {}),
        }
        _write(temporary / "state.json", (json.dumps(state, indent=1, sort_keys=True) + "\n").encode())
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _sync_folder(final.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _explained(error, final, latest_checkpoint(final.parent)) from error
    return final


def list_checkpoints(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first. What an interrupted writer left has another name."""
    return sorted(path for path in root.glob("step-*") if (path / "state.json").is_file())


def latest_checkpoint(root: Path) -> Path | None:
    found = list_checkpoints(root)
    return found[-1] if found else None


def read_checkpoint(path: Path) -> Checkpoint:
    """`path` is a checkpoint, or a stage's folder, of which the latest is taken. Tensors are not read yet."""
    if (path / "checkpoints").is_dir():
        latest = latest_checkpoint(path / "checkpoints")
        if latest is None:
            raise BadInput(f"{path} has no finished checkpoint yet; train it first: cratedig train")
        path = latest
    if path.is_file():
        raise BadInput(
            f"{path} is a file; a checkpoint is a folder of safetensors and state.json. Pickled weights (.pt, .ckpt, "
            ".bin) can run code and are never loaded"
        )
    state_file = path / "state.json"
    if not state_file.is_file():
        pickles = [p.name for p in path.glob("*") if p.suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl")]
        seen = f"; {pickles[0]} in it is pickled, which can run code and is never loaded" if pickles else ""
        raise BadInput(f"{path} is not a checkpoint (no state.json){seen}; give a folder that `cratedig train` wrote")
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        if state["format"] != _FORMAT:
            raise BadInput(f"{path} has checkpoint format {state['format']!r}, this cratedig reads {_FORMAT}")
        for name in state["sha256"] or _FILES:
            if not (path / name).is_file():
                raise BadInput(f"{path} has no {name}: it was torn apart; {_REMEDY}")
        return Checkpoint(
            folder=path,
            step=int(state["step"]),
            config=TrainConfig.model_validate(state["config"]),
            text_encoder=state["text_encoder"],
            data=state["data"],
            state=state,
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{state_file} cannot be understood ({reason}); {_REMEDY}") from error


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    from safetensors.torch import save

    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    _write(path, data)
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """So that the rename itself survives a loss of power."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, path: Path, last: Path | None) -> Exception:
    kept = f"the last finished one is {last}" if last else "none was finished before"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunFailed(f"no space left for checkpoint {path}; {kept}. Free some space and run the same command again")
    return RunFailed(f"checkpoint {path} cannot be written ({error}); {kept}")
