"""Any server that speaks OpenAI's protocol: vLLM's, transformers', llama.cpp's, a hosted one.

What can be mended by waiting is waited for, as long as the settings' patience lasts: no connection, 429, 503, a model
that is being loaded, and 5xx or half a body where nobody else is answered either. What cannot be mended ends the run
with the server's own words (401, 404, a used-up quota, another model than the one asked for). A single prompt that a
server keeps failing on while it answers others is `failed`: the next run asks it again. One that it will not take is
`refused`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from itertools import count
from typing import Any

import httpx

from pipeline.errors import BadInput, RunFailed
from pipeline.ids import hash_u64
from vocab.llm.backend import BackendSettings, Completion, PromptRequest, Sampling, as_chat
from vocab.llm.openai_protocol import NotTheProtocol, RefusedPrompt, path_of, read_answer, request_body

__all__ = ["ServerBackend"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_SIGN_OF_LIFE_S = 5.0
_PASSING = frozenset({408, 409, 425, 500, 502, 504})
"""The server's trouble or the prompt's: whether others are answered tells."""
_BUSY = frozenset({429, 503, 529})
"""The server's trouble for sure."""
_LOADING = re.compile(r"\bload(?:ing|ed)? (?:the |a )?model\b|\bmodel\b.{0,80}\bloading\b", re.IGNORECASE)
_NO_SYSTEM = re.compile(r"system role|role.{0,20}system|roles must alternate", re.IGNORECASE)
"""What servers say where a model's chat template knows no system message, as Gemma's."""
_USED_UP = re.compile(r"insufficient_quota|billing|credit balance", re.IGNORECASE)


