"""What is installed, and which errors are its fault or the machine's: those are never a property of an input.

A file that makes a decoder fail is left out and the run goes on. An argument that a library does not know, a library
that is not there, no memory or no process left: all of that would befall every file alike, so the run ends and says so.
"""

from __future__ import annotations

import errno
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["deciding_versions", "explain_fault", "install_command", "is_fault"]

_DECIDING = ("av", "soxr", "numpy", "soundfile", "pyarrow", "torch", "transformers", "tokenizers", "faiss-cpu")
"""Distributions whose version can move the bytes of a crate: decoding, resampling, encoding, embedding, searching."""
_ROOT = Path(__file__).parents[1]
_PACKAGES = ("pipeline", "vocab", "labeling", "beam_jobs", "diffusion", "cratedig")
_OF_THE_PROGRAM = (TypeError, AttributeError, NameError, ImportError, NotImplementedError, AssertionError, SystemError)
_OF_THE_MACHINE = {
    errno.ENOMEM: "no memory is left",
    errno.EAGAIN: "no further process or thread may be started",
    errno.EMFILE: "this process may open no further file (ulimit -n)",
    errno.ENFILE: "the machine may open no further file",
    errno.ENOSPC: "no space is left on a disk",
    errno.EDQUOT: "no space is left on a disk",
    errno.ENOSYS: "the operating system lacks a call that is needed",
}


def deciding_versions() -> dict[str, str]:
    """Distribution -> version of what can move the bytes of a crate, the interpreter included."""
    return {"python": platform.python_version(), **{name: found for name in _DECIDING if (found := _version(name))}}


def is_fault(error: BaseException) -> bool:
    """Whether `error` is of the program, its installation or the machine, and would befall any input."""
    if isinstance(error, OSError) and not type(error).__module__.startswith("av."):
        return error.errno in _OF_THE_MACHINE
    return isinstance(error, _OF_THE_PROGRAM)


def explain_fault(error: BaseException) -> str:
    """One line: what happened and where, that no input is to blame, what is installed and what to do."""
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        return (
            f"{_OF_THE_MACHINE[error.errno]} ({error.strerror}{_place(error)}); nothing was left out for it: give the "
            "run more room, or fewer --workers, and run the same command again"
        )
    installed = ", ".join(f"{name} {found}" for name, found in deciding_versions().items())
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"{said[:500]}{_place(error)}; this is a fault of cratedig or of what is installed, not of the input, and "
        f"nothing was left out for it. Installed: {installed}. Install the versions that cratedig was tested with "
        "(pip install -c constraints.txt -e .) or report this line; then the same command goes on"
    )


def install_command(extra: str) -> str:
    """What brings an extra; no package index has cratedig, so it is said for a clone."""
    return f"pip install -e '.[{extra}]' in the folder of cratedig's clone"


def _place(error: BaseException) -> str:
    """The innermost line of ours, such as `, pipeline/audio/decode.py line 224`."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if any(file.is_relative_to(_ROOT / package) for package in _PACKAGES):
            place = f", {file.relative_to(_ROOT)} line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
