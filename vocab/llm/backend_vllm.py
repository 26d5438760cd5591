"""vLLM in this process: `LLM.generate` or `LLM.chat` over a shard's prompts, whose common prefix it computes once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.errors import BadInput
from pipeline.installation import install_command
from pipeline.process import end_children_with_this
from vocab.llm.backend import ANSWER_SCHEMA, BackendSettings, Completion, PromptRequest, Sampling, as_chat
from vocab.llm.chat_template import needs_folding

__all__ = ["VllmBackend"]

_AT_ONCE = 512
"""Prompts handed over together: enough to fill a GPU, few enough that signs of life come often."""


class VllmBackend:
    """Needs the extra: pip install -e '.[vllm]'. Written against vLLM 0.33's `LLM` and `SamplingParams`."""

    def __init__(self, settings: BackendSettings) -> None:
        try:
            import vllm
        except ImportError as error:
            raise BadInput(
                f"vLLM is not installed ({error}); {install_command('vllm')}, on a machine with a GPU, "
                "or use --server with any OpenAI-compatible server"
            ) from error
        end_children_with_this()
        self._vllm = vllm
        self._llm = vllm.LLM(model=settings.model, **{"enable_prefix_caching": True, "seed": 0, **settings.engine})
        self._settings = settings
        self._fold_system = settings.chat and needs_folding(self._llm.get_tokenizer(), settings)
        self._structured: dict[str, object] = {}
        if settings.structured:
            from vllm.sampling_params import StructuredOutputsParams

            self._structured = {"structured_outputs": StructuredOutputsParams(json=ANSWER_SCHEMA)}

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        answers: list[list[Completion]] = []
        for start in range(0, len(requests), _AT_ONCE):
            batch = requests[start : start + _AT_ONCE]
            parameters = [self._parameters(request, sampling) for request in batch]
            if self._settings.chat:
                outputs = self._llm.chat(
                    [as_chat(request.messages, fold_system=self._fold_system) for request in batch],
                    parameters,
                    use_tqdm=False,
                    chat_template_kwargs=self._settings.chat_template_kwargs or None,
                )
            else:
                outputs = self._llm.generate([request.prompt for request in batch], parameters, use_tqdm=False)
            answers += [[self._completion(output) for output in request.outputs] for request in outputs]
            on_done(len(batch))
        return answers

    def close(self) -> None:
        del self._llm

    def _parameters(self, request: PromptRequest, sampling: Sampling) -> object:
        return self._vllm.SamplingParams(
            n=sampling.samples,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop) or None,
            seed=request.seed,
            **{name: value for name in ("top_k", "min_p") if (value := getattr(sampling, name))},
            **self._structured,
        )

    @staticmethod
    def _completion(output: object) -> Completion:
        reason = getattr(output, "finish_reason", None) or "stop"
        return Completion(
            text=str(getattr(output, "text", "")),
            finish_reason=reason if reason in ("stop", "length") else f"failed: {reason}",
            tokens=len(getattr(output, "token_ids", ())),
        )