class _TryAgain(Exception):
    """Worth another attempt. `gone`: the prompt has no part in it."""

    def __init__(self, why: str, *, gone: bool = False, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.gone, self.after_s = gone, after_s


class ServerBackend:
    def __init__(self, settings: BackendSettings) -> None:
        if not settings.url.startswith(("http://", "https://")):
            raise BadInput(f"{settings.url!r} is no server's address; give one such as http://localhost:8000/v1")
        self._settings = settings
        key = os.environ.get(settings.api_key_variable, "")
        self._client = httpx.Client(
            base_url=settings.url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(settings.timeout_s, connect=10),
            limits=httpx.Limits(max_connections=settings.concurrency),
        )
        self._pace = _Pace(settings.requests_per_minute)
        self._answers = _Answers()
        self._fold_system = False
        self._stop = threading.Event()

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        self._stop.clear()
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            waiting = [
                [pool.submit(self._answer, request, sample, sampling) for sample in range(sampling.samples)]
                for request in requests
            ]
            try:
                answers = []
                for futures in waiting:
                    answers.append([_result(future, on_done) for future in futures])
                    on_done(1)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return answers

    def close(self) -> None:
        self._client.close()

    def _answer(self, request: PromptRequest, sample: int, sampling: Sampling) -> Completion:
        body = request_body(request, sample, sampling, self._settings, fold_system=self._fold_system)
        blamed, wait_s, began = 0, _FIRST_WAIT_S, 0.0
        for attempt in count():
            asked = time.monotonic()
            try:
                self._pace.take(self._stop)
                completion = self._ask(body)
                self._answers.note(body)
                return completion
            except RefusedPrompt as refusal:
                self._answers.note()
                return Completion(text="", finish_reason=f"refused: {refusal}", tokens=0)
            except _TryAgain as problem:
                began = began or asked
                if not problem.gone:
                    blamed += self._answers.last > asked or self._answers_others()
                answered = self._answers.last > began
                waited_s = time.monotonic() - (began if answered else max(began, self._answers.last))
                if waited_s > self._settings.patience_s and not answered:
                    raise RunFailed(
                        f"{self._settings.url} has not answered for {waited_s:.0f} s ({problem}); what is finished is "
                        "safe: start the server and run the same command again"
                    ) from None
                if blamed >= self._settings.attempts or waited_s > self._settings.patience_s:
                    return Completion(text="", finish_reason=f"failed: {problem}", tokens=0)
                jitter = 0.5 + (hash_u64("wait", request.seed, sample, attempt) % 1000) / 1000
                left_s = max(self._settings.patience_s - waited_s, 0) + 0.1
                if self._stop.wait(min(max(problem.after_s, wait_s * jitter), left_s)):
                    break
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        raise RunFailed("stopped")

    def _answers_others(self) -> bool:
        """Whether a prompt that was answered before is answered now: then it is the other prompt that is at fault."""
        if (known := self._answers.example) is None:
            return False
        try:
            self._ask(known | {"max_tokens": 1})
        except (_TryAgain, RefusedPrompt):
            return False
        return True

    def _ask(self, body: dict[str, Any]) -> Completion:
        try:
            response = self._client.post(path_of(self._settings), json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _TryAgain(f"no connection: {error}", gone=True) from error
        except httpx.RemoteProtocolError as error:
            # A server that dies in mid-sentence looks like one that sends half a body: the next attempt will tell.
            raise _TryAgain(f"the answer broke off: {error}") from error
        except httpx.TimeoutException as error:
            raise _TryAgain(f"no answer in {self._settings.timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise _TryAgain(f"the connection broke: {error}", gone=True) from error
        status = response.status_code
        if status in _BUSY and not _USED_UP.search(response.text):
            raise _TryAgain(f"HTTP {status}: {_words(response)}", gone=True, after_s=_retry_after(response))
        if status >= 400 and _LOADING.search(response.text):
            raise _TryAgain(f"HTTP {status}: {_words(response)}", gone=True, after_s=_retry_after(response))
        if status in _PASSING:
            raise _TryAgain(f"HTTP {status}: {_words(response)}", after_s=_retry_after(response))
        if status == 400 and not self._fold_system and _NO_SYSTEM.search(response.text):
            self._fold_system = True
            body["messages"] = as_chat([(m["role"], m["content"]) for m in body["messages"]], fold_system=True)
            return self._ask(body)
        if status in (400, 413, 422):
            raise RefusedPrompt(f"HTTP {status}: {_words(response)}")
        if status >= 300:
            raise BadInput(
                f"{response.request.url} answered HTTP {status}: {_words(response)}; check the address, the key in "
                f"${self._settings.api_key_variable} and the model's name {self._settings.model!r}"
            )
        try:
            return read_answer(response.json(), self._settings, where=self._settings.url)
        except NotTheProtocol as fault:
            raise _TryAgain(str(fault)) from fault
        except ValueError as error:
            raise _TryAgain("the answer is not JSON") from error


class _Answers:
    """When the server last answered, and something that it answered."""

    def __init__(self) -> None:
        self.last = 0.0
        self.example: dict[str, Any] | None = None

    def note(self, body: dict[str, Any] | None = None) -> None:
        self.last = time.monotonic()
        self.example = body or self.example


def _result(future: Future[Completion], on_done: Callable[[int], None]) -> Completion:
    """What comes of it; while it does not come, signs of life: waiting for a server is no stall."""
    while True:
        try:
            return future.result(timeout=_SIGN_OF_LIFE_S)
        except NotYet:
            if future.done():
                raise
            on_done(0)


class _Pace:
    """At most so many requests a minute, evenly."""

    def __init__(self, per_minute: float) -> None:
        self._every_s = 60 / per_minute if per_minute else 0.0
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def take(self, stop: threading.Event) -> None:
        if not self._every_s:
            return
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + self._every_s
        if stop.wait(mine - now):
            raise RunFailed("stopped")


def _words(response: httpx.Response) -> str:
    """What the server says, in one short line."""
    text = " ".join(response.text.split())
    return text[:200] or "no words"


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", 0)), 0.0), 300.0)
    except ValueError:
        return 0.0
