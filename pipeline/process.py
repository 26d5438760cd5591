"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["die_with_parent", "end_children_with_this", "is_alive", "keep_freed_memory"]

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends; Linux only, elsewhere nothing.

    Called early in the child: where the parent is gone already, this process ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


_GUARD = """
import os, select, signal, sys
pid = int(sys.argv[1])
try:
    select.select([os.pidfd_open(pid)], [], [])
except ProcessLookupError:
    pass
try:
    os.killpg(pid, signal.SIGKILL)
except ProcessLookupError:
    pass
"""


def end_children_with_this() -> None:
    """Have whatever this process starts end with it, however it ends; Linux only, elsewhere nothing.

    For libraries whose own processes outlive a SIGKILL, as vLLM's engine does and holds its memory. This process
    becomes the leader of a group, which its children are born into; a guard outside the group waits for its end.
    """
    if not hasattr(os, "pidfd_open"):
        return
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid())],
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,
    )


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is running; one that ended and was not yet waited for is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def keep_freed_memory() -> None:
    """Have glibc keep up to 512 MiB that was freed: else large arrays fault in page by page, every time."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
            libc.mallopt(_M_TRIM_THRESHOLD, 512 << 20)
