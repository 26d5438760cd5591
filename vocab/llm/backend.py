"""What a language model is to this project: prompts in, completions out, each with its seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Backend", "BackendSettings", "Completion", "PromptRequest", "Sampling"]


class Sampling(BaseModel):
    """How answers are drawn; part of what identifies a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=1, ge=1, le=256)
    """Answers for each song."""
    temperature: float = Field(default=0.9, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=128, ge=1, le=4096)
    stop: tuple[str, ...] = ("\n\n",)
    """The examples of the template are set apart by an empty line, so an answer ends at one."""


class BackendSettings(BaseModel):
    """Which model, and how to reach it; only the model's name is part of what identifies a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(pattern="^(vllm|server|transformers)$")
    model: str = Field(min_length=1)
    url: str = ""
    """Of an OpenAI-compatible server, up to and including `/v1`."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the server's key; the key itself is never written anywhere."""
    chat: bool = False
    """Ask `/chat/completions` instead of `/completions`, for models that only follow instructions."""
    concurrency: int = Field(default=16, ge=1, le=1024)
    requests_per_minute: float = Field(default=0, ge=0)
    """0: no limit of our own."""
    timeout_s: float = Field(default=120, gt=0)
    patience_s: float = Field(default=600, gt=0)
    """For so long a server may be gone, busy or loading its model before the run gives up."""
    attempts: int = Field(default=6, ge=1)
    """For one prompt that a server keeps failing on while it answers others."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """More arguments for `vllm.LLM`, such as tensor_parallel_size."""


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    prompt: str
    seed: int
    """Below 2^31; sample i of the request uses seed + i where the backend takes one seed for each."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer, or the word that there is none."""

    text: str
    finish_reason: str
    """`stop`, `length`, `failed: why` (to be asked again), or `refused: why` (for good)."""
    tokens: int


class Backend(Protocol):
    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        """`sampling.samples` completions for each request, in order.

        `on_done(n)` tells of n more requests done, also of none: a sign of life while a server is waited for.
        """
        ...

    def close(self) -> None: ...
