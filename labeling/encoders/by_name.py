"""One door to what judges audio: a joint embedder by its name, or a folder of a network without text.

Importing this module loads no torch; `encoder_card` reads files only.
"""

from __future__ import annotations

import json
from pathlib import Path

from labeling.embedders.by_name import embedder_card, load_embedder
from labeling.encoders.encoder import ClipEncoder, Encoder
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = ["CODECS", "CONVERTED", "SPEECH_LIKE", "encoder_card", "load_encoder", "model_type"]

CONVERTED = ("vggish", "panns-cnn14")
"""Folders that `cratedig evaluate convert` makes of public weights."""
CODECS = ("encodec", "dac")
SPEECH_LIKE = ("wav2vec2", "hubert", "wavlm", "mert_model")
"""Networks of the wav2vec family, MERT among them, as transformers saves them."""


def load_encoder(name_or_path: str = "bundled", *, device: str = "auto", threads: int = 1) -> Encoder:
    """`bundled`, a ClapModel folder, `muq:FOLDER`, `msclap:FILE`; a VGGish or PANNs folder that was converted; a folder
    of EnCodec, DAC, MERT, wav2vec 2, HuBERT or WavLM in transformers' form."""
    kind = model_type(name_or_path)
    if kind in CONVERTED:
        from labeling.encoders.converted import load_converted

        return load_converted(Path(name_or_path).expanduser(), device=device, threads=threads)
    if kind in CODECS or kind in SPEECH_LIKE:
        from labeling.encoders.transformers_audio import TransformersEncoder

        return TransformersEncoder(Path(name_or_path).expanduser(), device=device, threads=threads)
    return ClipEncoder(load_embedder(name_or_path, device=device, threads=threads))


def encoder_card(name_or_path: str = "bundled") -> EmbedderCard:
    """What `load_encoder` would load: read from its files and hashed."""
    kind = model_type(name_or_path)
    if kind in CONVERTED:
        from labeling.encoders.converted import converted_card

        return converted_card(Path(name_or_path).expanduser())
    if kind in CODECS or kind in SPEECH_LIKE:
        from labeling.encoders.transformers_audio import audio_card

        return audio_card(Path(name_or_path).expanduser())
    return embedder_card(name_or_path)


def model_type(name_or_path: str) -> str:
    """As the folder's config.json says; empty for what has none, which the embedders' door then explains."""
    if name_or_path == "bundled" or name_or_path.partition(":")[0] in ("muq", "msclap"):
        return ""
    file = Path(name_or_path).expanduser() / "config.json"
    if not file.is_file():
        return ""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise EmbedderProblem(f"{file} is not valid JSON ({error}); fetch the model again") from error
    kind = str(config.get("model_type", "")) if isinstance(config, dict) else ""
    known = ("clap", *CONVERTED, *CODECS, *SPEECH_LIKE)
    if kind not in known:
        raise EmbedderProblem(f"{file} is for a model of type {kind!r}; expected one of {', '.join(known)}")
    return kind
