"""The decoder's process: takes one track after the other from its guard and sends back clips at their own rate.

It ends when the guard's end of the socket closes, and also, even in the middle of a native call, when the guard dies.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import threading
import time
from dataclasses import asdict
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decode_wire import SharedSamples, Wire
from pipeline.audio.pieces import Piece, cut_excerpts, cut_track
from pipeline.config import ClipsConfig
from pipeline.errors import DecodeFailure
from pipeline.installation import explain_fault, is_fault
from pipeline.records import LeftOut

__all__ = ["SLOTS", "main"]

SLOTS = 2
"""One clip is written while the guard reads another; more would only be memory."""
_ROOM_FOR_A_TRACK = 1 << 30
"""What is held of a track (`pieces.HELD_BYTES`), its clips, and as much again for the work on them."""
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
    wire.send(_short_of_memory() or {"kind": "ready"})
    while request := wire.receive():
        if request[0]["kind"] in ("cut", "excerpts"):  # what else comes here is about slots of the last track
            session = _Session(wire, slots)
            session.serve(request[0])
            session.judge_memory()


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


def _path(request: dict[str, Any]) -> str:
    return os.fsdecode(bytes.fromhex(request["path"]))


class _Session:
    """One track's conversation."""

    def __init__(self, wire: Wire, slots: _Slots) -> None:
        self._wire = wire
        self._slots = slots
        self._taken: int | None = None
        self._out_of_memory = False
        self._last_sign = time.monotonic()

    def serve(self, request: dict[str, Any]) -> None:
        config = ClipsConfig.model_validate(request["config"])
        self._sign_every_s = min(0.5, config.track_time_limit_s / 4)
        self._slots.all_free()
        try:
            (self._cut if request["kind"] == "cut" else self._excerpts)(request, config)
            self._wire.send({"kind": "end"})
        except DecodeFailure as failure:
            self._fail(failure.reason, failure.detail, failure.stage)
        except ConnectionError:
            raise
        except MemoryError:
            self._out_of_memory = True  # judged when the track's memory is free again
        except Exception as error:
            if is_fault(error):
                self._wire.send({"kind": "fault", "detail": explain_fault(error)})
            elif isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError):
                self._fail("unreadable", error.strerror or str(error), "read")
            else:
                self._fail("decoder-error", f"{type(error).__name__}: {error}")

    def judge_memory(self) -> None:
        """A track that wanted more than there is for one was at fault, unless there never was that much."""
        if self._out_of_memory and (fault := _short_of_memory()):
            self._wire.send(fault)
        elif self._out_of_memory:
            self._fail("out-of-memory", "the decoder asked for more memory than one track may have")

    def _cut(self, request: dict[str, Any], config: ClipsConfig) -> None:
        info, pieces = cut_track(_path(request), config, alive=self._alive, allocate=self._allocate)
        self._wire.send({"kind": "source", **asdict(info)})
        for piece in pieces:
            self._send(piece, info.sample_rate_hz)

    def _excerpts(self, request: dict[str, Any], config: ClipsConfig) -> None:
        info, found = cut_excerpts(
            _path(request),
            config,
            request["places"],
            request["channels"],
            alive=self._alive,
            allocate=self._allocate,
        )
        self._wire.send({"kind": "source", **asdict(info)})
        for samples_TC in found:
            slot, self._taken = self._taken, None
            assert slot is not None
            message = {"kind": "excerpt", "samples": samples_TC.size, "sample_rate_hz": info.sample_rate_hz}
            self._slots.hand_over(slot, message)

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

    def _alive(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._last_sign > self._sign_every_s:
            self._last_sign = now
            self._wire.send({"kind": "alive", "seconds": seconds})

    def _fail(self, reason: str, detail: str, stage: str = "decode") -> None:
        self._wire.send({"kind": "failed", "reason": reason, "detail": detail[:500], "stage": stage})


def _short_of_memory() -> dict[str, Any] | None:
    """Word of it for the guard where there is not the memory that any track may need; asking touches none of it."""
    try:
        mmap.mmap(-1, _ROOM_FOR_A_TRACK).close()
    except (OSError, MemoryError):
        detail = f"less than the {_ROOM_FOR_A_TRACK >> 20} MiB of memory that decoding a track may take is left"
        return {"kind": "fault", "detail": f"{detail} (see ulimit -v); give the run more, or fewer --workers"}
    return None


def _end_with(guard_pid: int) -> None:
    """Native decoders let other threads run, so this one sees a dead guard even when a decoder hangs.

    Not PR_SET_PDEATHSIG: that fires when the thread that started us ends, and Beam's threads come and go.
    """
    while os.getppid() == guard_pid:
        time.sleep(1.0)
    os._exit(0)
