"""From the texts of a batch to what the U-Net attends to: one element drawn a clip, encoded, padded to one length."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.data.sidecar import Sidecar
from diffusion.data.text_batch import ClipTexts, text_batch
from diffusion.data.text_encoder import TextEncoder

__all__ = ["TextSource"]


class TextSource:
    """Looks texts up in the sidecars, encodes what is not there, and remembers what it encoded lately."""

    def __init__(
        self, encoder: TextEncoder, limit: int, sidecars: Sequence[Sidecar] = (), *, remember_bytes: int = 512 << 20
    ) -> None:
        self.encoder, self.sidecars = encoder, tuple(sidecars)
        self.limit = min(limit, encoder.most_tokens or limit)
        self._remembered: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._lock = threading.Lock()  # batches are made in a thread, held-out losses in the main one
        self._most = max(1, remember_bytes // (self.limit * encoder.card.width * 2))

    def draw(self, texts: ClipTexts, uniform: float) -> str:
        """One element of the text batch, each with the same probability; empty where the clip has no words."""
        with self._lock:
            elements = text_batch(texts, self.encoder.token_ends, self.limit)
        return elements[int(uniform * len(elements))] if elements else ""

    def batch(self, texts: Sequence[str], device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, W) in float32 and their mask (B, L), L the limit. An empty text is one zero token."""
        tokens = np.zeros((len(texts), self.limit, self.encoder.card.width), dtype=np.float32)
        mask = np.zeros((len(texts), self.limit), dtype=bool)
        for row, text in enumerate(texts):
            states = self.tokens(text) if text else np.zeros((1, tokens.shape[2]), np.float16)
            tokens[row, : len(states)] = states
            mask[row, : len(states)] = True
        return torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device)

    def tokens(self, text: str) -> NDArray[np.float16]:
        for sidecar in self.sidecars:
            if (found := sidecar.get(text)) is not None:
                return found
        with self._lock:
            if text in self._remembered:
                self._remembered.move_to_end(text)
                return self._remembered[text]
            states = self._remembered[text] = self.encoder.encode(text, self.limit)
            if len(self._remembered) > self._most:
                self._remembered.popitem(last=False)
            return states
