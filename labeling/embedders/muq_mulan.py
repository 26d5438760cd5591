"""MuQ-MuLan as an embedder, through its makers' package `muq`.

B windows, T samples of one, N texts, D dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.embedder import Embedder, TextReport, check_texts, check_windows
from labeling.embedders.maker_package import cache_only, hash_files, normalised, package
from labeling.embedders.text_report import report_texts
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard
from pipeline.threads import torch_threads

__all__ = ["MuQMuLanEmbedder", "muq_card"]

_TEXT_LIMIT = 512
"""What XLM-RoBERTa, its text model, has positions for."""
_LICENCE = "CC-BY-NC-4.0"


class MuQMuLanEmbedder(Embedder):
    """`muq.MuQMuLan` from a folder as `hf download OpenMuQ/MuQ-MuLan-large` makes it."""

    def __init__(self, folder: Path, *, device: str = "auto", threads: int = 1) -> None:
        self.card = muq_card(folder)
        from labeling.embedders.torch_device import choose_device

        self._threads = threads
        muq = package("muq", "pip install muq")
        with cache_only(f"muq:{folder}", "hf download OpenMuQ/MuQ-large-msd-iter; hf download xlm-roberta-base"):
            self.model = muq.MuQMuLan.from_pretrained(str(folder)).to(choose_device(device)).eval()
            self.tokenizer = self.model.mulan_module.text.tokenizer
        _fit_transformers_5(self.model.mulan_module.audio.model.model.conformer)

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        windows_BT = check_windows(windows_BT, self.card)
        if not len(windows_BT):
            return np.zeros((0, self.card.dimension), np.float32)
        # One by one inside, so that no window depends on its neighbours.
        with torch_threads(self._threads), torch.inference_mode():
            found = self.model(wavs=torch.from_numpy(windows_BT).to(self.model.device))
        return normalised(found)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One by one: the model averages over padding too, so in a batch a text would depend on the others."""
        import torch

        found_ND = np.zeros((len(texts), self.card.dimension), np.float32)
        with torch_threads(self._threads), torch.inference_mode():
            for i, text in enumerate(check_texts(texts)):
                found_ND[i] = normalised(self.model(texts=[_cut(self.tokenizer, text, self.card.text_limit_tokens)]))[0]
        return found_ND

    def text_report(self, texts: Sequence[str]) -> TextReport:
        return report_texts(self.tokenizer, texts, self.card.text_limit_tokens)


def muq_card(folder: Path) -> EmbedderCard:
    """From the folder's config.json; needs no package."""
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights):
        if not file.is_file():
            raise EmbedderProblem(
                f"muq:{folder} has no {file.name}: expected a MuQ-MuLan folder; fetch it with "
                "`hf download OpenMuQ/MuQ-MuLan-large --local-dir FOLDER`"
            )
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        mulan = config.get("config", config)["mulan"]
        rate_hz, window_s, dimension = int(mulan["sr"]), float(mulan["clip_secs"]), int(mulan["dim_latent"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbedderProblem(
            f"{config_file} is not MuQ-MuLan's ({type(error).__name__}: {error}): expected mulan.sr, mulan.clip_secs "
            "and mulan.dim_latent; fetch it again"
        ) from error
    return EmbedderCard(
        name=f"muq:{folder.resolve().name}",
        sample_rate_hz=rate_hz,
        window_s=window_s,
        dimension=dimension,
        text_limit_tokens=_TEXT_LIMIT,
        licence=_LICENCE,
        revision="",
        weights_hash=hash_files([config_file, weights]),
    )


def _cut(tokenizer: Any, text: str, limit: int) -> str:
    """The text up to the last token that fits; its package would run past the model's positions."""
    ids = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
    end = max((stop for _, stop in ids["offset_mapping"]), default=0)
    return text[:end] or text


def _fit_transformers_5(encoder: Any) -> None:
    """The package is made for transformers 4, whose encoder took any configuration and gave every layer's input."""
    import torch

    if getattr(encoder.config, "_attn_implementation", None) is None:
        encoder.config._attn_implementation = "eager"
    inputs: list[torch.Tensor] = []

    def enter_layer(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    def leave(_: Any, __: Any, output: Any) -> Any:
        states, found = (*inputs, output.last_hidden_state), output.get("hidden_states")
        inputs.clear()
        if found is not None:
            return output
        return type(output)(last_hidden_state=output.last_hidden_state, hidden_states=states)

    for layer in encoder.layers:
        layer.register_forward_pre_hook(enter_layer, with_kwargs=True)
    encoder.register_forward_hook(leave)
