"""LAION's own package on random weights: makes the numbers that `test_laion.py` compares ours with.

    python3.11 -m venv laion && . laion/bin/activate
    pip install torch==2.13.0 'numpy<2' librosa soundfile torchlibrosa ftfy braceexpand webdataset h5py pandas \
        scikit-learn tqdm regex transformers progressbar wget pillow
    pip install --no-deps laion-clap torchvision torchaudio
    python -m benchmarks.laion_parity

The package fetches three tokenizers and RoBERTa when it is imported and used; here they are replaced by a small
RoBERTa of the same width and no tokenizer, so that nothing is fetched: all its own code runs as it is. Where the wheels
of torchvision and torchaudio can't load their native parts beside a CPU build of torch, delete those `.so` files: only
Python parts of both are used. Delete the package `tests` too that laion-clap leaves in site-packages.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests.labeling.embedders.laion_case import FULL_SIZE, TEXTS, random_checkpoint, sounds
from tests.tiny_clap import WORDS, tiny_tokenizer

__all__ = ["main"]

_OUT = Path(__file__).parent.parent / "tests" / "labeling" / "embedders" / "data" / "laion_parity.npz"
_SEED = 3


def main() -> None:
    import torch

    # Its Python part asks for these by name.
    torchvision: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):
            torchvision.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import transformers

    tokenizer = tiny_tokenizer(WORDS, limit=77)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=1,
        intermediate_size=64,
        max_position_embeddings=80,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    roberta = transformers.RobertaModel(config)
    replaced: list[Any] = [
        mock.patch.object(getattr(transformers, f"{name}Tokenizer"), "from_pretrained", return_value=None)
        for name in ("Bert", "Roberta", "Bart")
    ]
    replaced.append(mock.patch.object(transformers.RobertaModel, "from_pretrained", return_value=roberta))
    found: dict[str, Any] = {"seed": np.int64(_SEED)}
    with contextlib.ExitStack() as stack:
        for patch in replaced:
            stack.enter_context(patch)
        import laion_clap

        for case, (audio_model, fusion) in FULL_SIZE.items():
            module = laion_clap.CLAP_Module(enable_fusion=fusion, amodel=audio_model, device="cpu")
            found |= {f"{case}_{what}": value for what, value in _one(module, tokenizer).items()}
    _OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(_OUT, **found)
    print(f"{_OUT}: {_OUT.stat().st_size} bytes")


def _one(module: Any, tokenizer: Any) -> dict[str, Any]:
    import torch

    shapes = {key: list(value.shape) for key, value in module.model.state_dict().items()}
    state = {k: torch.from_numpy(np.array(v)) for k, v in random_checkpoint(shapes, _SEED).items() if "_mask" not in k}
    own = module.model.state_dict()
    for key in own:
        if key.endswith("relative_position_index"):
            assert torch.equal(own[key], state[key]), key
    missing = module.model.load_state_dict(state, strict=False).missing_keys
    assert all("extractor" in key or "attn_mask" in key for key in missing), missing
    with torch.inference_mode():
        audio = module.get_audio_embedding_from_data(sounds())
        text = module.get_text_embedding(
            TEXTS,
            tokenizer=lambda x: tokenizer(x, padding="max_length", truncation=True, max_length=77, return_tensors="pt"),
        )
    return {"shapes": np.array(json.dumps(shapes)), "audio": audio, "text": text}


if __name__ == "__main__":
    main()
