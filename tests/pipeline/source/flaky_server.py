"""An HTTP server that answers as servers do on bad days; what a path does is said in the path."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.server
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping

NO_HEADERS: Mapping[str, str] = {}


class FlakyServer:
    """`/status/503` fails always, `/after/2/503` from the third time on not, `/reset/1`, `/short/1`, ... likewise."""

    def __init__(self, data: bytes, *, healthy: bool = False) -> None:
        self.data, self.healthy = data, healthy
        self.hits: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}
        self.retry_after = ""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                outer._answer(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[FlakyServer]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        kind, *rest = to.path.strip("/").partition("?")[0].split("/")
        self.hits[to.path] += 1
        self.times.setdefault(to.path, []).append(time.monotonic())
        bad_times = int(rest[0]) if kind in ("status", "after", "reset", "short") else 0
        bad_times = 1 << 30 if kind == "status" else bad_times
        healthy = self.healthy and rest[0] >= "5"
        failing = not healthy and self.hits[to.path] <= bad_times
        if kind == "status" and failing:
            self._send(to, int(rest[0]), b"no")
        elif kind == "after" and failing:
            date = email.utils.formatdate(time.time() + 2, usegmt=True)
            asked = {"seconds": {"Retry-After": "1"}, "date": {"Retry-After": date}}
            self._send(to, int(rest[1]), b"later", asked.get(self.retry_after, {}))
        elif kind == "reset" and failing:
            to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            to.connection.close()
            to.close_connection = True
        elif kind == "short" and failing:
            to.send_response(200)
            to.send_header("Content-Length", str(len(self.data)))
            to.end_headers()
            to.wfile.write(self.data[: len(self.data) // 2])
            to.close_connection = True
        elif kind == "moved":
            self._send(to, 302, b"", {"Location": "/fine/x.mp3?sig=a%2Fb"})
        elif kind == "gzip":
            self._send(to, 200, gzip.compress(self.data), {"Content-Encoding": "gzip"})
        elif kind == "chunked":
            to.send_response(200)
            to.send_header("Transfer-Encoding", "chunked")
            to.end_headers()
            for start in range(0, len(self.data), 50_000):
                piece = self.data[start : start + 50_000]
                to.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            to.wfile.write(b"0\r\n\r\n")
        else:
            self._send(to, 200, self.data)

    def _send(
        self, to: http.server.BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        to.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            to.send_header(name, value)
        to.end_headers()
        to.wfile.write(body)
