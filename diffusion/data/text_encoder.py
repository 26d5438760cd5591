"""Text encoders: a prompt becomes a sequence of token vectors, not one pooled vector (PAPER 3.4).

L tokens, W width.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadInput

_PAD_TO = 8
"""Texts are padded to a multiple of these tokens when they are encoded together."""
_MARK_BYTES = 1 << 20

__all__ = ["TextEncoder", "TextEncoderCard", "load_text_encoder"]


@dataclass(frozen=True, kw_only=True)
class TextEncoderCard:
    """What a checkpoint remembers of the encoder it was trained with."""

    name: str
    width: int
    revision: str = ""
    """A hash of a folder's weights; empty for a model of the hub, which is known by its name."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def refuse_other(self, found: Mapping[str, Any], where: str) -> None:
        """Raises BadInput unless `found`, as a checkpoint or sidecar carries it, is this very encoder."""
        by_weights = bool(self.revision and found.get("revision"))  # then a folder may be called what it likes
        for field, ours in self.as_dict().items():
            if field == "revision" and not (ours and found.get(field)):
                continue  # of a hub model, or written before folders were hashed
            if found.get(field) != ours and not (by_weights and field == "name"):
                remedy = f"Use the same encoder: --text-encoder {found.get('name')}"
                if found.get("name") == self.name:
                    remedy = (
                        "Its weights were changed since: give --text-encoder a folder with the old ones, or train anew"
                    )
                raise BadInput(
                    f"{where} was made with text encoder {found.get('name')!r} (width {found.get('width')}, revision "
                    f"{found.get('revision')!r}); given is {self.name!r} (width {self.width}, revision "
                    f"{self.revision!r}). {remedy}"
                )


