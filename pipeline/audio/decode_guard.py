"""Decoding behind glass: FFmpeg runs in a child process, and a file that hangs or crashes it costs that file alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio.decode_wire import Wire, mapped_samples
from pipeline.config import ClipsConfig
from pipeline.errors import DecodeFailure, ProgramFault
from pipeline.records import CutClip, LeftOut, Quality, SourceInfo

__all__ = ["DecodeFailure", "GuardedDecoder", "resample_channels", "resample_clip"]

_START_LIMIT_S = 120.0
_ATTEMPTS = 2
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from pipeline.audio.decode_child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc's allocator keeps a track's memory for the next track: giving it back and faulting it in again costs a
    # quarter of the decoding. Other allocators do not look at these.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
}


class GuardedDecoder:
    """Cuts one track after the other in a child process that starts with the first and is replaced when it fails.

    For one thread at a time; threads that decode at the same time have one each. Once a track's iterator is dropped
    or another track is begun, what was left of it is lost.
    """

    def __init__(self, config: ClipsConfig, rates_hz: Sequence[int]) -> None:
        self._config = config
        self._config_json = config.model_dump(mode="json")
        self._rates_hz = tuple(dict.fromkeys(rates_hz))
        self._child: _Child | None = None
        self._turn = 0
        self.on_decoded: Callable[[float], None] = lambda seconds: None
        """Told now and then how many seconds of the track in work are decoded."""

    def __enter__(self) -> GuardedDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._turn += 1
        if self._child is not None:
            self._child.end()
            self._child = None

    def cut(self, local_path: str) -> tuple[SourceInfo, Iterator[CutClip | LeftOut]]:
        """Decode all of a track, then hand out its clips in order; DecodeFailure from here or while iterating.

        A child that dies is given the track a second time, because what killed it may have been the machine (memory,
        an operator) and not the file; clips handed out before are not repeated.
        """
        return self._begin({"kind": "cut", "path": os.fsencode(local_path).hex()})

    def excerpts(
        self, local_path: str, places: Sequence[tuple[float, float]], *, channels: int, rate_hz: int
    ) -> tuple[SourceInfo, Iterator[NDArray[np.float32]]]:
        """Decode all of a track, then hand out [T, channels] at `rate_hz` of each place, (start_s, duration_s) each.

        See `pipeline.audio.pieces.cut_excerpts` for places and channels; failures are those of `cut`.
        """
        request = {"kind": "excerpts", "path": os.fsencode(local_path).hex()}
        return self._begin({**request, "places": list(places), "channels": channels, "rate_hz": rate_hz})

    def _begin(self, request: dict[str, Any]) -> tuple[SourceInfo, Iterator[Any]]:
        if self._child is not None and self._child.busy:
            self.close()
        self._turn += 1
        events = self._events(request, self._turn)
        info = next(events)
        assert isinstance(info, SourceInfo)
        return info, events

    def _events(self, request: dict[str, Any], turn: int) -> Iterator[Any]:
        handed_out = 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for number, event in enumerate(self._attempt(request)):
                    if number >= handed_out:
                        handed_out = number + 1
                        yield event
                        if turn != self._turn:
                            raise RuntimeError(
                                "this track's clips are gone: another track was begun before they were read"
                            )
                return
            except _ChildDied as died:
                if attempt == _ATTEMPTS:
                    raise DecodeFailure("decoder-crashed", f"{died}, {_ATTEMPTS} times") from died

    def _attempt(self, request: dict[str, Any]) -> Iterator[Any]:
        child = self._ready_child()
        try:
            yield from self._conversation(child, request)
        finally:
            if child.busy:  # crashed, hung, or its clips are no longer wanted
                child.kill()
                if self._child is child:
                    self._child = None

    def _conversation(self, child: _Child, request: dict[str, Any]) -> Iterator[Any]:
        child.ask({**request, "config": self._config_json})
        while True:
            message, fd = self._answer(child)
            kind = message.pop("kind")
            if kind == "clip":
                yield self._clip(child, message, fd)
            elif kind == "excerpt":
                yield self._excerpt(child, message, fd, request["channels"], request["rate_hz"])
            elif kind == "left-out":
                yield LeftOut(**message)
            elif kind == "source":
                yield SourceInfo(**message | {"tags": tuple((name, value) for name, value in message["tags"])})
            elif kind == "failed":
                child.busy = False
                raise DecodeFailure(message["reason"], message["detail"], stage=message["stage"])
            elif kind == "fault":
                raise ProgramFault(message["detail"])
            elif kind == "end":
                child.busy = False
                return

    def _answer(self, child: _Child) -> tuple[dict[str, Any], int | None]:
        limit_s = self._config.track_time_limit_s
        try:
            return child.answer(limit_s, self.on_decoded)
        except TimeoutError as error:
            raise DecodeFailure("decode-timeout", f"nothing decoded for {limit_s:g} s") from error

    def _clip(self, child: _Child, message: dict[str, Any], fd: int | None) -> CutClip:
        memory_T, length = child.samples_in(message["slot"], message["capacity"], fd), message["samples"]
        clip_s, own_hz = self._config.clip_s, message["sample_rate_hz"]
        audio = {rate: resample_clip(memory_T[:length], own_hz, rate, round(rate * clip_s)) for rate in self._rates_hz}
        stereo_TC, rate = None, self._config.sample_rates_hz[0]
        if self._config.stereo:
            stereo_TC = memory_T[length : 3 * length].reshape(-1, 2)
            stereo_TC = resample_clip(stereo_TC, own_hz, rate, round(rate * clip_s))
        child.free(message["slot"])
        return CutClip(
            index=message["index"],
            start_s=message["start_s"],
            duration_s=message["duration_s"],
            audio=audio,
            stereo_TC=stereo_TC,
            quality=Quality(**message["quality"]),
        )

    def _excerpt(
        self, child: _Child, message: dict[str, Any], fd: int | None, channels: int, rate_hz: int
    ) -> NDArray[np.float32]:
        held_TC = child.samples_in(message["slot"], message["capacity"], fd)[: message["samples"]]
        out_TC = resample_channels(held_TC.reshape(-1, channels), message["sample_rate_hz"], rate_hz)
        child.free(message["slot"])
        return out_TC

    def _ready_child(self) -> _Child:
        if self._child is None:
            try:
                self._child = _Child()
            except ProgramFault as fault:
                if not isinstance(fault.__cause__, _ChildDied):
                    raise
                self._child = _Child()  # the machine may have killed it; a second time it is the installation
        return self._child


def resample_clip(samples_T: NDArray[np.float32], from_hz: int, to_hz: int, samples: int) -> NDArray[np.float32]:
    """`samples` samples at `to_hz`, in [-1, 1], of (T,) or (T, C); soxr HQ, or a copy where the rates are equal."""
    out_T = samples_T.copy() if from_hz == to_hz else soxr.resample(samples_T, from_hz, to_hz, quality="HQ")
    if len(out_T) < samples:
        out_T = np.pad(out_T, ((0, samples - len(out_T)), *[(0, 0)] * (out_T.ndim - 1)))
    out_T = out_T[:samples]
    return np.clip(out_T, -1, 1, out=out_T)


def resample_channels(samples_TC: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """round(T x to / from) samples of each channel, in [-1, 1]; soxr HQ, or a copy where the rates are equal."""
    samples = round(len(samples_TC) * to_hz / from_hz)
    out_TC = samples_TC.copy() if from_hz == to_hz else soxr.resample(samples_TC, from_hz, to_hz, quality="HQ")
    if len(out_TC) < samples:
        out_TC = np.pad(out_TC, ((0, samples - len(out_TC)), (0, 0)))
    return np.clip(out_TC[:samples], -1, 1)


class _ChildDied(Exception):
    """The child's end of the socket closed in the middle of a track."""


