"""Which file system a path or URL belongs to, and what is said where its driver is missing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import fsspec

from pipeline.errors import BadInput
from pipeline.installation import install_command

__all__ = ["UnknownScheme", "check_scheme", "file_system", "is_local", "is_url"]


class UnknownScheme(BadInput):
    """Nobody reads URLs that begin so."""


_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
"""Scheme -> the extra of pyproject.toml that brings its driver."""


def is_url(given: str) -> bool:
    """Whether fsspec is to read it as a URL. A local path may hold `::`, which chains URLs in fsspec."""
    return "://" in given


def check_scheme(url: str) -> None:
    """Raises BadInput where nothing that is installed reads such a URL; opens nothing. httpx reads http and https."""
    scheme = url.split("://", 1)[0].rsplit("::", 1)[-1]
    if scheme not in ("http", "https"):
        with _explained(url, scheme):
            fsspec.get_filesystem_class(scheme)


def file_system(given: str | os.PathLike[str]) -> tuple[Any, str]:
    """The file system and the path in it. Raises BadInput for a scheme that nobody knows or whose driver is missing."""
    text = os.fspath(given)
    if not is_url(text):
        fs = fsspec.filesystem("file")
        return fs, fs._strip_protocol(text)
    scheme = text.split("://", 1)[0].rsplit("::", 1)[-1]
    with _explained(text, scheme):
        fs, path = fsspec.core.url_to_fs(text)
    return fs, path


@contextlib.contextmanager
def _explained(text: str, scheme: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"install it: {install_command(extra)}" if extra else "install that package"
        raise BadInput(f"{scheme}:// needs a driver that is not installed ({_line(error)}); {remedy}") from error
    except ValueError as error:
        if "rotocol" not in str(error):
            raise BadInput(f"{text!r} is not a usable URL ({_line(error)})") from error
        raise UnknownScheme(
            f"{text!r}: nothing here reads {scheme}://; expected a local path, or a URL such as s3://, gs:// or https://"
        ) from error


def is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
