"""MS-CLAP as an embedder, through its makers' package `msclap`.

B windows, T samples of one, N texts, D dimensions.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.embedder import Embedder, TextReport, check_texts, check_windows
from labeling.embedders.maker_package import cache_only, hash_files, normalised, package
from labeling.embedders.text_report import report_texts
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard
from pipeline.threads import torch_threads

__all__ = ["MsClapEmbedder", "msclap_card"]

_LICENCE = "see hf.co/microsoft/msclap"
_INSTALL = "pip install --no-deps msclap torchlibrosa torchaudio"
"""Without its dependencies: its pins (numpy 1, transformers 4) are older than what it needs."""


class MsClapEmbedder(Embedder):
    """`msclap.CLAPWrapper` from a file such as CLAP_weights_2023.pth; the year in its name is its version."""

    def __init__(self, file: Path, *, device: str = "auto", threads: int = 1) -> None:
        self.card = msclap_card(file)
        from labeling.embedders.safe_pickle import load_tensors
        from labeling.embedders.torch_device import choose_device

        self._threads = threads
        load_tensors(file, "model")  # the package unpickles what it is given: only after it proved to be tensors
        msclap = package("msclap", _INSTALL)
        with cache_only(f"msclap:{file}", "hf download gpt2 (for 2022: hf download bert-base-uncased)"):
            self.wrapper = msclap.CLAP(model_fp=file, version=_version(file), use_cuda=False)
        self.device = choose_device(device)
        self.wrapper.clap.to(self.device).eval()

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        """Past the wrapper's own reading of files, which cuts a random piece out of a long one."""
        import torch

        windows_BT = check_windows(windows_BT, self.card)
        if not len(windows_BT):
            return np.zeros((0, self.card.dimension), np.float32)
        with torch_threads(self._threads), torch.inference_mode():
            return normalised(self.wrapper.clap.audio_encoder(torch.from_numpy(windows_BT).to(self.device))[0])

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the wrapper's `preprocess_text` does it, whose call of `encode_plus` transformers 5 has no more."""
        import torch

        texts = check_texts(texts)
        if not texts:
            return np.zeros((0, self.card.dimension), np.float32)
        args = self.wrapper.args
        ending = " <|endoftext|>" if "gpt" in args.text_model else ""
        tokens = self.wrapper.tokenizer(
            [text + ending for text in texts],
            max_length=args.text_len,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        with torch_threads(self._threads), torch.inference_mode():
            given = {key: tokens[key].to(self.device) for key in self.wrapper.token_keys}
            return normalised(self.wrapper.clap.caption_encoder(given))

    def text_report(self, texts: Sequence[str]) -> TextReport:
        return report_texts(self.wrapper.tokenizer, texts, self.card.text_limit_tokens)


def msclap_card(file: Path) -> EmbedderCard:
    """From the package's configuration of that year."""
    if not file.is_file():
        raise EmbedderProblem(
            f"msclap:{file}: no such file; expected weights such as CLAP_weights_2023.pth: "
            "`hf download microsoft/msclap CLAP_weights_2023.pth --local-dir FOLDER`"
        )
    version = _version(file)
    spec = importlib.util.find_spec("msclap")
    if spec is None or spec.origin is None:
        raise EmbedderProblem(f"msclap:{file} needs the package msclap: {_INSTALL}")
    config_file = Path(spec.origin).parent / "configs" / f"config_{version}.yml"
    config = _simple_yaml(config_file.read_text(encoding="utf-8"))
    return EmbedderCard(
        name=f"msclap:{file.stem}",
        sample_rate_hz=int(config["sampling_rate"]),
        window_s=float(config["duration"]),
        dimension=int(config["d_proj"]),
        text_limit_tokens=int(config["text_len"]),
        licence=_LICENCE,
        revision=version,
        weights_hash=hash_files([config_file, file]),
    )


def _version(file: Path) -> str:
    return "2022" if "2022" in file.name else "2023"


def _simple_yaml(text: str) -> dict[str, str]:
    """Flat `key: value # remark` lines, which is all that those files hold."""
    lines = (line.partition("#")[0].partition(":") for line in text.splitlines())
    return {key.strip(): value.strip().strip("'\"") for key, colon, value in lines if colon and value.strip()}
