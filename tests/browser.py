"""Headless Chromium over WebDriver, with the standard library alone: chromedriver speaks JSON over HTTP."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Browser", "browser_missing"]

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage "
    "--hide-scrollbars --force-color-profile=srgb"
).split()


def browser_missing() -> str:
    """Why there is no browser here; empty where there is one."""
    gone = [name for name, path in (("chromium", _chromium()), ("chromedriver", _driver())) if path is None]
    return f"no {' and no '.join(gone)} on the path" if gone else ""


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def _driver() -> str | None:
    return os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")


class Browser:
    """One browser with a profile of its own; ends with the block."""

    def __enter__(self) -> Browser:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [str(_driver()), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            options = {"binary": _chromium(), "args": [*_FLAGS, f"--user-data-dir={self._profile.name}"]}
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._root += f"/session/{session['sessionId']}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("DELETE", "", None)
        finally:
            self._end()

    def open(self, page: Path | str) -> None:
        """Load a file, or a URL of this machine, and wait until it has loaded."""
        self._call("POST", "/url", {"url": page if isinstance(page, str) else page.resolve().as_uri()})

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the view in CSS pixels, one each, and the colour scheme that the user prefers; nothing glides."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        prefers = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in prefers.items()]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str) -> Any:
        """The value that the body of a function returns; a promise is waited for."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, selector: str, number: int = 0) -> None:
        """As a user would: at the middle of the element, scrolled into view."""
        found = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        (element,) = found[number].values()
        self._call("POST", f"/element/{element}/click", {})

    def type(self, selector: str, text: str) -> None:
        """As a user would, in place of what stood there."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        self._call("POST", f"/element/{element}/clear", {})
        self._call("POST", f"/element/{element}/value", {"text": text})

    def until(self, condition: str, *, limit_s: float = 20.0) -> None:
        """Wait for a JavaScript expression to become true."""
        end = time.monotonic() + limit_s
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"after {limit_s} s still not true: {condition}")
            time.sleep(0.05)

    def messages(self) -> list[str]:
        """What the console got since the last call, with its level."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def picture(self, *, whole: bool = False) -> bytes:
        """PNG of the view, or of the whole page."""
        given = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self._devtools("Page.getLayoutMetrics", {})["cssContentSize"]
            given["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self._devtools("Page.captureScreenshot", given)["data"])

    def _devtools(self, command: str, params: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def _port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise RuntimeError(f"chromedriver ended with {self._process.wait()} before it was ready")

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._root + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy: it is local
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from error

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._profile.cleanup()
