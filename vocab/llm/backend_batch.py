"""Answers from the batch files of a hosted API: JSON lines, each with the id of the request that it answers.

OpenAI's format, which vLLM's `run_batch` and other hosts speak too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import BadInput
from vocab.llm.backend import BackendSettings, Completion, PromptRequest, Sampling
from vocab.llm.openai_protocol import NotTheProtocol, RefusedPrompt, path_of, read_answer, request_body

__all__ = ["BatchBackend", "batch_lines"]


def batch_lines(
    requests: Iterable[PromptRequest], sampling: Sampling, settings: BackendSettings
) -> Iterable[dict[str, Any]]:
    """One request a line, with the id by which its answer will be known."""
    for request in requests:
        for sample in range(sampling.samples):
            yield {
                "custom_id": f"{request.id}-{sample}",
                "method": "POST",
                "url": f"/v1/{path_of(settings)}",
                "body": request_body(request, sample, sampling, settings),
            }


class BatchBackend:
    """Asks nobody: what has no answer in the files yet is `failed`, until a later run is given it."""

    def __init__(self, settings: BackendSettings) -> None:
        self._settings = settings
        self._found: dict[str, Completion] = {}
        for name in settings.batch_answers:
            self._read(Path(name))

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        missing = Completion(text="", finish_reason="failed: no answer in the batch files yet", tokens=0)
        on_done(len(requests))
        return [
            [self._found.get(f"{request.id}-{sample}", missing) for sample in range(sampling.samples)]
            for request in requests
        ]

    def close(self) -> None:
        self._found.clear()

    def _read(self, file: Path) -> None:
        try:
            with file.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        self._take(line, f"{file}, line {number},")
        except OSError as error:
            raise BadInput(f"{file} cannot be read ({error.strerror}); give the batch's output file") from error
        except UnicodeDecodeError as error:
            raise BadInput(f"{file} is not UTF-8 (byte {error.start}); give the batch's output file") from error

    def _take(self, line: str, where: str) -> None:
        try:
            row = json.loads(line)
            key, response, error = str(row["custom_id"]), row.get("response") or {}, row.get("error")
            status, body = int(response.get("status_code") or 200), response.get("body")
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadInput(f"{where} is no line of a batch's output ({type(problem).__name__}: {problem})") from problem
        words = " ".join(json.dumps(error or body, ensure_ascii=False).split())[:200]
        if error or status >= 300:
            kind = "refused" if status in (400, 413, 422) else "failed"
            answer = Completion(text="", finish_reason=f"{kind}: HTTP {status}: {words}", tokens=0)
        else:
            try:
                answer = read_answer(body, self._settings, where=where)
            except RefusedPrompt as refusal:
                answer = Completion(text="", finish_reason=f"refused: {refusal}", tokens=0)
            except NotTheProtocol as fault:
                answer = Completion(text="", finish_reason=f"failed: {fault}", tokens=0)
        if key not in self._found or self._found[key].finish_reason.startswith("failed"):
            self._found[key] = answer
