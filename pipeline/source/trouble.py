"""What an error of a remote file system means: gone for good, forbidden, or trouble that may pass."""

from __future__ import annotations

import email.utils
import errno
import http
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Trouble", "find_trouble"]

_MISSING, _FORBIDDEN = (404, 410), (401, 403, 407, 451)
_PASSING = (408, 425, 429)
_LASTING_5XX = (501, 505, 508, 510)
_PASSING_ERRNOS = (
    *(errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED),
    *(errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ESTALE),
)
_PASSING_NAMES = (
    "Timeout Connect Connection Disconnected IncompleteRead PayloadError ProtocolError ReadError Streaming "
    "NetworkError ProxyError gaierror RemoteDisconnected SlowDown"
).split()
"""Parts of the names of errors that httpx, aiohttp, botocore and others raise when a line or a server fails."""
_LONGEST_WAIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """An error, understood."""

    reason: str
    """`missing`, `forbidden`, `unreadable`, or `outage`, which may pass."""
    detail: str
    wait_s: float = 0.0
    """What the server asked to be waited, at most two minutes."""


def find_trouble(error: BaseException) -> Trouble:
    """Judge by the HTTP status that stands anywhere in the error's causes, else by errno, else by the error's name."""
    chain = list(_chain(error))
    for link in chain:
        if (status := _status(link)) is not None and status >= 400:
            return _of_status(status, link)
    for link in chain:
        if isinstance(link, FileNotFoundError):
            return Trouble(reason="missing", detail="no such file")
        if isinstance(link, PermissionError):
            return Trouble(reason="forbidden", detail=_said(link))
    for link in chain:
        number = link.errno if isinstance(link, OSError) else None
        names = (kind.__name__ for kind in type(link).__mro__)
        if (
            number in _PASSING_ERRNOS
            or isinstance(link, (TimeoutError, ConnectionError))
            or any(part in name for name in names for part in _PASSING_NAMES)
        ):
            return Trouble(reason="outage", detail=_said(link))
    return Trouble(reason="unreadable", detail=_said(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    found = (
        _get(_get(response, "ResponseMetadata"), "HTTPStatusCode"),  # botocore
        _get(response, "status_code"),
        *(getattr(error, name, None) for name in ("status", "status_code", "code")),
    )
    return next((int(v) for v in found if isinstance(v, int) and 100 <= v < 600), None)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _of_status(status: int, error: BaseException) -> Trouble:
    try:
        detail = f"HTTP {status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        detail = f"HTTP {status}"
    if status in _MISSING:
        return Trouble(reason="missing", detail=detail)
    if status in _FORBIDDEN:
        return Trouble(reason="forbidden", detail=detail)
    if status in _PASSING or (status >= 500 and status not in _LASTING_5XX):
        return Trouble(reason="outage", detail=detail, wait_s=_asked_wait_s(error))
    return Trouble(reason="unreadable", detail=detail)


def _asked_wait_s(error: BaseException) -> float:
    """`Retry-After`, in seconds or as a date."""
    response = getattr(error, "response", None)
    headers = _get(response, "headers") or _get(_get(response, "ResponseMetadata"), "HTTPHeaders")
    headers = headers or getattr(error, "headers", None) or {}
    asked = next((str(v) for k, v in dict(headers).items() if str(k).lower() == "retry-after"), "").strip()
    if asked.isdigit():
        return min(float(asked), _LONGEST_WAIT_S)
    try:
        until = email.utils.parsedate_to_datetime(asked).timestamp() if asked else 0.0
    except ValueError:
        return 0.0
    return min(max(until - time.time(), 0.0), _LONGEST_WAIT_S)
