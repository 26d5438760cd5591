"""EnCodec, DAC, MERT, wav2vec 2, HuBERT and WavLM as encoders: folders in transformers' form, no code of theirs run.

T samples, F frames, D dimensions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labeling.encoders.encoder import Encoder
from labeling.encoders.folder import folder_hash, read_config
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = ["TransformersEncoder", "audio_card"]

_LICENCES = {"encodec": "CC-BY-NC-4.0", "dac": "MIT", "mert_model": "CC-BY-NC-4.0"}
_PIECE_S = 10.0
"""A longer clip goes through in pieces of it, side by side; what is left is a shorter piece."""
_LEAST_S = 0.5
"""A shorter rest is left out, a shorter clip padded with silence: convolutions need some room."""
_MERT_OWN = {"deepnorm": False, "feature_extractor_cqt": False}


def audio_card(folder: Path) -> EmbedderCard:
    """Rate and dimension from the folder's configuration."""
    config = read_config(folder)
    kind = str(config["model_type"])
    rate, dimension = config.get("sampling_rate"), config.get("hidden_size")
    if kind == "encodec":
        rate, dimension = config.get("sampling_rate", 24_000), config.get("hidden_size", 128)
    elif kind == "dac":
        rate = config.get("sampling_rate", 16_000)
        ratios = len(config.get("downsampling_ratios", (2, 4, 8, 8)))
        dimension = config.get("encoder_hidden_size", 64) * 2**ratios
    else:
        rate = rate or _processor_rate(folder) or (24_000 if kind == "mert_model" else 16_000)
        dimension = config.get("hidden_size", 768)
    if kind == "mert_model":
        for name, usual in _MERT_OWN.items():
            if config.get(name, usual) != usual or config.get("attention_relax", -1.0) > 0:
                raise EmbedderProblem(
                    f"{folder}: this MERT has layers of its own ({name}, attention_relax) that need its makers' code; "
                    "expected one with HuBERT's layers, such as MERT-v1-95M"
                )
    return EmbedderCard(
        name=folder.resolve().name,
        sample_rate_hz=int(rate),
        window_s=_PIECE_S,
        dimension=int(dimension),
        text_limit_tokens=0,
        licence=str(config.get("license", _LICENCES.get(kind, "unknown"))),
        revision="",
        weights_hash=folder_hash(folder),
    )


def _processor_rate(folder: Path) -> int | None:
    import json

    file = folder / "preprocessor_config.json"
    return json.loads(file.read_text(encoding="utf-8")).get("sampling_rate") if file.is_file() else None


class TransformersEncoder(Encoder):
    """One vector a frame: a codec's continuous latents before quantisation, or the mean over a transformer's layers."""

    per: Literal["clip", "window", "frame"] = "frame"

    def __init__(self, folder: Path, *, device: str = "auto", threads: int = 1) -> None:
        from labeling.embedders.torch_device import choose_device

        self.card, self._threads = audio_card(folder), threads
        self.kind = str(read_config(folder)["model_type"])
        self.device = choose_device(device)
        self.model = _load(folder, self.kind).to(self.device).eval()
        self._normalises = _normalises(folder)

    def encode(self, clip_T: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        from pipeline.threads import torch_threads

        rate = self.card.sample_rate_hz
        piece, least = round(_PIECE_S * rate), round(_LEAST_S * rate)
        clip_T = np.pad(clip_T, (0, max(0, least - len(clip_T))))
        found = []
        with torch_threads(self._threads), torch.inference_mode():
            for start in range(0, len(clip_T), piece):
                part_T = clip_T[start : start + piece]
                if len(part_T) >= least:
                    found.append(self._frames(torch.from_numpy(np.ascontiguousarray(part_T)).to(self.device)))
        vectors_FD: NDArray[np.float32] = torch.cat(found).float().cpu().numpy()
        return vectors_FD

    def _frames(self, piece_T: Any) -> Any:
        import torch

        if self.kind in ("encodec", "dac"):
            channels = getattr(self.model.config, "audio_channels", 1)
            return self.model.encoder(piece_T.expand(1, channels, -1))[0].T
        if self._normalises:
            piece_T = (piece_T - piece_T.mean()) / torch.sqrt(piece_T.var(correction=0) + 1e-7)
        states = self.model(piece_T[None], output_hidden_states=True).hidden_states
        return torch.stack(states).mean(dim=0)[0]


def _normalises(folder: Path) -> bool:
    import json

    file = folder / "preprocessor_config.json"
    return bool(json.loads(file.read_text(encoding="utf-8")).get("do_normalize", True)) if file.is_file() else True


def _load(folder: Path, kind: str) -> Any:
    import torch
    import transformers

    from labeling.embedders.torch_device import quiet

    names = {
        "encodec": "EncodecModel", "dac": "DacModel", "wav2vec2": "Wav2Vec2Model", "hubert": "HubertModel",
        "wavlm": "WavLMModel", "mert_model": "HubertModel",
    }  # fmt: skip
    options: dict[str, Any] = {}
    if kind == "mert_model":
        config = {k: v for k, v in read_config(folder).items() if k not in ("model_type", "auto_map", "architectures")}
        options["config"] = transformers.HubertConfig(**config)
    try:
        with quiet():
            model, report = getattr(transformers, names[kind]).from_pretrained(
                str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True,
                output_loading_info=True, **options,
            )  # fmt: skip
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise EmbedderProblem(f"{folder} can't be loaded as {names[kind]}: {str(error).splitlines()[0]}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise EmbedderProblem(
            f"{folder}: {len(missing)} weights are missing (first: {missing[0]}); take config.json and weights from "
            "the same model"
        )
    return model
