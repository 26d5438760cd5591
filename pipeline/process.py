"""Processes that must not outlive the one that started them, whatever its number: in a container that is often 1."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

__all__ = [
    "Terminated",
    "die_with_parent",
    "end_children_with_this",
    "end_group_with_this",
    "is_alive",
    "is_gone",
    "keep_freed_memory",
    "kill_group",
    "sigterm_interrupts",
    "this_process",
    "worker_processes",
]

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is treated as Ctrl-C is."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise Terminated in the main thread on SIGTERM, which process 1 of a container would else not even notice."""

    def interrupt(number: int, frame: Any) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals go elsewhere
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def worker_processes(
    workers: int, begin: Callable[..., None] | None = None, *given: Any
) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes, each of which calls `begin(*given)` first. They end with this one.

    An error or an interruption ends them at once; by itself a pool would wait for what they are working on.
    """
    others = set(active_children())
    context = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(), begin, given)
    ) as pool:
        try:
            yield pool
        except BaseException:
            handed_out = getattr(getattr(pool, "_call_queue", None), "_reader", None)
            pool.shutdown(wait=False, cancel_futures=True)
            mine = set(active_children()) - others
            for process in mine:
                process.kill()
            for process in mine:
                process.join()
            if handed_out is not None:  # a pool of Python 3.10 waits for ever where killed workers left a full pipe
                handed_out.close()
            raise


def _begin_worker(parent: int, begin: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    if begin is not None:
        begin(*given)


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the thread that started it ends; Linux only, elsewhere nothing.

    Called early in the child with the parent's process number, which only the parent knows for certain: where it is
    not the parent's any more, this process ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_GUARD = """
import os, select, signal, sys
watched, group = map(int, sys.argv[1:])
try:
    select.select([os.pidfd_open(watched)], [], [])
except ProcessLookupError:
    pass
try:
    os.killpg(group, signal.SIGKILL)
except ProcessLookupError:
    pass
"""


def end_children_with_this() -> None:
    """Have whatever this process starts end with it, however it ends; Linux only, elsewhere nothing.

    For libraries whose own processes outlive a SIGKILL, as vLLM's engine does and holds its memory. This process
    becomes the leader of a group, which its children are born into.
    """
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    end_group_with_this(os.getpid())


def end_group_with_this(group: int) -> None:
    """Have a group of processes end when this process does, however it ends; Linux only, elsewhere nothing.

    A guard, which stands outside the group, waits for the end.
    """
    if hasattr(os, "pidfd_open"):
        nothing = subprocess.DEVNULL
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), str(group)],
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
        )


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group that there may be no more."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def this_process() -> dict[str, Any]:
    """Host, number, and the space in which that number means this process; for `is_gone`."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "space": _space()}


def is_gone(who: Mapping[str, Any]) -> bool:
    """Whether a process, as it described itself by `this_process`, has ended for certain.

    Containers may share a host name and not their process numbers: of a process of another space nothing is known.
    """
    return who.get("space") == _space() and not is_alive(int(who["pid"]))


@cache
def _space() -> str:
    """Since when the machine is up and which process numbers of its are ours; by name where there is no /proc."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{booted}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return uuid.uuid4().hex if sys.platform.startswith("linux") else socket.gethostname()


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
