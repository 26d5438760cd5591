"""The decoder's process: takes one track after the other from its guard and sends back clips at their own rate.

It ends when the guard's end of the socket closes, and also, even in the middle of a native call, when the guard dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from pipeline.config import ClipsConfig
from pipeline.decode_wire import SharedSamples, Wire
from pipeline.errors import DecodeFailure
from pipeline.pieces import Piece, cut_track

__all__ = ["CLIPS_AHEAD", "main"]

CLIPS_AHEAD = 2
"""How many clips may be on their way before the guard has taken the first."""
_ADDRESS_SPACE = 8 << 30
"""A file that makes a decoder ask for more than this fails alone, instead of the machine."""


def main(fd: int, guard_pid: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the guard's to act on
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    threading.Thread(target=_end_with, args=(guard_pid,), daemon=True).start()
    wire = Wire(socket.socket(fileno=fd))
    wire.send({"kind": "ready"})
    while request := wire.receive():
        if request[0]["kind"] == "cut":  # what else comes here is credit left over from the last track
            _Session(wire).serve(request[0])


class _Session:
    """One track's conversation."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._credit = CLIPS_AHEAD
        self._shared: SharedSamples | None = None
        self._last_sign = time.monotonic()

    def serve(self, request: dict[str, Any]) -> None:
        config = ClipsConfig.model_validate(request["config"])
        self._sign_every_s = min(0.5, config.track_time_limit_s / 4)
        try:
            info, pieces = cut_track(
                os.fsdecode(bytes.fromhex(request["path"])), config, alive=self._alive, allocate=self._allocate
            )
            self._wire.send({"kind": "source", **asdict(info)})
            for piece in pieces:
                self._send(piece, info.sample_rate_hz) if isinstance(piece, Piece) else self._wire.send(
                    {"kind": "left-out", **asdict(piece)}
                )
            self._wire.send({"kind": "end"})
        except DecodeFailure as failure:
            self._fail(failure.reason, failure.detail, failure.stage)
        except MemoryError:
            self._fail("out-of-memory", "the decoder asked for more memory than one track may have")
        except (BrokenPipeError, ConnectionError):
            raise
        except Exception as error:
            self._fail("decoder-error", f"{type(error).__name__}: {error}")

    def _send(self, piece: Piece, sample_rate_hz: int) -> None:
        assert self._shared is not None
        while self._credit == 0:
            if self._wire.receive() is None:
                raise ConnectionError
            self._credit += 1
        self._credit -= 1
        message = {
            "kind": "clip",
            "index": piece.index,
            "start_s": piece.start_s,
            "duration_s": piece.duration_s,
            "quality": asdict(piece.quality),
            "samples": len(piece.mono_T),
            "sample_rate_hz": sample_rate_hz,
        }
        self._wire.send(message, self._shared.fd)

    def _allocate(self, samples: int) -> NDArray[Any]:
        """A fresh file each: the guard may still be reading the last one."""
        if self._shared is not None:
            self._shared.close()
        self._shared = SharedSamples(samples)
        return self._shared.samples_T

    def _alive(self) -> None:
        now = time.monotonic()
        if now - self._last_sign > self._sign_every_s:
            self._last_sign = now
            self._wire.send({"kind": "alive"})

    def _fail(self, reason: str, detail: str, stage: str = "decode") -> None:
        self._wire.send({"kind": "failed", "reason": reason, "detail": detail, "stage": stage})


def _end_with(guard_pid: int) -> None:
    """Native decoders let other threads run, so this one sees a dead guard even when a decoder hangs.

    Not PR_SET_PDEATHSIG: that fires when the thread that started us ends, and Beam's threads come and go.
    """
    while os.getppid() == guard_pid:
        time.sleep(1.0)
    os._exit(0)