class TextEncoder(Protocol):
    """The same text gives the same bits, whatever was encoded before or beside it."""

    card: TextEncoderCard
    most_tokens: int | None
    """More than these the encoder cannot read; None where it has no such bound."""

    def token_ends(self, text: str) -> list[tuple[int, int]]:
        """For each token, special ones included, where its characters start and end in the text."""
        ...

    def encode(self, text: str, limit: int) -> NDArray[np.float16]:
        """(L, W) with L <= limit; a longer text is cut."""
        ...

    def encode_many(self, texts: Sequence[str], limit: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """(place, tokens) of each text, in batches of like length: the same to float16's rounding as one by one."""
        ...


class _TransformersEncoder:
    """A tokenizer at once, a model when first asked: with a sidecar the model is never loaded."""

    def __init__(
        self, source: str | Path, card: TextEncoderCard, kind: str, device: str, most_tokens: int | None
    ) -> None:
        from transformers import AutoTokenizer

        self.card, self.most_tokens = card, most_tokens
        self._source, self._kind, self._device = source, kind, device
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise BadInput(f"text encoder {source} has no usable tokenizer ({error}); give its whole folder") from error
        if not self._tokenizer.is_fast:
            raise BadInput(
                f"text encoder {source} has no fast tokenizer (tokenizer.json), which tells where tokens end"
            )
        self._reading = threading.Lock()  # a tokenizer that is asked to pad answers nobody else: "Already borrowed"
        self._model: Any = None

    def _tokens(self, texts: str | list[str], **options: Any) -> Any:
        with self._reading:
            return self._tokenizer(texts, **options)

    def token_ends(self, text: str) -> list[tuple[int, int]]:
        return list(self._tokens(text, return_offsets_mapping=True, verbose=False)["offset_mapping"])

    def encode(self, text: str, limit: int) -> NDArray[np.float16]:
        """Alone in its batch and padded to `limit`: the shape, and so every bit, is the same each time."""
        limit = min(limit, self.most_tokens or limit)
        tokens = self._tokens(text, max_length=limit, truncation=True, padding="max_length", return_tensors="pt")
        (array,) = self._states(tokens["input_ids"], tokens["attention_mask"], [text])
        return array

    def encode_many(self, texts: Sequence[str], limit: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """A batch has one shape for each length, whatever is in it: short ones are filled up with copies."""
        limit = min(limit, self.most_tokens or limit)
        lengths = self._tokens(list(texts), max_length=limit, truncation=True)["input_ids"] if texts else []
        by_length: dict[int, list[int]] = {}
        for place, tokens in enumerate(lengths):
            by_length.setdefault(min(limit, -(-len(tokens) // _PAD_TO) * _PAD_TO), []).append(place)
        rows = 32 if self._device == "cpu" else 256
        for length, places in sorted(by_length.items()):
            for first in range(0, len(places), rows):
                chosen = places[first : first + rows]
                words = [texts[place] for place in (*chosen, *[chosen[0]] * (rows - len(chosen)))]
                padded = self._tokens(
                    words, max_length=length, truncation=True, padding="max_length", return_tensors="pt"
                )
                states = self._states(padded["input_ids"], padded["attention_mask"], words)
                yield from zip(chosen, states, strict=False)

    def _states(self, ids_BL: Any, mask_BL: Any, texts: Sequence[str]) -> list[NDArray[np.float16]]:
        import torch

        if self._model is None:
            self._model = _load_model(self._source, self._kind, self._device)
        with torch.no_grad():
            states_BLW = self._model(
                input_ids=ids_BL.to(self._device), attention_mask=mask_BL.to(self._device)
            ).last_hidden_state
        arrays = []
        for states_LW, mask_L, text in zip(states_BLW.float().cpu(), mask_BL.bool(), texts, strict=True):
            array: NDArray[np.float16] = states_LW[mask_L].numpy().astype(np.float16)
            if not np.isfinite(array).all():
                raise BadInput(f"text encoder {self.card.name} gave values beyond float16 for {text[:60]!r}")
            arrays.append(array)
        return arrays


def load_text_encoder(name: str, *, device: str = "cpu") -> TextEncoder:
    """`bundled`, the folder of a ClapModel, or a T5 encoder by path or by its name on the hub."""
    from labeling.embedders.by_name import BUNDLED, embedder_card

    folder = BUNDLED if name == "bundled" else Path(name)
    config = _read_config(name, folder)
    if config.get("model_type") == "clap":
        clap = embedder_card(str(folder) if name != "bundled" else name)
        width = int(config.get("text_config", {}).get("hidden_size", 768))
        card = TextEncoderCard(name=clap.name, width=width, revision=clap.weights_hash)
        return _TransformersEncoder(folder, card, "clap", device, clap.text_limit_tokens)
    if config.get("model_type") not in ("t5", "mt5", "umt5"):
        raise BadInput(
            f"text encoder {name} is of type {config.get('model_type')!r}; give `bundled`, a ClapModel folder or a T5"
        )
    revision = _weights_mark(folder) if folder.is_dir() else ""
    card = TextEncoderCard(name=name, width=int(config["d_model"]), revision=revision)
    return _TransformersEncoder(folder if folder.is_dir() else name, card, str(config["model_type"]), device, None)


def _weights_mark(folder: Path) -> str:
    """Of the weights' sizes, headers and ends: 40 GB are not hashed whole each time."""
    marks = []
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(_MARK_BYTES)
            opened.seek(max(0, size - _MARK_BYTES))
            marks.append([size, hashlib.blake2b(head + opened.read(), digest_size=16).hexdigest()])
    if not marks:
        raise BadInput(
            f"text encoder {folder} has no .safetensors weights; pickled ones are never loaded: convert them"
        )
    return hashlib.blake2b(repr(marks).encode(), digest_size=8).hexdigest()


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    from transformers import PretrainedConfig

    if name == "bundled" and not folder.is_dir():
        raise BadInput("this installation has no bundled embedder; give --text-encoder a ClapModel folder or a T5")
    try:
        return PretrainedConfig.get_config_dict(str(folder) if folder.is_dir() else name)[0]
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"text encoder {name!r} is neither a folder nor to be had from the hub ({reason}); "
            "give `bundled`, a ClapModel folder, or the name or folder of a T5"
        ) from error


def _load_model(source: str | Path, kind: str, device: str) -> Any:
    import torch
    import transformers

    if kind == "clap":
        # fp16 weights would load as fp16, which the CPU cannot run.
        model = transformers.ClapModel.from_pretrained(source, dtype=torch.float32).text_model
    else:
        family = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}[kind]
        # T5's activations overflow fp16; bf16 is what the large ones were trained in.
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model = getattr(transformers, family).from_pretrained(source, dtype=dtype, use_safetensors=True)
    return model.eval().requires_grad_(False).to(device)
