"""Any server that speaks OpenAI's protocol: vLLM's, transformers', llama.cpp's, a hosted one.

What can be mended by waiting is waited for (429, 5xx, a connection that breaks, half a body); what cannot ends the run
with the server's own words (401, 404, another model than the one asked for). A single prompt that a running server
keeps failing on is counted, with its reason, and the run goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from pipeline.errors import BadInput, RunFailed
from pipeline.ids import hash_u64
from vocab.llm.backend import BackendSettings, Completion, PromptRequest, Sampling

__all__ = ["ServerBackend"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class _TryAgain(Exception):
    """Worth another attempt. `gone`: nobody answered at all."""

    def __init__(self, why: str, *, gone: bool = False, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.gone, self.after_s = gone, after_s


class _RefusedPrompt(Exception):
    """The server will not answer this prompt."""


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
        self._last_answer = time.monotonic()
        self._stop = threading.Event()

    def complete(
        self, requests: Sequence[PromptRequest], sampling: Sampling, on_done: Callable[[int], None]
    ) -> list[list[Completion]]:
        self._stop.clear()
        self._last_answer = time.monotonic()
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            waiting = [
                [pool.submit(self._answer, request, sample, sampling) for sample in range(sampling.samples)]
                for request in requests
            ]
            try:
                answers = []
                for futures in waiting:
                    answers.append([future.result() for future in futures])
                    on_done(1)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        _check_failures(answers, self._settings.url)
        return answers

    def close(self) -> None:
        self._client.close()

    def _answer(self, request: PromptRequest, sample: int, sampling: Sampling) -> Completion:
        seed = (request.seed + sample) % 2**31
        body: dict[str, Any] = {
            "model": self._settings.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self._settings.chat:
            body["messages"] = [{"role": "user", "content": request.prompt}]
        else:
            body["prompt"] = request.prompt
        failures = 0
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                self._pace.take(self._stop)
                completion = self._ask(body)
            except _RefusedPrompt as refusal:
                return Completion(text="", finish_reason=f"failed: {refusal}", tokens=0)
            except _TryAgain as problem:
                silent_s = time.monotonic() - self._last_answer
                if problem.gone and silent_s > self._settings.patience_s:
                    raise RunFailed(
                        f"{self._settings.url} has not answered for {silent_s:.0f} s ({problem}); what is finished is "
                        "safe: start the server and run the same command again"
                    ) from None
                failures += not problem.gone
                if failures >= self._settings.attempts:
                    return Completion(text="", finish_reason=f"failed: {problem}", tokens=0)
                jitter = 0.5 + (hash_u64("wait", seed, failures) % 1000) / 1000
                if self._stop.wait(max(problem.after_s, wait_s * jitter)):
                    raise RunFailed("stopped") from None
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                self._last_answer = time.monotonic()
                return completion

    def _ask(self, body: dict[str, Any]) -> Completion:
        try:
            response = self._client.post("chat/completions" if self._settings.chat else "completions", json=body)
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
        if status in _PASSING:
            raise _TryAgain(f"HTTP {status}: {_words(response)}", after_s=_retry_after(response))
        if status in (400, 413, 422):
            raise _RefusedPrompt(f"HTTP {status}: {_words(response)}")
        if status >= 300:
            raise BadInput(
                f"{response.request.url} answered HTTP {status}: {_words(response)}; check the address, the key in "
                f"${self._settings.api_key_variable} and the model's name {self._settings.model!r}"
            )
        return self._completion(response)

    def _completion(self, response: httpx.Response) -> Completion:
        try:
            body = response.json()
            choice = body["choices"][0]
            text = choice["message"]["content"] if self._settings.chat else choice["text"]
            reason = choice.get("finish_reason") or "stop"
            tokens = int((body.get("usage") or {}).get("completion_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _TryAgain(f"the answer is not what the protocol says ({type(error).__name__})") from error
        if not isinstance(text, str):
            raise _TryAgain("the answer holds no text")
        served, asked = str(body.get("model", self._settings.model)), self._settings.model
        if served != asked and served.partition("@")[0] != asked:
            raise BadInput(
                f"{self._settings.url} answered with the model {served!r}, asked for was {asked!r}; give --model "
                f"{served!r}, or start the server with the right one"
            )
        if reason == "content_filter":
            raise _RefusedPrompt("content filter")
        return Completion(text=text, finish_reason="length" if reason == "length" else "stop", tokens=tokens)


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


def _check_failures(answers: Sequence[Sequence[Completion]], url: str) -> None:
    """One prompt in two failing is no matter of prompts."""
    flat = [completion for completions in answers for completion in completions]
    failed = [completion for completion in flat if completion.finish_reason.startswith("failed")]
    if len(failed) * 2 > len(flat):
        raise RunFailed(
            f"{url} failed on {len(failed)} of {len(flat)} prompts of a shard ({failed[0].finish_reason[8:]}); what is "
            "finished is safe: mend the server and run the same command again"
        )
