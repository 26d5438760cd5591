"""What a codec is, read from its folder's config.json and hashed; nothing is loaded."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import BadInput

__all__ = ["CodecCard", "read_codec", "weights_hash"]

_KINDS = ("encodec", "dac")
_WEIGHTS = "model.safetensors"


class CodecCard(BaseModel):
    """Everything of a codec that reaches a code, and what a reader of codes must know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["encodec", "dac"]
    rate_hz: int = Field(ge=4_000, le=192_000)
    channels: Literal[1, 2] = 1
    codebooks: int = Field(ge=1)
    """Those that are kept: the first ones, which say most."""
    codebook_size: int = Field(ge=2, le=1 << 15)
    """Codes are 0 to this less one, as 16-bit integers."""
    hop: int = Field(ge=1)
    """Samples of a frame."""
    chunk_frames: int = 0
    """Frames of a chunk, where the codec hears a sound in chunks that overlap; else 0."""
    scaled: bool = False
    """Whether it divides each chunk by its loudness: a decoder wants that back."""
    weights_hash: str
    """Of config.json and the weights."""

    @property
    def frames_per_s(self) -> float:
        return self.rate_hz / self.hop

    @property
    def kbit_per_s(self) -> float:
        return self.codebooks * math.log2(self.codebook_size) * self.frames_per_s / 1000

    def line(self) -> str:
        """For people."""
        kind = {"encodec": "EncodecModel", "dac": "DacModel"}[self.kind]
        sound = f"{self.rate_hz} Hz {'stereo' if self.channels == 2 else 'mono'}"
        return (
            f"{kind} ({self.weights_hash[:12]}), {sound}: {self.codebooks} codebooks of {self.codebook_size}, "
            f"{self.frames_per_s:g} frames and {self.kbit_per_s:g} kbit a second"
        )


def read_codec(folder: str, codebooks: int | None = None) -> CodecCard:
    """The codec in a folder as `save_pretrained` of EncodecModel or DacModel writes it, with its first `codebooks`
    (all where None). Raises BadInput for what is none, or has no safetensors."""
    root = Path(folder).expanduser()
    try:
        config: dict[str, Any] = json.loads((root / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--tokens {folder}: no config.json that can be read ({error}); give a folder of an EncodecModel or "
            "DacModel, as save_pretrained of transformers writes it"
        ) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _KINDS:
        raise BadInput(f"--tokens {folder} is a model of type {kind!r}; expected {' or '.join(_KINDS)}")
    if not (root / _WEIGHTS).is_file():
        raise BadInput(
            f"--tokens {folder} has no {_WEIGHTS}, and other weights would have to be unpickled, which can run "
            "anything; save them anew where you trust them: Model.from_pretrained(FOLDER).save_pretrained(NEW)"
        )
    values = _of_encodec(folder) if kind == "encodec" else _of_dac(folder)
    if codebooks is not None and not 1 <= codebooks <= values["codebooks"]:
        raise BadInput(f"--codebooks {codebooks}: this codec has {values['codebooks']}, the first of which can be kept")
    try:
        return CodecCard(kind=kind, weights_hash=weights_hash(folder),
                         **{**values, "codebooks": codebooks or values["codebooks"]})  # fmt: skip
    except ValueError as error:
        raise BadInput(f"--tokens {folder}: its config.json asks for what no codec here has ({error})") from error


def _config(folder: str, name: str) -> Any:
    import transformers

    try:
        return getattr(transformers, name).from_pretrained(Path(folder).expanduser(), local_files_only=True)
    except Exception as error:
        raise BadInput(f"--tokens {folder}: its config.json is no {name} ({str(error).splitlines()[0]})") from error


def _of_encodec(folder: str) -> dict[str, Any]:
    config = _config(folder, "EncodecConfig")
    return {
        "rate_hz": config.sampling_rate,
        "channels": config.audio_channels,
        "codebooks": config.num_quantizers,
        "codebook_size": config.codebook_size,
        "hop": config.hop_length,
        "chunk_frames": math.ceil(config.chunk_length / config.hop_length) if config.chunk_length else 0,
        "scaled": bool(config.normalize),
    }


def _of_dac(folder: str) -> dict[str, Any]:
    config = _config(folder, "DacConfig")
    return {
        "rate_hz": config.sampling_rate,
        "codebooks": config.n_codebooks,
        "codebook_size": config.codebook_size,
        "hop": config.hop_length,
    }


def weights_hash(folder: str) -> str:
    """Of the two files that a codec is loaded from."""
    digest = hashlib.sha256()
    for name in ("config.json", _WEIGHTS):
        with (Path(folder).expanduser() / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:32]
