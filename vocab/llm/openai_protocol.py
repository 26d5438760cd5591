"""OpenAI's protocol without the network: what is asked, and what an answer says. Servers and batch files share it."""

from __future__ import annotations

import re
from typing import Any

from pipeline.errors import BadInput
from vocab.llm.backend import ANSWER_SCHEMA, BackendSettings, Completion, PromptRequest, Sampling, as_chat

__all__ = ["NotTheProtocol", "RefusedPrompt", "path_of", "read_answer", "request_body"]


class RefusedPrompt(Exception):
    """The server will not answer this prompt, however often it is asked."""


class NotTheProtocol(Exception):
    """Half an answer, or something else than one."""


def path_of(settings: BackendSettings) -> str:
    return "chat/completions" if settings.chat else "completions"


def request_body(
    request: PromptRequest, sample: int, sampling: Sampling, settings: BackendSettings, *, fold_system: bool = False
) -> dict[str, Any]:
    """The JSON of one request; fields that only some servers know are there only where they are asked for."""
    body: dict[str, Any] = {
        "model": settings.model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": (request.seed + sample) % 2**31,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    body |= {name: value for name in ("top_k", "min_p") if (value := getattr(sampling, name))}
    if settings.chat:
        body["messages"] = as_chat(request.messages, fold_system=fold_system)
        if settings.chat_template_kwargs:
            body["chat_template_kwargs"] = settings.chat_template_kwargs
    else:
        body["prompt"] = request.prompt
    if settings.structured:
        schema = {"name": "captions", "strict": True, "schema": ANSWER_SCHEMA}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body |= settings.request
    return {name: value for name, value in body.items() if value is not None}


def read_answer(body: Any, settings: BackendSettings, *, where: str) -> Completion:
    """Raises NotTheProtocol, RefusedPrompt, or BadInput where another model answered than the one asked for."""
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"] if settings.chat else choice["text"]
        reason = choice.get("finish_reason") or "stop"
        tokens = int((body.get("usage") or {}).get("completion_tokens") or 0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotTheProtocol(f"the answer is not what the protocol says ({type(error).__name__})") from error
    served, asked = str(body.get("model", settings.model)), settings.model
    if served not in settings.aliases and not _same_model(served, asked):
        raise BadInput(
            f"{where} answered with the model {served!r}, asked for was {asked!r}; give --model {served!r}, or "
            f"--model-alias {served!r} where it is the same, or start the server with the right one"
        )
    if reason == "content_filter":
        raise RefusedPrompt("content filter")
    if reason == "length" and not (text or "").strip():
        raise RefusedPrompt(f"{tokens} tokens without an answer, thinking perhaps; give more --max-tokens")
    if not isinstance(text, str):
        raise NotTheProtocol("the answer holds no text")
    return Completion(text=text, finish_reason="length" if reason == "length" else "stop", tokens=tokens)


def _same_model(served: str, asked: str) -> bool:
    """`gpt-4o-2024-08-06` for `gpt-4o`, `name@revision` for `name`, a file's path for its name."""
    short = served.partition("@")[0]
    file = short.rpartition("/")[2]
    dated = re.fullmatch(re.escape(asked) + r"-\d[\d-]*", served)
    return asked in (served, short, file, file.removesuffix(".gguf")) or bool(dated)
