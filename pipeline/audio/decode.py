"""From a file to blocks of samples, with FFmpeg. Runs in the decoder's own process; see `decode_guard`.

C channels, T samples at the file's rate. A block is a list of C arrays of T samples in the decoder's own number type,
which for 16-bit audio is half the memory of floats; `to_float` makes numbers of them of which 1 is full scale.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.audio.claims import Promise, is_film, ogg_promise, read_promise
from pipeline.audio.extents import read_extent
from pipeline.audio.mended import mended
from pipeline.audio.probe import HEAD_BYTES, begins_like_audio
from pipeline.audio.quality import FULL_SCALE, FULL_SCALE_OF_CODEC
from pipeline.audio.tags import known_tags, read_tags
from pipeline.audio.trailing import sound_end
from pipeline.config import QualityConfig
from pipeline.errors import DecodeFailure
from pipeline.records import SourceInfo

__all__ = ["AudioSource", "Block", "to_float"]

Block = list[NDArray[Any]]

_BLOCK = 1 << 15
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_RATES_HZ = range(2_000, 768_001)
_MAX_CHANNELS = 64
_LENIENT_TAGS = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Tags that are not UTF-8 keep their bytes. From PyAV 19 on they do by themselves, and asking for it is a TypeError."""
_HOLE_S = 0.05
_READ_ERRORS = 16
"""Failed reads in a row after which the rest of a file is given up."""
_DEMUXERS = (
    "wav,w64,aiff,flac,mp3,ogg,mov,matroska,aac,caf,au,wv,ape,tta,mpc,mpc8,asf,avi,flv,mpegts,mpeg,ac3,eac3,dts,amr,"
    "dsf,tak,voc"
)
"""Containers of audio only: a playlist or a subtitle file in a music folder must not make FFmpeg open other files."""


