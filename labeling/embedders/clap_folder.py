"""A ClapModel folder as files: its card, its hash, and what is wrong with it, without torch or transformers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = ["BUNDLED", "ClapFolder", "FrontEnd"]

BUNDLED = Path(__file__).parents[1] / "bundled_clap"
"""The model that this project trains and ships; `bundled` by name."""

_FRONT_END_VERSION = "1"
"""Goes up when our own code changes embeddings made with the same files."""
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json")
_SETTINGS_FILES = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """From waveform to mel, as the folder's processor has it; the defaults are those of `ClapFeatureExtractor`."""

    sampling_rate: int = 48_000
    max_length_s: int = 10
    feature_size: int = 64
    hop_length: int = 480
    fft_window_size: int = 1024
    frequency_min: float = 0
    frequency_max: float = 14_000
    top_db: float | None = None
    truncation: str = "fusion"
    quantise_int16: bool = False
    """Whether samples pass through 16 bits first, as in LAION's own code; a key of ours, set by `convert`."""

    @property
    def window_T(self) -> int:
        """Samples of one window."""
        return self.max_length_s * self.sampling_rate

    @property
    def frames(self) -> int:
        """Mel frames of one window."""
        return 1 + self.window_T // self.hop_length


class ClapFolder:
    """Reads and checks the small files at once; the weights only when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise EmbedderProblem(
                f"no model at {path}: expected `bundled` or a ClapModel folder; fetch one with "
                "`hf download laion/clap-htsat-unfused --local-dir FOLDER`, or turn LAION's .pt file into one with "
                "`cratedig embedder convert FILE.pt FOLDER`"
            )
        if not path.is_dir():
            raise EmbedderProblem(
                f"{path} is a file: expected a ClapModel folder; turn LAION's .pt file into one with "
                f"`cratedig embedder convert {path} FOLDER`"
            )
        self.config = self._json("config.json", "the model's shape")
        if self.config.get("model_type") != "clap":
            raise EmbedderProblem(
                f"{path}/config.json is for a model of type {self.config.get('model_type')!r}: expected 'clap', "
                "as transformers' ClapModel saves it"
            )
        self.front_end = self._front_end()
        audio = self.config.get("audio_config") or {}
        bands, spec_size = audio.get("num_mel_bins", 64), audio.get("spec_size", 256)
        if self.front_end.feature_size != bands:
            raise EmbedderProblem(
                f"{path}: the processor makes {self.front_end.feature_size} mel bands, the model takes {bands}; "
                "take both from the same model"
            )
        if self.front_end.frames > spec_size * (spec_size // bands):
            raise EmbedderProblem(
                f"{path}: the processor makes {self.front_end.frames} frames, the model takes up to "
                f"{spec_size * (spec_size // bands)}; take both from the same model"
            )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """That LAION's weights came with another listening than they were trained with, as on the hub."""
        audio = self.config.get("audio_config") or {}
        f = self.front_end
        laions = f.sampling_rate == 48_000 and f.feature_size == 64 and audio.get("patch_embeds_hidden_size", 96) >= 96
        if not laions or (f.frequency_min == 50 and f.quantise_int16):
            return ()
        return (
            f"this looks like LAION's weights, but its processor starts at {f.frequency_min:g} Hz"
            f"{'' if f.quantise_int16 else ' and skips the step through 16 bits'}: LAION's own code starts at 50 Hz "
            f"and takes that step; `cratedig embedder convert {self.path} FOLDER --laion-front-end` sets it so",
        )

    @cached_property
    def text_limit_tokens(self) -> int:
        """Tokens of a text, marks included, that both tokenizer and model accept."""
        text = self.config.get("text_config") or {}
        positions = int(text.get("max_position_embeddings", 514)) - int(text.get("pad_token_id", 1)) - 1
        tokenizer = self._json("tokenizer_config.json", "the tokenizer") if self._has("tokenizer_config.json") else {}
        return min(positions, int(tokenizer.get("model_max_length", positions)))

    @cached_property
    def weights(self) -> list[Path]:
        """The safetensors files, each checked to be whole."""
        if self._has("model.safetensors.index.json"):
            index = self._json("model.safetensors.index.json", "the list of weights")
            names = sorted(set(index.get("weight_map", {}).values()))
        else:
            names = ["model.safetensors"]
        missing = [n for n in names if not self._has(n)]
        if missing and list(self.path.glob("*.bin")):
            raise EmbedderProblem(
                f"{self.path} holds pickled weights (.bin), which can run code: expected safetensors; convert it with "
                f"`cratedig embedder convert {self.path} FOLDER`, which reads nothing but tensors from it"
            )
        if missing or not names:
            raise EmbedderProblem(
                f"{self.path} has no {missing[0] if missing else 'weights'}: expected a complete ClapModel folder; "
                "fetch or save it again"
            )
        for name in names:
            self._check_whole(name)
        return [self.path / n for n in names]

    def check_tokenizer(self) -> None:
        """That one of the forms in which a tokenizer is saved is there."""
        if not self._has("tokenizer.json") and not (self._has("vocab.json") and self._has("merges.txt")):
            raise EmbedderProblem(
                f"{self.path} has no tokenizer: expected tokenizer.json (or vocab.json and merges.txt) beside "
                "config.json; copy those files from the place that the model came from"
            )

    def card(self) -> EmbedderCard:
        """Raises on anything that is missing, so that it fails before work begins."""
        self.check_tokenizer()
        about = self._about()
        return EmbedderCard(
            name=about.get("model_name", "bundled" if self.path == BUNDLED else self.path.resolve().name),
            sample_rate_hz=self.front_end.sampling_rate,
            window_s=float(self.front_end.max_length_s),
            dimension=int(self.config.get("projection_dim", 512)),
            text_limit_tokens=self.text_limit_tokens,
            licence=about.get("license", "unknown"),
            revision=about.get("revision", self._snapshot()),
            weights_hash=self._hash(),
        )

    def _hash(self) -> str:
        total = hashlib.blake2b(_FRONT_END_VERSION.encode(), digest_size=16)
        files = [self.path / n for n in (*_TOKENIZER_FILES, *_SETTINGS_FILES) if self._has(n)]
        for file in sorted([*files, *self.weights]):
            with file.open("rb") as stream:
                digest = hashlib.blake2b(digest_size=16)
                while block := stream.read(1 << 22):
                    digest.update(block)
            total.update(file.name.encode() + b"\0" + digest.digest())
        return total.hexdigest()

    def _front_end(self) -> FrontEnd:
        """`processor_config.json` wins where both are there, as it does in transformers."""
        settings: dict[str, Any] | None = None
        if self._has("processor_config.json"):
            settings = self._json("processor_config.json", "the processor").get("feature_extractor")
        if settings is None and self._has("preprocessor_config.json"):
            settings = self._json("preprocessor_config.json", "the processor")
        if settings is None:
            raise EmbedderProblem(
                f"{self.path} has no processor: expected preprocessor_config.json or processor_config.json, which say "
                "at what rate and with which mel filters the model listens; copy it from where the model came from"
            )
        front_end = FrontEnd(**{k: settings[k] for k in FrontEnd.__dataclass_fields__ if k in settings})
        if front_end.top_db is not None:
            raise EmbedderProblem(
                f"{self.path}: the processor has top_db {front_end.top_db}: expected none; its model is not a CLAP"
            )
        return front_end

    def _about(self) -> dict[str, str]:
        """`key: value` lines of the model card's head; enough of YAML for a name, a licence and a revision."""
        if not self._has("README.md"):
            return {}
        lines = (self.path / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
        if not lines or lines[0].strip() != "---" or "---" not in [line.strip() for line in lines[1:]]:
            return {}
        head = lines[1 : [line.strip() for line in lines].index("---", 1)]
        pairs = (line.split(":", 1) for line in head if ":" in line and not line.startswith((" ", "-", "#")))
        return {key.strip(): value.strip().strip("'\"") for key, value in pairs if value.strip()}

    def _snapshot(self) -> str:
        """The commit, where the folder lies in the hub's own cache."""
        name = self.path.resolve().name
        return name if len(name) == 40 and all(c in "0123456789abcdef" for c in name) else ""

    def _check_whole(self, name: str) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self.path / name), framework="np") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            size = (self.path / name).stat().st_size
            raise EmbedderProblem(
                f"{self.path / name} ({size} bytes) is not a whole safetensors file ({error}); fetch it again"
            ) from error

    def _has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def _json(self, name: str, what: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise EmbedderProblem(
                f"{self.path} has no {name} ({what}): expected a ClapModel folder as `save_pretrained` writes it"
            ) from None
        except ValueError as error:
            raise EmbedderProblem(f"{self.path / name} is not valid JSON ({error}); fetch it again") from error
        if not isinstance(value, dict):
            raise EmbedderProblem(
                f"{self.path / name} holds a {type(value).__name__}: expected an object; fetch it again"
            )
        return value
