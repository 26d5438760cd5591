"""LAION's own `.pt` checkpoints as ClapModel folders, without laion-clap and without unpickling anything but tensors.

Rules name LAION's keys on the left and ClapModel's on the right. Every key of a checkpoint is either renamed, or on the
list of those that an embedding doesn't need, or an error; and every key of the model must be met.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labeling.embedders.clap_folder import ClapFolder
from labeling.embedders.safe_pickle import load_tensors
from labeling.embedders.torch_device import quiet
from pipeline.errors import BadInput, EmbedderProblem

__all__ = ["TEXT_LIMIT_TOKENS", "convert_folder", "convert_laion", "rename_keys"]

TEXT_LIMIT_TOKENS = 77
"""LAION's own tokenizer call cuts there, though RoBERTa could read 512."""
_SAMPLE_RATE_HZ, _FFT_SIZE, _HOP, _WINDOW_S = 48_000, 1024, 480, 10
_FREQUENCY_MIN_HZ, _FREQUENCY_MAX_HZ, _SPEC_SIZE = 50, 14_000, 256
_AUDIO_MODELS = {96: "HTSAT-tiny", 128: "HTSAT-base", 256: "HTSAT-large"}
_ROBERTA = "FacebookAI/roberta-base"

_NOT_NEEDED = re.compile(
    r"(text|audio)_transform\.sequential\.\d+\.(weight|bias)"  # heads of a second loss
    r"|audio_branch\.(spectrogram_extractor\.stft\.conv_(real|imag)\.weight|logmel_extractor\.melW)"  # constants
    r"|audio_branch\.(tscam_conv|head)\.(weight|bias)"  # AudioSet classifier
    r"|audio_branch\.layers\.\d+\.blocks\.\d+\.attn_mask"  # computed by ClapModel
    r"|text_branch\.embeddings\.(position_ids|token_type_ids)"
)
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^text_branch\.", "text_model."),
        (r"^audio_branch\.", "audio_model.audio_encoder."),
        (r"\.bn0\.", ".batch_norm."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.attn\.", ".attention.self."),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"^(text|audio)_projection\.0\.", r"\1_projection.linear1."),
        (r"^(text|audio)_projection\.2\.", r"\1_projection.linear2."),
    )
]


def convert_laion(
    checkpoint: Path,
    out: Path,
    *,
    tokenizer: Path | None = None,
    licence: str = "unknown",
) -> Path:
    """Write `checkpoint` as a ClapModel folder at `out`; non-fusion or fusion and the HTSAT size are read from shapes.

    `tokenizer` is a folder with RoBERTa's; without it, it is taken from the hub's cache or fetched by name.
    """
    _check_out(out)
    state = {k.removeprefix("module."): v for k, v in load_tensors(checkpoint, "state_dict").items()}
    try:
        config = _config(state, checkpoint)
    except (ValueError, IndexError, ZeroDivisionError) as error:  # shapes that no HTSAT or RoBERTa has
        raise EmbedderProblem(
            f"{checkpoint}: its shapes are not those of LAION's CLAP with HTSAT and RoBERTa ({error})"
        ) from error
    _check_filters(state, checkpoint)
    weights = _fitted(rename_keys(state), config, checkpoint)
    reader = _roberta(tokenizer)
    _write(out, config, weights, reader, checkpoint, licence)
    return out


def convert_folder(folder: Path, out: Path, *, laion_front_end: bool = False) -> Path:
    """Copy a ClapModel folder: pickled weights become safetensors.

    `laion_front_end` also gives it LAION's own listening (50 Hz lower edge, 16 bits), for LAION's weights as they lie
    on the hub, whose processor has transformers' defaults.
    """
    _check_out(out)
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    if not (folder / "config.json").is_file() or not (pickles or list(folder.glob("*.safetensors"))):
        raise BadInput(f"{folder}: expected a .pt file of LAION's, or a ClapModel folder with config.json and weights")
    out.mkdir(parents=True, exist_ok=True)
    skip = ("*.bin", "*.bin.index.json", "*.pt", "*.h5", "*.msgpack", "*.onnx", ".*")
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(*skip), dirs_exist_ok=True)
    if not list(folder.glob("*.safetensors")):
        weights: dict[str, torch.Tensor] = {}
        for file in pickles:
            weights.update(load_tensors(file))
        _save_weights(weights, out)
    if laion_front_end:
        _set_laion_front_end(out)
    ClapFolder(out).card()
    return out