class AudioSource:
    """The first audio stream of a file. One pass over `blocks`; then the counts are complete and `check` can judge."""

    def __init__(self, path: str, alive: Callable[[float], None] = lambda seconds: None) -> None:
        self._path = path
        self._alive = alive
        self.container_name = ""
        self.codec = ""
        self.sample_rate_hz = 0
        self.channels = 0
        self.places: tuple[str, ...] = ()
        """FFmpeg's name of each channel's loudspeaker: FL, FR, FC, LFE, BL, ..."""
        self.samples = 0
        self.packets = 0
        self.errors = 0
        self.foreign_frames = 0
        """Frames of another rate, channel count or number type than the first; left out."""
        self.promise = Promise()
        self.tags: dict[str, str] = {}
        self._stopped = ""
        self._sound_end: int | None = None
        """Byte behind which nothing is sound, where the file is a bare stream."""
        self._holes: Holes | None = None
        """In containers where a hole between time stamps means lost data."""

    def blocks(self) -> Iterator[Block]:
        """All of the audio in order; damaged packets are left out and counted."""
        with contextlib.ExitStack() as open_files:
            try:
                container = open_files.enter_context(_opened(self._path))
            except DecodeFailure as failure:
                if failure.reason != "corrupt":
                    raise
                yield from self._second_opinion(failure)
                return
            stream = _first_audio(container)
            self.container_name = container.format.name.split(",")[0]
            self.codec = stream.codec_context.name
            self._holes = Holes() if _stamps_tell_holes(container) else None
            self.tags = read_tags(container, stream, self._path)
            self.promise = read_promise(container, stream, self._path)
            if self.container_name in ("mp3", "aac"):
                with open(self._path, "rb") as file:
                    self._sound_end = sound_end(file)
            fifo = av.AudioFifo()
            for frame in self._frames(container, stream):
                if self._queued(fifo, frame):
                    while fifo.samples >= _BLOCK:
                        yield self._block(fifo, _BLOCK)
            if fifo.samples:
                yield self._block(fifo, fifo.samples)

    def _second_opinion(self, failure: DecodeFailure) -> Iterator[Block]:
        """Of libsndfile, on an Ogg file whose headers FFmpeg refuses (some have them twice) and players play."""
        if not _head(self._path).startswith(b"OggS"):
            raise failure
        import soundfile

        try:
            with soundfile.SoundFile(self._path) as file:
                self.container_name, self.codec = "ogg", file.subtype.lower()
                self.sample_rate_hz, self.channels = file.samplerate, file.channels
                self.tags = known_tags([file.copy_metadata()])
                with open(self._path, "rb") as raw:
                    self.promise = ogg_promise(raw)
                while len(block_TC := file.read(_BLOCK, dtype="float32", always_2d=True)):
                    self._alive(self.samples / self.sample_rate_hz)
                    self.packets += 1
                    self.samples += len(block_TC)
                    yield list(np.ascontiguousarray(block_TC.T))
        except soundfile.LibsndfileError as error:
            raise failure from error

    @property
    def full_scale(self) -> float:
        return FULL_SCALE_OF_CODEC.get(self.codec, FULL_SCALE)

    def check(self, config: QualityConfig) -> SourceInfo:
        """What was found, or DecodeFailure where it falls short of what the file promises."""
        share = config.max_decode_error_share
        decoded_s = self.samples / self.sample_rate_hz if self.samples else 0.0
        promised_s = self.promise.seconds(decoded_s) or 0.0
        short_s = promised_s - decoded_s
        holes_s = self._holes.lost_s() if self._holes else []
        errors, missing_s = self.errors + len(holes_s), sum(holes_s)
        error_share = errors / max(1, self.packets)
        unexplained_s = short_s - 2 * error_share * promised_s
        if self.foreign_frames > share * self.packets:
            raise DecodeFailure(
                "format-changed", f"{self.foreign_frames} frames differ from {self.sample_rate_hz} Hz x {self.channels}"
            )
        if missing_s > share * (decoded_s + missing_s):
            raise DecodeFailure("corrupt", f"{missing_s:.1f} s lost, {decoded_s:.1f} s left")
        if self.samples and short_s > max(1.0, 0.02 * promised_s) and unexplained_s > 0:
            raise DecodeFailure("truncated", f"{decoded_s:.1f} s of {promised_s:.1f} s")
        if self.samples and self.promise.breaks_off:
            raise DecodeFailure("truncated", f"{decoded_s:.1f} s, then it breaks off: {self.promise.breaks_off}")
        if error_share > share or self._stopped:
            stopped = f"; reading stopped: {self._stopped}" if self._stopped else ""
            raise DecodeFailure(
                "corrupt", f"{errors} of {self.packets} packets could not be decoded, at most {share:.0%}{stopped}"
            )
        if errors and short_s > max(0.2, share * promised_s):
            raise DecodeFailure("corrupt", f"{short_s:.1f} s lost, {decoded_s:.1f} s left")
        if self.samples == 0:
            reason = "no-samples" if begins_like_audio(_head(self._path)) else "not-audio"
            raise DecodeFailure(reason, f"{self.packets} packets gave no audio")
        return SourceInfo(
            duration_s=decoded_s,
            sample_rate_hz=self.sample_rate_hz,
            channels=self.channels,
            codec=self.codec,
            container=self.container_name,
            decode_errors=errors + self.foreign_frames,
            tags=tuple(self.tags.items()),
        )

    def _frames(self, container: av.container.InputContainer, stream: Any) -> Iterator[av.AudioFrame]:
        """Every frame that can be decoded. A read that fails is tried again, as players do, a few times."""
        failed_reads = 0
        packets = container.demux(stream)
        while failed_reads < _READ_ERRORS:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.errors += 1
                self.packets += 1
                failed_reads += 1
                self._stopped = _explain(error)
                packets = container.demux(stream)
                continue
            except IndexError as error:  # how PyAV meets a stream that was not there when the file was opened
                raise DecodeFailure("format-changed", f"another stream begins after {self.samples} samples") from error
            if packet is None:
                break
            if self._sound_end is not None and packet.pos is not None and packet.pos >= self._sound_end:
                continue
            failed_reads, self._stopped = 0, ""
            self.packets += 1
            try:
                yield from packet.decode()
            except av.error.EOFError:
                break
            except (av.error.FFmpegError, ValueError):
                self.errors += not self._complete

    @property
    def _complete(self) -> bool:
        """Whether all is there that the header counts: what follows was put behind the sound."""
        return bool(self.promise.counted_s) and self.samples >= (self.promise.counted_s or 0.0) * self.sample_rate_hz

    def _queued(self, fifo: av.AudioFifo, frame: av.AudioFrame) -> bool:
        if not self.sample_rate_hz:
            self._begin(frame)
        if self._holes is not None and frame.pts is not None:
            self._holes.note(float(frame.pts * frame.time_base) - self.samples / self.sample_rate_hz)
        frame.pts = None
        # AudioFifo takes frames of other layouts without a word, and then reads beyond their planes.
        if (
            frame.layout.nb_channels != self.channels
            or frame.sample_rate != self.sample_rate_hz
            or frame.format.name != self._format
        ):
            self.foreign_frames += 1
            return False
        fifo.write(frame)
        self.samples += frame.samples
        return True

    def _begin(self, frame: av.AudioFrame) -> None:
        self.sample_rate_hz, self.channels = frame.sample_rate, frame.layout.nb_channels
        if self.sample_rate_hz not in _RATES_HZ or not 1 <= self.channels <= _MAX_CHANNELS:
            raise DecodeFailure(
                "unsupported-format",
                f"{self.channels} channels at {self.sample_rate_hz} Hz; "
                f"up to {_MAX_CHANNELS} at {_RATES_HZ[0]} to {_RATES_HZ[-1]} Hz can be used",
            )
        self.places = tuple(channel.name for channel in frame.layout.channels)
        self._format = frame.format.name
        self._dtype = _DTYPES[frame.format.name.removesuffix("p")]

    def _block(self, fifo: av.AudioFifo, samples: int) -> Block:
        """Views of FFmpeg's own buffer, which live as long as they are held; no copy."""
        self._alive(self.samples / self.sample_rate_hz)
        frame = fifo.read(samples)
        planes = [np.frombuffer(plane, self._dtype) for plane in frame.planes]
        if frame.format.is_planar:
            return [plane_T[:samples] for plane_T in planes]
        return list(planes[0][: samples * self.channels].reshape(samples, self.channels).T)


