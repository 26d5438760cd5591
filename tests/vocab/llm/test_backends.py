"""The three ways to a language model: transformers in this process, vLLM's calls, and transformers' own server."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.errors import BadInput
from tests.vocab.llm.tiny_lm import write_tiny_lm
from vocab.llm.backend import BackendSettings, PromptRequest, Sampling
from vocab.llm.by_kind import open_backend

pytestmark = pytest.mark.slow

SAMPLING = Sampling(samples=2, max_tokens=12, stop=())


def request(prompt: str, seed: int = 0) -> PromptRequest:
    messages = (("system", "Be plain."), ("user", "A by B:"), ("assistant", "A waltz."), ("user", prompt))
    return PromptRequest(id=prompt, prompt=prompt, messages=messages, seed=seed)


REQUESTS = [request("Song by Nobody:", 5), request("Tune by Nobody:", 6)]


@pytest.fixture(scope="module")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_lm(tmp_path_factory.mktemp("lm"))


def test_transformers_repeats_itself_whatever_the_company(tiny_lm: Path) -> None:
    backend = open_backend(BackendSettings(kind="transformers", model=str(tiny_lm)))
    seen: list[int] = []
    both = backend.complete(REQUESTS, SAMPLING, seen.append)
    alone = backend.complete(REQUESTS[1:], SAMPLING, seen.append)
    assert both[1] == alone[0]
    assert sum(seen) == 3
    assert [len(found) for found in both] == [2, 2]
    assert both[0][0].text != both[0][1].text
    assert both[0] != both[1]
    for completion in both[0]:
        assert completion.finish_reason in ("stop", "length")
        assert 0 < completion.tokens <= 12


def test_transformers_stops_and_refuses_what_is_too_long(tiny_lm: Path) -> None:
    backend = open_backend(BackendSettings(kind="transformers", model=str(tiny_lm)))
    free = backend.complete(REQUESTS[:1], Sampling(max_tokens=40, stop=(), temperature=0), lambda _: None)[0][0]
    stop = free.text[4:7]
    cut = backend.complete(REQUESTS[:1], Sampling(max_tokens=40, stop=(stop,), temperature=0), lambda _: None)[0][0]
    assert cut.finish_reason == "stop"
    assert cut.text == free.text[: free.text.index(stop)]
    long = [request("x" * 4090)]
    (refused,) = backend.complete(long, Sampling(max_tokens=20), lambda _: None)[0]
    assert refused.finish_reason == "refused: the prompt has 4090 tokens, with 20 to come the model takes 4096"


def test_transformers_asks_in_messages_as_the_chat_template_puts_them(tiny_lm: Path, tmp_path: Path) -> None:
    """The tiny model's template joins contents: the chat is the text of all of them."""
    settings = BackendSettings(kind="transformers", model=str(tiny_lm), chat=True)
    text = "Be plain.A by B:A waltz.Song by Nobody:"
    chatted = open_backend(settings).complete(REQUESTS[:1], SAMPLING, lambda _: None)
    plain = open_backend(settings.model_copy(update={"chat": False}))
    assert chatted == plain.complete([request(text, 5)], SAMPLING, lambda _: None)
    no_system = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    every = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    folded = _with_template(tiny_lm, tmp_path / "folding", no_system + every)
    found = open_backend(BackendSettings(kind="transformers", model=folded, chat=True))
    as_one = request("Be plain.\n\nA by B:A waltz.Song by Nobody:", 5)
    assert found.complete(REQUESTS[:1], SAMPLING, lambda _: None) == plain.complete([as_one], SAMPLING, lambda _: None)
    base = _with_template(tiny_lm, tmp_path / "base", None)
    with pytest.raises(BadInput, match="has no chat template: it goes on with a text"):
        open_backend(BackendSettings(kind="transformers", model=base, chat=True))
    with pytest.raises(BadInput, match="transformers cannot hold answers to JSON"):
        open_backend(BackendSettings(kind="transformers", model=str(tiny_lm), structured=True))


def _with_template(model: Path, folder: Path, template: str | None) -> str:
    import shutil

    shutil.copytree(model, folder)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_model_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be loaded as a causal language model"):
        open_backend(BackendSettings(kind="transformers", model=str(tmp_path)))


