"""vLLM in this process: `LLM.generate` over a shard's prompts, whose common prefix it computes once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.errors import BadInput
from pipeline.process import end_children_with_this
from vocab.llm.backend import BackendSettings, Completion, PromptRequest, Sampling

__all__ = ["VllmBackend"]

_AT_ONCE = 512
"""Prompts handed over together: enough to fill a GPU, few enough that signs of life come often."""


class VllmBackend:
    """Needs the extra: pip install 'cratedig[vllm]'. Written against vLLM 0.33's `LLM` and `SamplingParams`."""

    def __init__(self, settings: BackendSettings) -> None:
        try:
            import vllm
        except ImportError as error:
            raise BadInput(
                f"vLLM is not installed ({error}); pip install 'cratedig[vllm]' on a machine with a GPU, "
                "or use --server with any OpenAI-compatible server"
            ) from error
        end_children_with_this()
        self._vllm = vllm
        self._llm = vllm.LLM(model=settings.model, **{"enable_prefix_caching": True, "seed": 0, **settings.engine})

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        answers: list[list[Completion]] = []
        for start in range(0, len(requests), _AT_ONCE):
            batch = requests[start : start + _AT_ONCE]
            outputs = self._llm.generate(
                [request.prompt for request in batch],
                [self._parameters(request, sampling) for request in batch],
                use_tqdm=False,
            )
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
        )

    @staticmethod
    def _completion(output: object) -> Completion:
        reason = getattr(output, "finish_reason", None) or "stop"
        return Completion(
            text=str(getattr(output, "text", "")),
            finish_reason=reason if reason in ("stop", "length") else f"failed: {reason}",
            tokens=len(getattr(output, "token_ids", ())),
        )
