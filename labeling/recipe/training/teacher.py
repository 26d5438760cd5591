"""A sentence encoder as the teacher of the text tower: captions lie near one another where it says that they do.

N texts, C texts of a step, E dimensions of the teacher, D of the model. The teacher is never shipped: its geometry of
the bundled captions is all that is used, in training alone. Words that no piece was composed for have no other source.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.training.tokenizer import MAX_TOKENS
from labeling.recipe.training.vocabulary_texts import vocabulary_pool
from pipeline.errors import BadInput

__all__ = ["Teacher", "same_geometry", "write_teacher"]

_DIMENSIONS = 128
_TEXTS = 8000
_AT_ONCE = 64


def write_teacher(out: Path, encoder: Path) -> int:
    """What a folder with a sentence encoder (its tokens' mean is the sentence) says of bundled captions, short ones
    first; principal components, one byte each. Returns how many captions."""
    from transformers import AutoModel, AutoTokenizer

    if not (encoder / "config.json").is_file():
        raise BadInput(f"{encoder}: expected a folder with an encoder that transformers loads")
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).eval()
    captions = list(vocabulary_pool())
    random.Random(0).shuffle(captions)
    texts = [c.text for c in sorted(captions, key=lambda c: len(c.text) > 60 or len(c.facts) > 2)][:_TEXTS]
    found = []
    for start in range(0, len(texts), _AT_ONCE):
        tokens = tokenizer(texts[start : start + _AT_ONCE], padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            hidden_CLE = model(**tokens).last_hidden_state
        mask_CL1 = tokens["attention_mask"][..., None].float()
        found.append(((hidden_CLE * mask_CL1).sum(1) / mask_CL1.sum(1)).numpy())
    np.savez_compressed(out, texts=np.array(texts), geometry=_principal(np.concatenate(found)))
    return len(texts)


def _principal(embeddings_NE: NDArray[np.float32]) -> NDArray[np.int8]:
    unit_NE = embeddings_NE / np.linalg.norm(embeddings_NE, axis=1, keepdims=True)
    unit_NE -= unit_NE.mean(axis=0)
    _, axes_EE = np.linalg.eigh(unit_NE.T @ unit_NE)
    parts_NE = unit_NE @ axes_EE[:, ::-1][:, :_DIMENSIONS]
    return np.round(parts_NE * (127 / np.abs(parts_NE).max())).astype(np.int8)


def same_geometry(texts_CD: torch.Tensor, taught_CE: torch.Tensor) -> torch.Tensor:
    """One less the correlation of both sides' cosines between different texts."""
    apart_CC = ~torch.eye(len(texts_CD), dtype=torch.bool, device=texts_CD.device)

    def cosines(x: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(x, dim=-1)
        found = (unit @ unit.T)[apart_CC]
        return (found - found.mean()) / (found.std() + 1e-6)

    return 1 - (cosines(texts_CD) * cosines(taught_CE)).mean()


class Teacher:
    """Draws taught captions for a step, and says how far the model's text tower is from the teacher."""

    def __init__(self, file: Path, tokenizer: Any, device: str) -> None:
        if not file.is_file():
            raise BadInput(f"{file}: no such file; `python -m labeling.recipe teach` writes one")
        with np.load(file, allow_pickle=False) as found:
            texts, geometry_NE = found["texts"].tolist(), found["geometry"]
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        self._tokens = {name: value.to(device) for name, value in tokens.items()}
        self._geometry_NE = torch.from_numpy(geometry_NE).float().to(device)

    def loss(self, model: Any, count: int, step_seed: int) -> torch.Tensor:
        """Of `count` captions of a step."""
        generator = torch.Generator().manual_seed(step_seed)
        rows_C = torch.randperm(len(self._geometry_NE), generator=generator)[:count].to(self._geometry_NE.device)
        texts_CD = model.text_projection(
            model.text_model(**{name: value[rows_C] for name, value in self._tokens.items()}).pooler_output
        )
        return same_geometry(texts_CD.float(), self._geometry_NE[rows_C])
