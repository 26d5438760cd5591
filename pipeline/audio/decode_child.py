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

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode_wire import SharedSamples, Wire
from pipeline.audio.pieces import Piece, cut_track
from pipeline.config import ClipsConfig
from pipeline.errors import DecodeFailure
from pipeline.records import LeftOut

__all__ = ["SLOTS", "main"]

SLOTS = 2
"""One clip is written while the guard reads another; more would only be memory."""
_ADDRESS_SPACE = 8 << 30
"""A file that makes a decoder ask for more than this fails alone, instead of the machine."""


def main(fd: int, guard_pid: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the guard's to act on
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    threading.Thread(target=_end_with, args=(guard_pid,), daemon=True).start()
    wire = Wire(socket.socket(fileno=fd))
    slots = _Slots(wire)
    wire.send({"kind": "ready"})
    while request := wire.receive():
        if request[0]["kind"] == "cut":  # what else comes here is about slots of the last track
            _Session(wire, slots).serve(request[0])


class _Slots:
    """The memory in which clips are handed over: written when free, then the guard's until it says `free`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._shared: list[SharedSamples | None] = [None] * SLOTS
        self._known: set[int] = set()
        """Slots whose descriptor the guard has."""
        self.all_free()

    def all_free(self) -> None:
        self._free = list(range(SLOTS))

    def take(self, samples: int) -> tuple[int, NDArray[np.float32]]:
        """A free slot, waited for if need be, and its memory."""
        while not self._free:
            answer = self._wire.receive()
            if answer is None:
                raise ConnectionError
            self._free.append(answer[0]["slot"])
        slot = self._free.pop(0)
        shared = self._shared[slot]
        if shared is None or len(shared.samples_T) < samples:
            if shared is not None:
                shared.close()
            shared = self._shared[slot] = SharedSamples(samples)
            self._known.discard(slot)
        return slot, shared.samples_T[:samples]

    def give_back(self, slot: int) -> None:
        self._free.append(slot)

    def hand_over(self, slot: int, message: dict[str, Any]) -> None:
        shared = self._shared[slot]
        assert shared is not None
        fd = None if slot in self._known else shared.fd
        self._wire.send({**message, "slot": slot, "capacity": len(shared.samples_T)}, fd)
        self._known.add(slot)


class _Session:
    """One track's conversation."""

    def __init__(self, wire: Wire, slots: _Slots) -> None:
        self._wire = wire
        self._slots = slots
        self._taken: int | None = None
        self._last_sign = time.monotonic()

    def serve(self, request: dict[str, Any]) -> None:
        config = ClipsConfig.model_validate(request["config"])
        self._sign_every_s = min(0.5, config.track_time_limit_s / 4)
        self._slots.all_free()
        try:
            info, pieces = cut_track(
                os.fsdecode(bytes.fromhex(request["path"])), config, alive=self._alive, allocate=self._allocate
            )
            self._wire.send({"kind": "source", **asdict(info)})
            for piece in pieces:
                self._send(piece, info.sample_rate_hz)
            self._wire.send({"kind": "end"})
        except DecodeFailure as failure:
            self._fail(failure.reason, failure.detail, failure.stage)
        except MemoryError:
            self._fail("out-of-memory", "the decoder asked for more memory than one track may have")
        except ConnectionError:
            raise
        except Exception as error:
            self._fail("decoder-error", f"{type(error).__name__}: {error}")

    def _send(self, piece: Piece | LeftOut, sample_rate_hz: int) -> None:
        slot, self._taken = self._taken, None
        if isinstance(piece, LeftOut):
            if slot is not None:
                self._slots.give_back(slot)
            self._wire.send({"kind": "left-out", **asdict(piece)})
            return
        assert slot is not None
        message = {
            "kind": "clip",
            "index": piece.index,
            "start_s": piece.start_s,
            "duration_s": piece.duration_s,
            "quality": asdict(piece.quality),
            "samples": len(piece.mono_T),
            "sample_rate_hz": sample_rate_hz,
        }
        self._slots.hand_over(slot, message)

    def _allocate(self, samples: int) -> NDArray[np.float32]:
        self._taken, memory_T = self._slots.take(samples)
        return memory_T

    def _alive(self) -> None:
        now = time.monotonic()
        if now - self._last_sign > self._sign_every_s:
            self._last_sign = now
            self._wire.send({"kind": "alive"})

    def _fail(self, reason: str, detail: str, stage: str = "decode") -> None:
        self._wire.send({"kind": "failed", "reason": reason, "detail": detail[:500], "stage": stage})


def _end_with(guard_pid: int) -> None:
    """Native decoders let other threads run, so this one sees a dead guard even when a decoder hangs.

    Not PR_SET_PDEATHSIG: that fires when the thread that started us ends, and Beam's threads come and go.
    """
    while os.getppid() == guard_pid:
        time.sleep(1.0)
    os._exit(0)