def rename_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """LAION's keys to ClapModel's, with the joint query-key-value weights split in thirds; not needed ones left out."""
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if _NOT_NEEDED.fullmatch(key):
            continue
        for pattern, replacement in _RULES:
            key = pattern.sub(replacement, key)
        if ".qkv." in key:
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[key.replace("qkv", name)] = part
        else:
            renamed[key] = value
    return renamed


def _config(state: Mapping[str, torch.Tensor], checkpoint: Path) -> Any:
    """ClapConfig from the shapes of the weights."""
    from transformers import ClapConfig

    audio = "audio_branch."

    def shape(key: str) -> tuple[int, ...]:
        if key not in state:
            raise EmbedderProblem(
                f"{checkpoint} has no {key} (its first key is {next(iter(state), 'none')}): expected a checkpoint of "
                "LAION's CLAP with an HTSAT audio and a RoBERTa text branch"
            )
        return tuple(state[key].shape)

    def count(pattern: str) -> int:
        found = {int(m[1]) for key in state if (m := re.match(pattern, key))}
        return max(found, default=-1) + 1

    channels, _, patch, _ = shape(audio + "patch_embed.proj.weight")
    depths = [
        count(rf"audio_branch\.layers\.{i}\.blocks\.(\d+)\.") for i in range(count(r"audio_branch\.layers\.(\d+)\."))
    ]
    tables = [shape(f"{audio}layers.{i}.blocks.0.attn.relative_position_bias_table") for i in range(len(depths))]
    fusion = audio + "patch_embed.fusion_model.local_att.0.weight"
    words, hidden = shape("text_branch.embeddings.word_embeddings.weight")
    return ClapConfig(
        audio_config={
            "num_mel_bins": shape(audio + "bn0.weight")[0],
            "spec_size": _SPEC_SIZE,
            "patch_size": patch,
            "patch_stride": [patch, patch],
            "window_size": (round(tables[0][0] ** 0.5) + 1) // 2,
            "depths": depths,
            "num_hidden_layers": len(depths),
            "num_attention_heads": [table[1] for table in tables],
            "patch_embeds_hidden_size": channels,
            "hidden_size": channels * 2 ** (len(depths) - 1),
            "mlp_ratio": shape(audio + "layers.0.blocks.0.mlp.fc1.weight")[0] / channels,
            "enable_fusion": fusion in state,
            "fusion_type": "aff_2d" if fusion in state else None,
            "aff_block_r": channels // shape(fusion)[0] if fusion in state else 4,
        },
        text_config={
            "vocab_size": words,
            "hidden_size": hidden,
            "num_hidden_layers": count(r"text_branch\.encoder\.layer\.(\d+)\."),
            "num_attention_heads": hidden // 64,
            "intermediate_size": shape("text_branch.encoder.layer.0.intermediate.dense.weight")[0],
            "max_position_embeddings": shape("text_branch.embeddings.position_embeddings.weight")[0],
            "layer_norm_eps": 1e-5,
        },
        projection_dim=shape("audio_projection.2.weight")[0],
    )


def _check_filters(state: Mapping[str, torch.Tensor], checkpoint: Path) -> None:
    """That the checkpoint listened through the mel filters that its folder will name."""
    found = state.get("audio_branch.logmel_extractor.melW")
    if found is None:
        return
    expected = _extractor(fusion=False, bands=found.shape[1]).mel_filters_slaney
    if tuple(found.shape) != expected.shape or not np.allclose(found.numpy(), expected, rtol=1e-3, atol=1e-6):
        raise EmbedderProblem(
            f"{checkpoint}: its mel filters ({found.shape[0]} frequencies, {found.shape[1]} bands) are not those of "
            f"{_FFT_SIZE} samples at {_SAMPLE_RATE_HZ} Hz from {_FREQUENCY_MIN_HZ} to {_FREQUENCY_MAX_HZ} Hz, which "
            "all published checkpoints have; this one can't be converted"
        )