class FakeLLM:
    """The signatures of vLLM 0.33, as its source has them: `prompts` and `sampling_params` may be given by position."""

    def __init__(
        self, model: str, *, enable_prefix_caching: bool, seed: int = 0, tensor_parallel_size: int = 1
    ) -> None:
        assert (model, enable_prefix_caching, tensor_parallel_size) == ("m", True, 2)

    def get_tokenizer(self) -> Any:
        def apply(messages: list[dict[str, str]], **options: Any) -> str:
            if messages[0]["role"] == "system":
                raise ValueError("System role not supported")
            return str(options)

        return types.SimpleNamespace(chat_template="some", apply_chat_template=apply)

    def chat(
        self, messages: list[Any], sampling_params: Any = None, use_tqdm: bool = True, *,
        chat_template_kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:  # fmt: skip
        assert chat_template_kwargs == {"enable_thinking": False}
        assert all(turns[0] == {"role": "user", "content": "Be plain.\n\nA by B:"} for turns in messages)
        return self.generate([turns[-1]["content"] for turns in messages], sampling_params, use_tqdm=use_tqdm)

    def generate(self, prompts: list[str], sampling_params: Any = None, *, use_tqdm: bool = True) -> list[Any]:
        assert len(prompts) == len(sampling_params)
        assert not use_tqdm
        return [
            types.SimpleNamespace(
                outputs=[
                    types.SimpleNamespace(
                        index=at,
                        text=f"{prompt}{parameters.seed}.{at}",
                        token_ids=(1, 2, 3),
                        finish_reason=["stop", "length", "abort"][at % 3],
                    )
                    for at in range(parameters.n)
                ]
            )
            for prompt, parameters in zip(prompts, sampling_params, strict=True)
        ]


class FakeSamplingParams:
    def __init__(
        self, n: int = 1, *, temperature: float = 1.0, top_p: float = 1.0, seed: int | None = None,
        stop: str | list[str] | None = None, max_tokens: int | None = 16,
    ) -> None:  # fmt: skip
        assert (temperature, top_p, stop, max_tokens) == (0.5, 0.95, ["\n\n"], 128)
        self.n, self.seed = n, seed


def test_vllm_is_called_as_it_wants_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("vllm")
    fake.LLM, fake.SamplingParams = FakeLLM, FakeSamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", fake)
    backend = open_backend(BackendSettings(kind="vllm", model="m", engine={"tensor_parallel_size": 2}))
    found = backend.complete(REQUESTS, Sampling(samples=3, temperature=0.5), lambda _: None)
    assert [completion.text for completion in found[0]] == [f"Song by Nobody:5.{at}" for at in range(3)]
    assert [completion.finish_reason for completion in found[1]] == ["stop", "length", "failed: abort"]
    assert found[0][0].tokens == 3
    chat = BackendSettings(
        kind="vllm",
        model="m",
        engine={"tensor_parallel_size": 2},
        chat=True,
        chat_template_kwargs={"enable_thinking": False},
    )
    assert open_backend(chat).complete(REQUESTS, Sampling(samples=3, temperature=0.5), lambda _: None) == found


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_extra_is_named() -> None:
    with pytest.raises(BadInput, match=r"pip install -e '\.\[vllm\]'"):
        open_backend(BackendSettings(kind="vllm", model="m"))


@pytest.fixture(scope="module")
def transformers_server(tiny_lm: Path) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="`transformers serve` needs transformers[serving]")
    pytest.importorskip("openai", reason="`transformers serve` needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(tiny_lm), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            if process.poll() is not None:
                assert process.stderr is not None
                said = process.stderr.read()
                if "Forward references must evaluate to types" in said:
                    pytest.skip("`transformers serve` itself cannot run beside so old a pydantic")
                pytest.fail(f"`transformers serve` ended: {said[-2000:]}")
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < until, "the server did not come up"
                time.sleep(0.3)
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()


def test_against_transformers_own_server(tiny_lm: Path, transformers_server: str) -> None:
    for chat in (False, True):
        settings = BackendSettings(kind="server", model=str(tiny_lm), url=transformers_server, chat=chat, concurrency=2)
        backend = open_backend(settings)
        found = backend.complete(REQUESTS, SAMPLING, lambda _: None)
        backend.close()
        assert [len(completions) for completions in found] == [2, 2]
        for completion in (c for completions in found for c in completions):
            assert completion.finish_reason in ("stop", "length"), completion
            assert 0 < completion.tokens <= 12
