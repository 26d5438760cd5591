"""Whether a tokenizer can put messages into its model's own form, asked before a long run."""

from __future__ import annotations

from typing import Any

from pipeline.errors import BadInput
from vocab.llm.backend import BackendSettings, as_chat

__all__ = ["needs_folding"]

_SAMPLE = (("system", "Be plain."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"))


def needs_folding(tokenizer: Any, settings: BackendSettings) -> bool:
    """Whether the system's words must go into the first user message, as Gemma's template wants.

    Raises BadInput where there is no chat template, or none that takes turns.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise BadInput(
            f"{settings.model!r} has no chat template: it goes on with a text and follows no instructions; leave "
            "--chat out, or give the instruction-tuned model"
        )
    for fold in (False, True):
        try:
            tokenizer.apply_chat_template(
                as_chat(_SAMPLE, fold_system=fold),
                add_generation_prompt=True,
                tokenize=False,
                **settings.chat_template_kwargs,
            )
        except Exception as error:  # whatever a template raises, in its own words
            problem = error
        else:
            return fold
    raise BadInput(f"the chat template of {settings.model!r} takes no turns ({problem}); leave --chat out")
