"""`transformers` ClapModel as an embedder: the bundled model, LAION's weights, any ClapModel folder.

B windows, T samples of one, F frames, M mel bands, N texts, L tokens, D dimensions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from labeling.embedders.clap_folder import ClapFolder
from labeling.embedders.embedder import Embedder, TextReport, check_texts, check_windows
from labeling.embedders.mel import LogMel
from labeling.embedders.text_report import report_texts
from labeling.embedders.torch_device import choose_device, quiet
from pipeline.errors import EmbedderProblem
from pipeline.threads import torch_threads

__all__ = ["ClapEmbedder", "through_int16"]

_TEXTS_AT_ONCE = 64
_LENGTH_STEP = 8
"""Token counts are rounded up to this, so that a model meets few different shapes."""
_COMPUTED_BUFFERS = ("position_ids", "token_type_ids", "relative_position_index")
"""Saved by some versions of transformers and not by others; made afresh on load, never learnt."""


class ClapEmbedder(Embedder):
    """One ClapModel in this process, float32 weights whatever they were saved as; lower precision runs by autocast."""

    def __init__(self, folder: Path, *, device: str = "auto", dtype: str = "auto", threads: int = 1) -> None:
        self._threads = threads
        files = ClapFolder(folder)
        self.card = files.card()
        self.notes = files.notes
        self.front_end = files.front_end
        self.device = choose_device(device)
        self.autocast = None if dtype in ("auto", "float32") else getattr(torch, dtype)
        self.tokenizer = _tokenizer(files)
        extractor = ClapFeatureExtractor(
            feature_size=self.front_end.feature_size,
            sampling_rate=self.front_end.sampling_rate,
            hop_length=self.front_end.hop_length,
            max_length_s=self.front_end.max_length_s,
            fft_window_size=self.front_end.fft_window_size,
            frequency_min=self.front_end.frequency_min,
            frequency_max=self.front_end.frequency_max,
            truncation=self.front_end.truncation,
        )
        self.log_mel = LogMel.like(extractor)
        self.model = _model(files).to(self.device).eval()
        self.fusion = bool(self.model.config.audio_config.enable_fusion)

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        windows_BT = check_windows(windows_BT, self.card)
        if self.front_end.quantise_int16:
            windows_BT = through_int16(windows_BT)
        return self.embed_mels(self.log_mel.batch(windows_BT))

    def embed_mels(self, mels_BFM: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) from log-mels that `log_mel` made, for callers that keep them."""
        if not len(mels_BFM):
            return np.zeros((0, self.card.dimension), np.float32)
        features = torch.from_numpy(mels_BFM)[:, None].to(self.device)
        # A window is never longer than the model's: fusion has nothing to fuse, as in LAION's own inference.
        longer = torch.zeros(len(mels_BFM), 1, dtype=torch.bool, device=self.device) if self.fusion else None
        with self._context():
            out = self.model.get_audio_features(features, is_longer=longer).pooler_output
        return _normalised(out)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = self._tokens(check_texts(texts))
        found_ND = np.zeros((len(tokens), self.card.dimension), np.float32)
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), _TEXTS_AT_ONCE):
            rows = order[start : start + _TEXTS_AT_ONCE]
            found_ND[rows] = self._embed_tokens([tokens[i] for i in rows])
        return found_ND

    def text_report(self, texts: Sequence[str]) -> TextReport:
        return report_texts(self.tokenizer, texts, self.card.text_limit_tokens)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        return self.tokenizer(texts, truncation=True, max_length=self.card.text_limit_tokens)["input_ids"]

    def _embed_tokens(self, rows: list[list[int]]) -> NDArray[np.float32]:
        longest = max(map(len, rows))
        length = min(-(-longest // _LENGTH_STEP) * _LENGTH_STEP, max(longest, self.card.text_limit_tokens))
        ids_NL = torch.full((len(rows), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask_NL = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids_NL[i, : len(row)] = torch.tensor(row)
            mask_NL[i, : len(row)] = 1
        with self._context():
            out = self.model.get_text_features(
                input_ids=ids_NL.to(self.device), attention_mask=mask_NL.to(self.device)
            ).pooler_output
        return _normalised(out)

    @contextlib.contextmanager
    def _context(self) -> Iterator[None]:
        """Inference mode, and autocast where a lower precision is asked for."""
        with torch_threads(self._threads), torch.inference_mode():
            if self.autocast is None:
                yield
            else:
                with torch.autocast(self.device.type, self.autocast):
                    yield


def through_int16(windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clipped and cut (not rounded) to 16 bits and back, as LAION's own code does before its mel."""
    scaled = np.clip(windows_BT, -1.0, 1.0) * np.float32(32767.0)
    return (scaled.astype(np.int16) / np.float32(32767.0)).astype(np.float32)


def _model(files: ClapFolder) -> Any:
    try:
        with quiet():
            model, report = ClapModel.from_pretrained(
                str(files.path),
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise EmbedderProblem(f"{files.path} can't be loaded as a ClapModel: {error}") from error
    missing = sorted(k for k in report["missing_keys"] if not k.endswith(_COMPUTED_BUFFERS))
    unexpected = sorted(k for k in report["unexpected_keys"] if not k.endswith(_COMPUTED_BUFFERS))
    if missing or unexpected:
        raise EmbedderProblem(
            f"{files.path}: the weights don't fit config.json: {len(missing)} missing (first: "
            f"{missing[0] if missing else 'none'}), {len(unexpected)} unexpected (first: "
            f"{unexpected[0] if unexpected else 'none'}); take both from the same model"
        )
    return model


def _tokenizer(files: ClapFolder) -> Any:
    files.check_tokenizer()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(files.path), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise EmbedderProblem(f"{files.path}: its tokenizer can't be loaded ({error}); fetch it again") from error
    vocabulary = (files.config.get("text_config") or {}).get("vocab_size", 50265)
    if len(tokenizer) > vocabulary:
        raise EmbedderProblem(
            f"{files.path}: the tokenizer knows {len(tokenizer)} tokens, the model {vocabulary}; "
            "take both from the same model"
        )
    if tokenizer.pad_token_id is None:
        raise EmbedderProblem(f"{files.path}: the tokenizer names no pad token; take it from the place of the model")
    return tokenizer


def _normalised(out: torch.Tensor) -> NDArray[np.float32]:
    """Normalised in float32 also where the model ran in less."""
    return torch.nn.functional.normalize(out.float(), dim=-1).cpu().numpy()