def _fitted(weights: dict[str, torch.Tensor], config: Any, checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights, plus the two computed buffers, when they are exactly what the model holds."""
    from transformers import ClapModel

    positions = config.text_config.max_position_embeddings
    weights["text_model.embeddings.position_ids"] = torch.arange(positions)[None]
    weights["text_model.embeddings.token_type_ids"] = torch.zeros(1, positions, dtype=torch.long)
    with torch.device("meta"):
        model = {key: tuple(value.shape) for key, value in ClapModel(config).state_dict().items()}
    missing, unexpected = sorted(model.keys() - weights.keys()), sorted(weights.keys() - model.keys())
    if missing or unexpected:
        raise EmbedderProblem(
            f"{checkpoint} is not a checkpoint of LAION's CLAP (HTSAT and RoBERTa): {len(missing)} keys missing "
            f"(first: {missing[0] if missing else 'none'}), {len(unexpected)} unexpected (first: "
            f"{unexpected[0] if unexpected else 'none'}), in ClapModel's names"
        )
    for key, expected in model.items():
        if tuple(weights[key].shape) != expected:
            raise EmbedderProblem(f"{checkpoint}: {key} has shape {tuple(weights[key].shape)}: expected {expected}")
    return weights


def _write(
    out: Path, config: Any, weights: dict[str, torch.Tensor], tokenizer: Any, checkpoint: Path, licence: str
) -> None:
    from transformers import ClapProcessor

    out.mkdir(parents=True, exist_ok=True)
    config.architectures = ["ClapModel"]
    config.save_pretrained(out)
    fusion = bool(config.audio_config.enable_fusion)
    tokenizer.model_max_length = TEXT_LIMIT_TOKENS
    if len(tokenizer) > config.text_config.vocab_size:
        raise EmbedderProblem(
            f"the tokenizer knows {len(tokenizer)} tokens, {checkpoint} {config.text_config.vocab_size}: "
            "expected roberta-base's; give its folder with --tokenizer"
        )
    ClapProcessor(_extractor(fusion=fusion, bands=config.audio_config.num_mel_bins), tokenizer).save_pretrained(out)
    _save_weights(weights, out)
    size = _AUDIO_MODELS.get(config.audio_config.patch_embeds_hidden_size, "HTSAT")
    (out / "README.md").write_text(
        f"---\nlicense: {licence}\nmodel_name: {checkpoint.stem}\nrevision: {checkpoint.name}\n---\n\n"
        f"# {checkpoint.stem}\n\nLAION's CLAP ({size}, {'fusion' if fusion else 'non-fusion'}), converted by\n"
        "`cratedig embedder convert` to a ClapModel folder. It listens as LAION's own code does: windows of 10 s at\n"
        "48 kHz through 16 bits, 64 mel bands from 50 to 14,000 Hz; texts are cut at 77 tokens.\n",
        encoding="utf-8",
    )


def _save_weights(weights: dict[str, torch.Tensor], out: Path) -> None:
    from safetensors.torch import save_file

    whole = {key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
    save_file(whole, str(out / "model.safetensors"), metadata={"format": "pt"})


def _extractor(*, fusion: bool, bands: int) -> Any:
    from transformers import ClapFeatureExtractor

    return ClapFeatureExtractor(
        feature_size=bands,
        sampling_rate=_SAMPLE_RATE_HZ,
        hop_length=_HOP,
        max_length_s=_WINDOW_S,
        fft_window_size=_FFT_SIZE,
        frequency_min=_FREQUENCY_MIN_HZ,
        frequency_max=_FREQUENCY_MAX_HZ,
        truncation="fusion" if fusion else "rand_trunc",
        quantise_int16=True,
    )


def _set_laion_front_end(out: Path) -> None:
    for name in ("processor_config.json", "preprocessor_config.json"):
        if not (out / name).is_file():
            continue
        settings = json.loads((out / name).read_text(encoding="utf-8"))
        inner = settings.get("feature_extractor", settings)
        inner.update(frequency_min=_FREQUENCY_MIN_HZ, frequency_max=_FREQUENCY_MAX_HZ, quantise_int16=True)
        (out / name).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _roberta(folder: Path | None) -> Any:
    from transformers import AutoTokenizer

    if folder is None:
        from labeling.embedders.roberta import roberta_folder

        folder = roberta_folder(_ROBERTA)
    elif not folder.is_dir():
        raise BadInput(f"no tokenizer folder at {folder}: expected one with roberta-base's tokenizer.json")
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise BadInput(
            f"{folder} holds no tokenizer that can be loaded ({error}): expected roberta-base's tokenizer.json and "
            "tokenizer_config.json"
        ) from error


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists and is not an empty folder: give the name of a new one")
