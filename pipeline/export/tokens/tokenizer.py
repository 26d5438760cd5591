"""From the audio of an example to its codes.

C channels, T samples, K codebooks, F frames, N chunks.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadInput
from pipeline.export.example import Tokens
from pipeline.export.tokens.codec import CodecCard, read_codec
from pipeline.threads import torch_threads

__all__ = ["Tokenizer"]


class Tokenizer:
    """A codec ready to encode. A batch is one clip and one thread of torch, so that neither neighbours nor workers
    reach its codes."""

    def __init__(self, folder: str, card: CodecCard, *, device: str = "cpu") -> None:
        if (found := read_codec(folder, card.codebooks)) != card:
            raise BadInput(f"--tokens {folder} is {found.line()}; the export was begun with {card.line()}")
        import torch
        import transformers

        kind = {"encodec": transformers.EncodecModel, "dac": transformers.DacModel}[card.kind]
        model, said = kind.from_pretrained(
            Path(folder).expanduser(), local_files_only=True, use_safetensors=True, dtype=torch.float32,
            output_loading_info=True,
        )  # fmt: skip
        if lacking := sorted(said["missing_keys"]):
            raise BadInput(f"--tokens {folder}: its weights lack {len(lacking)} of the model's, such as {lacking[0]}")
        self._card, self._device = card, _device(device)
        self._model = model.to(self._device).eval()

    def encode(self, audio: bytes) -> Tokens:
        """Of an encoded file at the codec's rate: the codes are of that very sound."""
        import soundfile
        import torch

        card = self._card
        samples_TC, rate_hz = soundfile.read(io.BytesIO(audio), dtype="float32", always_2d=True)
        assert (rate_hz, samples_TC.shape[1]) == (card.rate_hz, card.channels), "the export has the codec's rate"
        if card.kind == "dac":  # its encoder loses what does not fill a frame; Encodec fills up by itself
            samples_TC = np.pad(samples_TC, ((0, -len(samples_TC) % card.hop), (0, 0)))
        with torch_threads(1), torch.inference_mode():
            sound_1CT = torch.from_numpy(np.ascontiguousarray(samples_TC.T))[None].to(self._device)
            return self._dac(sound_1CT) if card.kind == "dac" else self._encodec(sound_1CT)

    def _dac(self, sound_1CT: Any) -> Tokens:
        codes_1KF = self._model.encode(sound_1CT, n_quantizers=self._card.codebooks).audio_codes
        return Tokens(codes_KF=_int16(codes_1KF[0]))

    def _encodec(self, sound_1CT: Any) -> Tokens:
        """Chunks one after the other; the frames that fill up the last one are taken off again."""
        bandwidth = self._model.config.target_bandwidths[-1]
        found = self._model.encode(sound_1CT, bandwidth=bandwidth)
        codes_KNF = found.audio_codes[:, 0, : self._card.codebooks].transpose(0, 1)
        codes_KF = codes_KNF.reshape(codes_KNF.shape[0], -1)
        codes_KF = codes_KF[:, : codes_KF.shape[1] - int(found.last_frame_pad_length)]
        scales = tuple(float(scale) for scale in found.audio_scales) if self._card.scaled else ()
        return Tokens(codes_KF=_int16(codes_KF), scales=scales)


def _int16(codes_KF: Any) -> NDArray[np.int16]:
    return codes_KF.cpu().numpy().astype(np.int16)


def _device(name: str) -> str:
    """`auto` is CUDA where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"--device {name}: {str(error).splitlines()[0]}; expected auto, cpu, cuda, cuda:1") from error
    return name
