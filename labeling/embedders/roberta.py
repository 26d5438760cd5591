"""RoBERTa's tokenizer, which LAION's checkpoints need and don't contain: from the hub's cache, else fetched by name."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.errors import EmbedderProblem

__all__ = ["roberta_folder"]

_FILES = ("tokenizer.json", "tokenizer_config.json")
_TIMEOUT_S = 20.0


def roberta_folder(name: str, *, timeout_s: float = _TIMEOUT_S) -> Path:
    """A folder with the tokenizer of the hub's model `name`."""
    return _cached(name) or _fetched(name, timeout_s)


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for spelling in (name, name.rpartition("/")[2]):
        found = [try_to_load_from_cache(spelling, file) for file in _FILES]
        if all(isinstance(path, str) for path in found):
            return Path(str(found[0])).parent
    return None


def _fetched(name: str, timeout_s: float) -> Path:
    """By plain requests with a time limit: the hub's client retries for many minutes where there is no way out."""
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    folder = Path(tempfile.mkdtemp(prefix="roberta-"))
    for file in _FILES:
        url = f"{host}/{name}/resolve/main/{file}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                (folder / file).write_bytes(answer.read())
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise EmbedderProblem(
                f"RoBERTa's tokenizer is not here and {url} can't be reached ({error}); fetch it where there is a "
                f"network (`hf download {name} {' '.join(_FILES)} --local-dir roberta`) and give --tokenizer roberta"
            ) from error
    return folder
