"""A proxy before an object store that counts requests and, where asked, breaks them.

    python -m benchmarks.store_proxy UPSTREAM --port 9100 [--unavailable 0.1 --reset 0.15 --seed 1]

`GET /_counts` gives and clears what was counted: kind of request -> how many. Kinds: GET, HEAD, PUT, COPY, DELETE,
LIST, POST (multipart, deletions of many), and what was answered by the proxy itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping

import aiohttp
import httpx
from aiohttp import web

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-encoding"}


class StoreProxy:
    """Passes requests on as they are; a share is answered 503 instead, and a share of connections is reset."""

    def __init__(self, upstream: str, *, unavailable: float = 0.0, reset: float = 0.0, seed: int = 0) -> None:
        self._upstream, self._unavailable, self._reset = upstream, unavailable, reset
        self._dice = random.Random(seed)
        self.counts: Counter[str] = Counter()

    async def start(self, port: int) -> web.AppRunner:
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=600))
        server = web.Application(client_max_size=1 << 34)
        server.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/_counts":
            counted, self.counts = self.counts, Counter()
            return web.json_response(dict(counted))
        self.counts[kind_of(request.method, request.raw_path, request.headers)] += 1
        body = await request.read()
        drawn = self._dice.random()
        if drawn < self._unavailable:
            self.counts["answered 503"] += 1
            said = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            return web.Response(status=503, text=said, content_type="application/xml")
        if drawn < self._unavailable + self._reset and request.transport is not None:
            self.counts["reset"] += 1
            request.transport.abort()
            return web.Response()
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP - {"te"}]
        async with self._session.request(
            request.method, self._upstream + request.raw_path, headers=headers, data=body, allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:  # fmt: skip
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            response = web.StreamResponse(status=answer.status)
            response.headers.extend(kept)
            await response.prepare(request)
            async for block in answer.content.iter_chunked(1 << 18):
                await response.write(block)
            await response.write_eof()
        return response


def kind_of(method: str, path: str, headers: Mapping[str, str]) -> str:
    """How a store would bill it."""
    query = path.partition("?")[2]
    if method == "GET" and ("list-type=" in query or "prefix=" in query or "delimiter=" in query):
        return "LIST"
    if method == "PUT" and "x-amz-copy-source" in headers:
        return "COPY"
    return method


@contextlib.contextmanager
def running_proxy(upstream: str, port: int, *options: str) -> Iterator[str]:
    """A proxy in a process of its own; its address."""
    command = [sys.executable, "-m", "benchmarks.store_proxy", upstream, f"--port={port}", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def counted(address: str) -> dict[str, int]:
    """What was asked since the last time."""
    counts: dict[str, int] = httpx.get(f"{address}/_counts", timeout=60).json()
    return counts


async def _serve(args: argparse.Namespace) -> None:
    proxy = StoreProxy(args.upstream, unavailable=args.unavailable, reset=args.reset, seed=args.seed)
    await proxy.start(args.port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--unavailable", type=float, default=0.0, help="share of requests answered 503")
    parser.add_argument("--reset", type=float, default=0.0, help="share of connections reset")
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(_serve(parser.parse_args()))
