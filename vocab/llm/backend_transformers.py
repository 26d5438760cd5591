"""A causal language model of transformers in this process, prompt by prompt: for small runs on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.errors import BadInput
from vocab.llm.backend import BackendSettings, Completion, PromptRequest, Sampling, as_chat
from vocab.llm.chat_template import needs_folding

__all__ = ["TransformersBackend"]


class TransformersBackend:
    """The same seed and prompt give the same answer, since no other prompt shares its batch."""

    def __init__(self, settings: BackendSettings) -> None:
        if settings.structured:
            raise BadInput("transformers cannot hold answers to JSON; take --json with --server or --vllm")
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.model)
            self._model: Any = AutoModelForCausalLM.from_pretrained(settings.model).eval()
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{settings.model!r} cannot be loaded as a causal language model ({str(error).splitlines()[0]}); "
                "give a model's folder or its name on the hub"
            ) from error

        self._settings = settings
        self._fold_system = settings.chat and needs_folding(self._tokenizer, settings)

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        answers = []
        for request in requests:
            answers.append(self._answer(request, sampling))
            on_done(1)
        return answers

    def close(self) -> None:
        del self._model

    def _answer(self, request: PromptRequest, sampling: Sampling) -> list[Completion]:
        import torch

        if self._settings.chat:
            inputs = self._tokenizer.apply_chat_template(
                as_chat(request.messages, fold_system=self._fold_system),
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                **self._settings.chat_template_kwargs,
            )
        else:
            inputs = self._tokenizer(request.prompt, return_tensors="pt")
        length = int(inputs["input_ids"].shape[1])
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit is not None and length + sampling.max_tokens > limit:
            why = f"refused: the prompt has {length} tokens, with {sampling.max_tokens} to come the model takes {limit}"
            return [Completion(text="", finish_reason=why, tokens=0)] * sampling.samples
        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
            }
            drawn |= {"min_p": sampling.min_p} if sampling.min_p else {}
        if sampling.stop:
            drawn |= {"stop_strings": list(sampling.stop), "tokenizer": self._tokenizer}
        torch.manual_seed(request.seed)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                num_return_sequences=sampling.samples if sampling.temperature > 0 else 1,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
                **drawn,
            )
        found = [self._completion(row[length:].tolist(), sampling) for row in output]
        return found * (sampling.samples // len(found))

    def _completion(self, tokens: list[int], sampling: Sampling) -> Completion:
        ends = {self._tokenizer.eos_token_id, self._tokenizer.pad_token_id} - {None}
        real = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
        text = self._tokenizer.decode(tokens[:real], skip_special_tokens=True)
        stopped = [at for at in (text.find(stop) for stop in sampling.stop) if at >= 0]
        reason = "stop" if stopped or real < sampling.max_tokens else "length"
        return Completion(text=text[: min(stopped)] if stopped else text, finish_reason=reason, tokens=real)
