"""What the decoder's process and its guard say to each other: small JSON messages on a socket, samples by descriptor.

A clip's samples are not copied through the socket: the child writes them into a file in memory that has no name, and
the guard, which was sent its descriptor once, has it mapped. A few such slots are used in turn for all clips of all
tracks, because fresh memory costs more than copying does (a page fault each 4 KiB). Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SharedSamples", "Wire", "mapped_samples"]

_LENGTH_BYTES = 4


class Wire:
    """One end of the connection. `receive` gives None when the other end is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, message: dict[str, Any], fd: int | None = None) -> None:
        body = json.dumps(message, ensure_ascii=True).encode()
        data = len(body).to_bytes(_LENGTH_BYTES, "little") + body
        if fd is not None:
            sent = socket.send_fds(self._sock, [data], [fd])
            data = data[sent:]
        self._sock.sendall(data)

    def receive(self) -> tuple[dict[str, Any], int | None] | None:
        try:
            head, fds, _, _ = socket.recv_fds(self._sock, _LENGTH_BYTES, 1)
            if not head:
                return None
            head += self._exactly(_LENGTH_BYTES - len(head))
            body = self._exactly(int.from_bytes(head, "little"))
        except (ConnectionError, EOFError):
            return None
        return json.loads(body), fds[0] if fds else None

    def set_time_limit(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)

    def close(self) -> None:
        self._sock.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


class SharedSamples:
    """Room for float32 samples in a file that has no name."""

    def __init__(self, samples: int) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("cratedig-clip", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        os.ftruncate(self.fd, samples * 4)
        self.samples_T = mapped_samples(self.fd, samples)

    def close(self) -> None:
        """They stay valid for as long as someone has them mapped."""
        os.close(self.fd)


def mapped_samples(fd: int, samples: int) -> NDArray[np.float32]:
    """The samples in the file; the memory is given back with the array."""
    return np.frombuffer(mmap.mmap(fd, samples * 4), dtype=np.float32)