class Holes:
    """Leaps of the time stamps ahead of the samples, less those that later stamps take back.

    A lead is a frame's time stamp less the time of the samples before it. Lost data raises it for good; stamps that
    jitter, or that a clock of its own has made, bring it back.
    """

    def __init__(self) -> None:
        self._leaps: list[tuple[float, float]] = []
        """Lead before and after each leap that still stands."""
        self._lead_s: float | None = None
        self._jitter_s = 0.0
        """The largest leap that was taken back; no smaller one means anything at the end either."""

    def note(self, lead_s: float) -> None:
        """The next frame's lead."""
        while self._leaps and lead_s < sum(self._leaps[-1]) / 2:
            before, after = self._leaps.pop()
            self._jitter_s = max(self._jitter_s, 1.1 * (after - before))
        if self._lead_s is not None and lead_s - self._lead_s > _HOLE_S:
            self._leaps.append((self._lead_s, lead_s))
        self._lead_s = lead_s

    def lost_s(self) -> list[float]:
        """The length of each hole that stayed."""
        leaps = (after - before for before, after in self._leaps)
        return [leap_s for leap_s in leaps if leap_s > self._jitter_s]


def to_float(samples_T: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of which 1 is full scale, whatever number type the decoder gave."""
    if samples_T.dtype == np.uint8:
        return (samples_T.astype(np.float32) - 128) / np.float32(128)
    if samples_T.dtype.kind == "i":
        return samples_T.astype(np.float32) * np.float32(2.0 ** (1 - 8 * samples_T.dtype.itemsize))
    return samples_T.astype(np.float32, copy=False)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[av.container.InputContainer]:
    options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    spliced = None
    try:
        spliced = mended(path)
        # The prefix keeps a name such as `concat:a.mp3` or `12:30.mp3` from being read as a protocol.
        container = av.open(spliced or "file:" + str(Path(path).absolute()), options=options, **_LENIENT_TAGS)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise DecodeFailure("unreadable", _explain(error), stage="read") from error
    except av.error.FFmpegError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise OSError(error.errno, error.strerror) from error
        raise _not_openable(path, error) from error
    with container, spliced or contextlib.nullcontext():
        yield container


def _not_openable(path: str, error: Exception) -> DecodeFailure:
    with open(path, "rb") as file:
        extent = read_extent(file)
    if extent is not None and extent.cut:
        return DecodeFailure(
            "truncated", f"{extent.there:,} of {extent.promised:,} bytes of sound are there, and no header behind them"
        )
    if begins_like_audio(_head(path)):
        return DecodeFailure("corrupt", f"its header cannot be read: {_explain(error)}")
    return DecodeFailure("not-audio", f"no known audio container: {_explain(error)}")


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _first_audio(container: av.container.InputContainer) -> Any:
    if not container.streams.audio:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise DecodeFailure("no-audio", f"no audio stream; found {found}")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise DecodeFailure("unsupported-codec", "FFmpeg has no decoder for the audio stream")
    stream.codec_context.thread_count = 1  # the cores belong to the workers
    if stream.codec_context.name == "flac":  # its frames carry checksums that FFmpeg does not look at by itself
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    return stream


def _stamps_tell_holes(container: av.container.InputContainer) -> bool:
    """MP3 and ADTS have no stamps, MP4 may leave pauses on purpose, and so may a film's sound."""
    return container.format.name in ("flac", "ogg", "matroska,webm") and not is_film(container)


def _explain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
