"""A small real server with OpenAI's protocol and the faults that real servers have.

Run as a process: python fault_server.py PORT [--model NAME] [--faults] [--delay S]. Prints `ready`. The answer to a
prompt and seed is always the same. With --faults every first attempt at a prompt fails in one of five ways.
A title with `Broken` in it always gets a 500, one with `Too Long` a 400. While the file named by --down exists,
everybody gets the status and the words that stand in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

TUNES = ("waltz", "march", "ballad", "tango", "polka", "blues", "reel", "samba")
LEADS = ("clarinet", "piano", "violin", "trumpet", "guitar", "flute", "cello", "organ")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    attempts: ClassVar[Counter[str]] = Counter()
    lock = threading.Lock()
    model, faults, delay_s = "tiny", False, 0.0
    down: ClassVar[Path | None] = None
    log_to: ClassVar[Path | None] = None
    mended = no_system = False

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": self.model}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        chat = self.path.endswith("/chat/completions")
        if not chat and not self.path.endswith("/v1/completions"):
            self._send(404, {"error": f"no such path {self.path}"})
            return
        if self.log_to is not None:
            with self.lock, self.log_to.open("a") as file:
                file.write(json.dumps(body) + "\n")
        if chat and self.no_system and body["messages"][0]["role"] == "system":
            self._send(400, {"error": "System role not supported"})
            return
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        question = prompt.rsplit("\n", 1)[-1]
        key = f"{question}|{body['seed']}"
        digest = hashlib.sha256(key.encode()).digest()
        with self.lock:
            self.attempts[key] += 1
            first = self.attempts[key] == 1
        time.sleep(self.delay_s)
        if self.down is not None and self.down.exists():
            status, _, words = self.down.read_text().partition(" ")
            self._send(int(status), {"error": {"message": words}})
        elif "Broken" in question and not self.mended:
            self._send(500, {"error": "out of memory"})
        elif "Too Long" in question:
            self._send(400, {"error": "the prompt is longer than the context"})
        elif self.faults and first and digest[0] % 6:
            self._fail(digest[0] % 6)
        else:
            self._answer(chat, digest)

    def _fail(self, how: int) -> None:
        if how == 1:
            self._send(429, {"error": "slow down"}, {"retry-after": "0.05"})
        elif how == 2:
            self._send(500, {"error": "internal"})
        elif how == 3:  # half a body
            self.send_response(200)
            self.send_header("content-length", "4000")
            self.end_headers()
            self.wfile.write(b'{"model": "tiny", "choices": [{"te')
            self.wfile.flush()
            self.close_connection = True
        elif how == 4:
            self._send(200, {"model": self.model, "choices": []})
        else:
            self._send(200, b"<html>Bad gateway</html>")

    def _answer(self, chat: bool, digest: bytes) -> None:
        text = f" A slow {TUNES[digest[1] % 8]} with a {LEADS[digest[2] % 8]}. The mood is number {digest.hex()[:6]}."
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        self._send(200, {"model": self.model, "choices": [choice], "usage": {"completion_tokens": 14}})

    def _send(self, status: int, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--down", type=Path)
    parser.add_argument("--mended", action="store_true", help="nothing is broken any more")
    parser.add_argument("--log", type=Path, help="file for the bodies of requests")
    parser.add_argument("--no-system", action="store_true", help="refuse system messages, as some chat templates do")
    args = parser.parse_args()
    Handler.log_to, Handler.no_system = args.log, args.no_system
    Handler.down, Handler.mended = args.down, args.mended
    Handler.model, Handler.faults, Handler.delay_s = args.model, args.faults, args.delay
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