class _Child:
    """The process, and the guard's end of its socket."""

    def __init__(self) -> None:
        self.busy = False
        self._slots: dict[int, NDArray[np.float32]] = {}
        mine, its = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        command = [sys.executable, "-I", "-c", _BOOT, str(its.fileno()), str(os.getpid()), json.dumps(_import_path())]
        with its:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[its.fileno()],
                env={**os.environ, **_ENVIRONMENT},
            )
        self._wire = Wire(mine)
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any]) -> None:
        self.busy = True
        with contextlib.suppress(OSError):  # a dead child shows in the answer
            self._wire.send(request)

    def samples_in(self, slot: int, capacity: int, fd: int | None) -> NDArray[np.float32]:
        """A slot's memory; it comes with its descriptor the first time, and each time it has grown."""
        if fd is not None:
            self._slots[slot] = mapped_samples(fd, capacity)
            os.close(fd)
        return self._slots[slot]

    def free(self, slot: int) -> None:
        with contextlib.suppress(OSError):
            self._wire.send({"kind": "free", "slot": slot})

    def answer(
        self, limit_s: float, on_decoded: Callable[[float], None] = lambda seconds: None
    ) -> tuple[dict[str, Any], int | None]:
        """The next message; signs of life, which say how far the track is decoded, count for the clock alone."""
        self._wire.set_time_limit(limit_s)
        while True:
            answer = self._wire.receive()
            if answer is None:
                raise _ChildDied(self._how_it_ended())
            if answer[0]["kind"] != "alive":
                return answer
            on_decoded(answer[0]["seconds"])

    def end(self) -> None:
        """Closing the socket is the message; a child in the middle of a track is not waited for."""
        if self.busy:
            self.kill()
            return
        self._wire.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._wire.close()
        self._errors.close()

    def _wait_until_ready(self) -> None:
        """A child that cannot start is no track's fault."""
        try:
            message, _ = self.answer(_START_LIMIT_S)
        except (_ChildDied, TimeoutError) as error:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines() or [str(error)]
            self.kill()
            raise ProgramFault(
                f"the decoder process did not start ({said[-1]}); check that this Python can import it: "
                f"{sys.executable} -c 'import av'"
            ) from error
        if message["kind"] == "fault":
            self.kill()
            raise ProgramFault(message["detail"])

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "the decoder process closed its connection"
        if code < 0:
            return f"the decoder process was ended by {signal.Signals(-code).name}"
        return f"the decoder process ended with code {code}"


def _import_path() -> list[str]:
    """Ours, made absolute: the child must find the same code whatever `__main__` and the working folder are."""
    return [str(Path(entry).absolute()) for entry in sys.path]
