"""A model's server that this program starts, watches, starts again when it dies, and ends."""

from __future__ import annotations

import shlex
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx

from pipeline.errors import BadInput
from pipeline.process import end_group_with_this, kill_group
from vocab.llm.tasks import SERVE_COMMAND

__all__ = ["ServedModel"]

_RESTARTS = 5
"""More often than this a server that dies is not worth another start."""


class ServedModel:
    """A context: the server answers when it is entered, and is gone when it is left, also after a SIGKILL."""

    def __init__(self, command: str, *, model: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self._command = [
            word.replace("{model}", model).replace("{port}", str(self._port)) for word in shlex.split(command)
        ]
        if "{port}" not in command:
            raise BadInput(f"--serve {command!r} names no {{port}}; give one such as {SERVE_COMMAND!r}")
        self._log = Path(tempfile.mkstemp(prefix="cratedig-serve-", suffix=".log")[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._left = threading.Event()
        self.starts = 0

    def __enter__(self) -> ServedModel:
        print(f"starting {shlex.join(self._command)} (its words: {self._log})", flush=True)
        self._start()
        while not self._ready():
            assert self._process is not None, "just started"
            if self._process.poll() is not None:
                raise BadInput(
                    f"the server ended with exit code {self._process.returncode} before it answered "
                    f"({self._last_words()}); mend the command: {shlex.join(self._command)}"
                )
            time.sleep(0.5)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()

    def _start(self) -> None:
        self.starts += 1
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise BadInput(f"{self._command[0]!r} cannot be started ({error.strerror}); is it installed?") from error
        end_group_with_this(self._process.pid)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/models", timeout=5).status_code < 500
        except httpx.TransportError:
            return False

    def _watch(self) -> None:
        while not self._left.wait(0.5):
            if self._process is not None and self._process.poll() is not None and self.starts <= _RESTARTS:
                kill_group(self._process.pid)
                print(f"the server ended ({self._last_words()}); starting it again", flush=True)
                self._start()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "no words"
