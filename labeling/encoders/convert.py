"""Public weights of audio networks as folders of safetensors; nothing but tensors is read of their pickles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from labeling.embedders.safe_pickle import load_tensors
from labeling.encoders.converted import PANNS_SHAPES, Cnn14, Vggish
from labeling.encoders.folder import WEIGHTS
from pipeline.errors import BadInput, EmbedderProblem

__all__ = ["convert_weights"]

_STFT = "spectrogram_extractor.stft.conv_real.weight"


def convert_weights(source: Path, out: Path) -> str:
    """Turn VGGish's or PANNs CNN14's file, or the `pytorch_model.bin` of a folder of transformers, into `out`.

    VGGish: `vggish-10086976.pth` of github.com/harritaylor/torchvggish (its release page). PANNs: `Cnn14_mAP=0.431`,
    `Cnn14_16k_mAP=0.438` or `Cnn14_8k_mAP=0.416`, .pth of zenodo.org/record/3987831. MERT and others: the folder as
    `hf download` makes it. Returns what it was. Raises BadInput, EmbedderProblem.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out} is not empty; give a new folder")
    file = source / "pytorch_model.bin" if source.is_dir() else source
    tensors = load_tensors(file, inside="model")
    if source.is_dir() or source.name == "pytorch_model.bin":
        return _transformers(file.parent, tensors, out)
    if "embeddings.0.weight" in tensors:
        wanted = Vggish().state_dict()
        return _write(out, _chosen(tensors, wanted, source), {"model_type": "vggish", "sample_rate_hz": 16_000})
    if "conv_block1.conv1.weight" in tensors and _STFT in tensors:
        size = int(tensors[_STFT].shape[-1])
        rate = next((rate for rate, shape in PANNS_SHAPES.items() if shape[0] == size), None)
        if rate is None:
            raise EmbedderProblem(f"{source}: an FFT of {size}; expected CNN14 for 8, 16 or 32 kHz (256, 512, 1024)")
        config = {"model_type": "panns-cnn14", "sample_rate_hz": rate}
        return _write(out, _chosen(tensors, Cnn14().state_dict(), source), config)
    raise EmbedderProblem(
        f"{source} holds {next(iter(tensors))} and {len(tensors) - 1} tensors more: expected VGGish's (torchvggish) or "
        "PANNs CNN14's, or a folder of transformers with its pytorch_model.bin"
    )


def _chosen(tensors: dict[str, Any], wanted: dict[str, Any], source: Path) -> dict[str, Any]:
    """Those that the network takes; front ends and classes are left behind."""
    missing = [name for name in wanted if name not in tensors]
    other = [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
    if missing or other:
        name = (missing or other)[0]
        shapes = [tuple(t[name].shape) for t in (tensors, wanted) if name in t]
        what = "is missing" if missing else f"has shape {shapes[0]}, expected {shapes[1]}"
        raise EmbedderProblem(f"{source}: {name} {what}; these are not the weights of this network")
    return {name: tensors[name].contiguous().clone() for name in wanted}


def _write(out: Path, tensors: dict[str, Any], config: dict[str, Any]) -> str:
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / WEIGHTS)
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return (
        f"{config['model_type']} at {config['sample_rate_hz']} Hz, {sum(t.numel() for t in tensors.values()):,} numbers"
    )


def _transformers(folder: Path, tensors: dict[str, Any], out: Path) -> str:
    from safetensors.torch import save_file

    if not (folder / "config.json").is_file():
        raise EmbedderProblem(f"{folder} has no config.json beside its weights; fetch the whole folder")
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous().clone() for name, t in tensors.items()}, out / WEIGHTS, metadata={"format": "pt"})
    for name in ("config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    return f"{len(tensors)} tensors of {folder.name}"
