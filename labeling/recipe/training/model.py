"""The shape of the bundled model: a ClapModel of about two million parameters.

M mel bands, P = 8 bands and frames of a patch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labeling.recipe.training.tokenizer import MAX_TOKENS

__all__ = ["build_model", "continue_model", "frequency_code", "save_model", "set_input_statistics"]

_PATCH = 8
_BANDS = 128


def build_model(words: int) -> Any:
    """Xavier-initialised, on the CPU, no dropout: a trial found both to matter at this size."""
    from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

    depths, width = (1, 1, 3, 1), 32
    audio = ClapAudioConfig(
        window_size=4,  # must not exceed the last stage's grid of 4 x 4
        num_mel_bins=_BANDS,
        spec_size=256,
        patch_size=_PATCH,
        patch_stride=[_PATCH, _PATCH],
        depths=list(depths),
        num_attention_heads=[2, 4, 8, 8],
        patch_embeds_hidden_size=width,
        hidden_size=width * 2 ** (len(depths) - 1),
        mlp_ratio=3.0,
        enable_fusion=False,
        num_classes=1,
        hidden_dropout_prob=0.0,
        drop_path_rate=0.0,
    )
    text = ClapTextConfig(
        vocab_size=words,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=MAX_TOKENS + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=128))
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "embeddings" not in name and "relative" not in name:
            torch.nn.init.xavier_uniform_(parameter)
    return model


def frequency_code(amplitude: float = 0.3) -> torch.Tensor:
    """[M] A bias that tells the bands apart: HTSAT's attention knows relative positions only, and a register or a
    bass is an absolute frequency. Three cosines over the 16 patch rows, each on its own pattern within a patch."""
    patterns = torch.tensor([[1, -1] * 4, [1, -1, -1, 1] * 2, [1, 1, -1, -1] * 2], dtype=torch.float32)
    row = torch.arange(_BANDS // _PATCH) + 0.5
    code = sum(torch.cos(torch.pi * row / row.numel() * j)[:, None] * patterns[j - 1] for j in (1, 2, 3))
    return amplitude * torch.as_tensor(code).reshape(-1)


def set_input_statistics(model: Any, mels_BFM: torch.Tensor) -> None:
    """Fixes the input normalisation at the data's own mean and variance per band; it is not updated in training."""
    norm = model.audio_model.audio_encoder.batch_norm
    with torch.no_grad():
        norm.running_mean.copy_(mels_BFM.mean((0, 1)))
        norm.running_var.copy_(mels_BFM.var((0, 1)))
        norm.bias.copy_(frequency_code())


def continue_model(folder: Path, tokenizer: Any) -> Any:
    """A model to train on from `folder`; words that it does not know yet get fresh embeddings."""
    from transformers import AutoTokenizer, ClapModel

    known = ClapModel.from_pretrained(folder, dtype=torch.float32)
    old_ids = AutoTokenizer.from_pretrained(folder).get_vocab()
    new_ids = tokenizer.get_vocab()
    model = build_model(len(new_ids))
    name = "text_model.embeddings.word_embeddings.weight"
    state = known.state_dict()
    rows = model.state_dict()[name].clone()
    both = [(new, old_ids[word]) for word, new in new_ids.items() if word in old_ids]
    rows[[new for new, _ in both]] = state[name][[old for _, old in both]]
    model.load_state_dict({**state, name: rows})
    return model


def save_model(state: dict[str, torch.Tensor], config: Any, folder: Path) -> None:
    """fp16 safetensors; whoever loads it passes `dtype=torch.float32`, because a CPU computes fp16 slowly or not."""
    from transformers import ClapModel

    model = ClapModel(config)
    model.load_state_dict(state)
    model.half().save_pretrained(folder)
    path = folder / "config.json"  # without the version of the library that happened to write it
    settings = json.loads(path.read_text())
    settings.pop("transformers_version", None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def multi_hot(facts: list[list[str]], index: dict[str, int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[B, facts] 1 where a clip has a fact."""
    out = np.zeros((len(facts), len(index)), np.float32)
    for row, names in enumerate(facts):
        out[row, [index[name] for name in names if name in index]] = 1.0
    return out
