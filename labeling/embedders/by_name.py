"""One door to every joint music-text model: get one by name or path.

Importing this module loads no torch; `embedder_card` reads files only.
"""

from __future__ import annotations

from pathlib import Path

from labeling.embedders.clap_folder import BUNDLED
from labeling.embedders.embedder import DEVICES, DTYPES, Embedder
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = ["BUNDLED", "embedder_card", "load_embedder", "model_folder"]


def load_embedder(
    name_or_path: str = "bundled", *, device: str = "auto", dtype: str = "auto", threads: int = 1
) -> Embedder:
    """A model ready to embed: `bundled`, a ClapModel folder, `muq:FOLDER`, or `msclap:FILE`.

    `auto` takes CUDA or MPS where there is one, and float32. `threads` are CPU threads of this process and part of what
    fixes the bits: keep it at 1 in workers.
    """
    if device.partition(":")[0] not in DEVICES:
        raise EmbedderProblem(f"device {device!r}: expected one of {', '.join(DEVICES)}, or cuda:1 and so on")
    if dtype not in DTYPES:
        raise EmbedderProblem(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    if threads < 1:
        raise EmbedderProblem(f"{threads} threads: expected 1 or more")
    kind, path = _kind(name_or_path)
    if kind != "clap" and dtype not in ("auto", "float32"):
        raise EmbedderProblem(f"dtype {dtype} with {name_or_path}: expected float32, the only one that it runs in")
    if kind == "muq":
        from labeling.embedders.muq_mulan import MuQMuLanEmbedder

        return MuQMuLanEmbedder(path, device=device, threads=threads)
    if kind == "msclap":
        from labeling.embedders.ms_clap import MsClapEmbedder

        return MsClapEmbedder(path, device=device, threads=threads)
    from labeling.embedders.clap import ClapEmbedder

    return ClapEmbedder(path, device=device, dtype=dtype, threads=threads)


def embedder_card(name_or_path: str = "bundled") -> EmbedderCard:
    """What `load_embedder` would load: read from its files and hashed, without loading it."""
    kind, path = _kind(name_or_path)
    if kind == "muq":
        from labeling.embedders.muq_mulan import muq_card

        return muq_card(path)
    if kind == "msclap":
        from labeling.embedders.ms_clap import msclap_card

        return msclap_card(path)
    from labeling.embedders.clap_folder import ClapFolder

    return ClapFolder(path).card()


def model_folder(name_or_path: str) -> Path | None:
    """Where a ClapModel's files lie; None for the kinds that are loaded by their makers' packages."""
    kind, path = _kind(name_or_path)
    return path if kind == "clap" else None


def _kind(name_or_path: str) -> tuple[str, Path]:
    """Which of the implementations, and where its files are."""
    if name_or_path == "bundled":
        return "clap", BUNDLED
    prefix, colon, rest = name_or_path.partition(":")
    kind, path = (prefix, rest) if colon and prefix in ("muq", "msclap") else ("clap", name_or_path)
    return kind, Path(path).expanduser()
