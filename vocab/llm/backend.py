"""What a language model is to this project: prompts in, completions out, each with its seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ANSWER_SCHEMA", "Backend", "BackendSettings", "Completion", "PromptRequest", "Sampling", "as_chat"]


class Sampling(BaseModel):
    """How answers are drawn; part of what identifies a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(default=1, ge=1, le=256)
    """Answers for each song."""
    temperature: float = Field(default=0.9, ge=0, le=2)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0: off."""
    min_p: float = Field(default=0, ge=0, le=1)
    """0: off."""
    max_tokens: int = Field(default=128, ge=1, le=100_000)
    stop: tuple[str, ...] = ("\n\n",)
    """As one text, the examples are set apart by an empty line, so an answer ends at one; chats end by themselves."""


ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"captions": {"type": "array", "items": {"type": "string"}}},
    "required": ["captions"],
    "additionalProperties": False,
}
"""Of a structured answer: a JSON list of sentences, in an object because some servers take nothing else."""


class BackendSettings(BaseModel):
    """Which model, and how to reach it; only the model's name is part of what identifies a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(pattern="^(vllm|server|transformers|batch)$")
    model: str = Field(min_length=1)
    url: str = ""
    """Of an OpenAI-compatible server, up to and including `/v1`."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the server's key; the key itself is never written anywhere."""
    aliases: tuple[str, ...] = ()
    """Other names by which a server may call the model in its answers."""
    chat: bool = False
    """Ask in messages, for models that follow instructions; else in one text that the model goes on with."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """For the model's chat template, such as {"enable_thinking": false}."""
    structured: bool = False
    """Have the answer follow ANSWER_SCHEMA."""
    request: dict[str, Any] = Field(default_factory=dict)
    """More fields of a server's request; null takes one of ours out."""
    concurrency: int = Field(default=16, ge=1, le=1024)
    requests_per_minute: float = Field(default=0, ge=0)
    """0: no limit of our own."""
    timeout_s: float = Field(default=120, gt=0)
    patience_s: float = Field(default=600, gt=0)
    """For so long a server may be gone, busy or loading its model before the run gives up."""
    attempts: int = Field(default=6, ge=1)
    """For one prompt that a server keeps failing on while it answers others."""
    batch_answers: tuple[str, ...] = ()
    """Files that a hosted batch came back as."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """More arguments for `vllm.LLM`, such as tensor_parallel_size."""


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    id: str
    """Of what is asked, the same in every run."""
    prompt: str
    """All of it as one text."""
    messages: tuple[tuple[str, str], ...]
    """The same as (role, content), the roles being system, user and assistant."""
    seed: int
    """Below 2^31; sample i of the request uses seed + i where the backend takes one seed for each."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer, or the word that there is none."""

    text: str
    finish_reason: str
    """`stop`, `length`, `failed: why` (to be asked again), or `refused: why` (for good)."""
    tokens: int


def as_chat(messages: Sequence[tuple[str, str]], *, fold_system: bool = False) -> list[dict[str, str]]:
    """Messages as OpenAI's protocol and chat templates have them. `fold_system`: the system's words go before the first
    user's, for templates without that role."""
    turns = list(messages)
    if fold_system and turns and turns[0][0] == "system":
        (_, words), (role, first), *rest = turns
        turns = [(role, f"{words}\n\n{first}"), *rest]
    return [{"role": role, "content": content} for role, content in turns]


class Backend(Protocol):
    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        """`sampling.samples` completions for each request, in order.

        `on_done(n)` tells of n more requests done, also of none: a sign of life while a server is waited for.
        """
        ...

    def close(self) -> None: ...
