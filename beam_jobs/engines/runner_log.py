"""What runners say, kept in a file; and the one line of it that says why a job failed."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

__all__ = ["last_words", "new_log"]

_KEPT = 50
_OURS = re.compile(r"^(?:\S*\s)?pipeline\.errors\.\w+: (?P<said>.+)$", re.MULTILINE)
_PYTHONS = re.compile(r"^(?P<said>(?:[\w.]+\.)?\w*(?:Error|Exception|Failure): .+)$", re.MULTILINE)
_WITHOUT_US = re.compile(r"No module named '(?:pipeline|vocab|labeling|beam_jobs|cratedig)\b")


def new_log(name: str) -> Path:
    """A file for one run, in the user's cache folder or, where that cannot be written, among temporary files."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    file = f"{name}-{stamp}-{os.getpid()}.log"
    try:
        folder = (Path(given) if given else Path.home() / ".cache") / "cratedig" / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)[: 1 - _KEPT]:
            old.unlink(missing_ok=True)
        path = folder / file
        path.touch()
    except (OSError, RuntimeError):
        path = Path(tempfile.gettempdir()) / file
        path.touch()
    return path


def last_words(text: str) -> tuple[str, bool]:
    """Why, in one line, out of what a runner made of it; and whether it is an error of ours that no second try mends.

    Runners wrap a worker's exception in their own, traceback and all.
    """
    if found := list(_OURS.finditer(text)):
        return found[-1]["said"].strip(), True
    if _WITHOUT_US.search(text):
        return (
            "the workers' environment has no cratedig, or another version of it; install this one where workers start "
            "(docs/cluster.md)"
        ), True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = found[-1]["said"] if (found := list(_PYTHONS.finditer(text))) else (lines or ["no reason given"])[0]
    return " ".join(said.split())[:400], False
