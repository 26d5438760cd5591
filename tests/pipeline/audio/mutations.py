"""Good audio files made bad, the same way each time: for tests of faults, and for the benchmark that counts them.

good = make_good_files(folder / "good")
for mutant in mutate(good, folder / "bad", count=300, seed=0): ...
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.audio_files import FORMATS, chord, write_audio

__all__ = ["KINDS", "Mutant", "make_good_files", "mutate"]

_GOOD = ("wav-s16", "wav-f32", "aiff", "flac", "mp3", "mp3-no-header", "ogg", "opus", "m4a", "m4a-alac", "adts", "mka")
_HUNDRED_HOURS_S = 360_000
_Random = random.Random


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One damaged file."""

    path: Path
    kind: str
    made_from: str


def make_good_files(folder: Path, *, duration_s: float = 8.0) -> list[Path]:
    """One file of each common format, in stereo."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_audio(
            folder / f"{name}.{FORMATS[name].suffix}",
            chord(duration_s, FORMATS[name].rates_hz[0], seed=seed),
            FORMATS[name].rates_hz[0],
            name,
        )
        for seed, name in enumerate(_GOOD)
    ]


def mutate(good: list[Path], folder: Path, *, count: int, seed: int = 0) -> Iterator[Mutant]:
    """`count` files, each kind of damage in turn to each format in turn; all determined by `seed`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        source = good[(number // len(KINDS) + number % len(KINDS)) % len(good)]
        rng = random.Random(f"{seed}-{number}")
        suffix = rng.choice([".mp3", ".wav", ".m4a", ".ogg"]) if kind == "wrong-extension" else source.suffix
        path = folder / f"{number:04d}-{kind}-{source.stem}{suffix}"
        path.write_bytes(KINDS[kind](bytearray(source.read_bytes()), rng))
        yield Mutant(path=path, kind=kind, made_from=source.stem)


def _few_flips(data: bytearray, rng: _Random) -> bytes:
    return _flip(data, rng, rng.randint(1, 8), 0)


def _many_flips(data: bytearray, rng: _Random) -> bytes:
    return _flip(data, rng, max(50, len(data) // 500), 0)


def _flips_in_header(data: bytearray, rng: _Random) -> bytes:
    return _flip(data, rng, rng.randint(1, 12), 0, min(200, len(data)))


def _flip(data: bytearray, rng: _Random, count: int, start: int, stop: int | None = None) -> bytes:
    for _ in range(count):
        data[rng.randrange(start, stop or len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _truncated(data: bytearray, rng: _Random) -> bytes:
    return bytes(data[: rng.randrange(1, len(data))])


def _head_lost(data: bytearray, rng: _Random) -> bytes:
    return bytes(data[rng.randrange(1, len(data)) :])


def _zeroed_run(data: bytearray, rng: _Random) -> bytes:
    length = rng.randrange(1, len(data) // 2)
    start = rng.randrange(len(data) - length)
    data[start : start + length] = bytes(length)
    return bytes(data)


def _zeroed(data: bytearray, rng: _Random) -> bytes:
    return bytes(len(data))


def _random_run(data: bytearray, rng: _Random) -> bytes:
    length = rng.randrange(1, len(data) // 3)
    start = rng.randrange(len(data) - length)
    data[start : start + length] = rng.randbytes(length)
    return bytes(data)


def _doubled(data: bytearray, rng: _Random) -> bytes:
    """One file behind another, as broken downloads are."""
    return bytes(data + data)


def _swapped(data: bytearray, rng: _Random) -> bytes:
    """Two blocks of the file have changed places."""
    size = max(1, len(data) // 10)
    one, other = sorted(rng.sample(range(len(data) // size), 2))
    first, second = data[one * size : (one + 1) * size], data[other * size : (other + 1) * size]
    data[one * size : (one + 1) * size], data[other * size : (other + 1) * size] = second, first
    return bytes(data)


def _as_it_is(data: bytearray, rng: _Random) -> bytes:
    return bytes(data)


def _text(data: bytearray, rng: _Random) -> bytes:
    return "\n".join(f"Line {rng.randrange(10**6)}: words, not samples." for _ in range(400)).encode()


def _empty(data: bytearray, rng: _Random) -> bytes:
    return b""


def _hundred_hours(data: bytearray, rng: _Random) -> bytes:
    """The header's own length field raised to 100 hours, or as far as the field goes."""
    if data[:4] == b"RIFF":
        at = data.index(b"data") + 4
        rate = int.from_bytes(data[28:32], "little")
        data[at : at + 4] = min(_HUNDRED_HOURS_S * rate, 0xFFFFFFF0).to_bytes(4, "little")
    elif data[:4] == b"FORM":
        at = data.index(b"COMM") + 10
        data[at : at + 4] = (_HUNDRED_HOURS_S * 44_100 & 0xFFFFFFFF).to_bytes(4, "big")
        at = data.index(b"SSND") + 4
        data[at : at + 4] = (0x7FFFFFF0).to_bytes(4, "big")
    elif data[:4] == b"fLaC":
        samples = _HUNDRED_HOURS_S * 44_100
        data[21] = (data[21] & 0xF0) | samples >> 32
        data[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    elif data[4:8] == b"ftyp":
        for name, scale_at, length_at in ((b"mvhd", 16, 20), (b"mdhd", 16, 20)):
            at = data.index(name)
            scale = int.from_bytes(data[at + scale_at : at + scale_at + 4], "big")
            length = min(_HUNDRED_HOURS_S * scale, 0xFFFFFFF0)
            data[at + length_at : at + length_at + 4] = length.to_bytes(4, "big")
    elif (at := max(data.find(b"Xing"), data.find(b"Info"))) > 0:
        data[at + 8 : at + 12] = (_HUNDRED_HOURS_S * 44_100 // 1152).to_bytes(4, "big")
    elif data[:4] == b"OggS":
        at = data.rindex(b"OggS") + 6
        data[at : at + 8] = (_HUNDRED_HOURS_S * 48_000).to_bytes(8, "little")
    elif (at := data.find(b"\x44\x89\x88")) > 0:  # matroska: duration, 8 bytes of float
        data[at + 3 : at + 11] = bytes.fromhex("41b5752a00000000")  # 360,000,000 ms
    return bytes(data)


KINDS: dict[str, Callable[[bytearray, _Random], bytes]] = {
    "few-flips": _few_flips,
    "many-flips": _many_flips,
    "flips-in-header": _flips_in_header,
    "truncated": _truncated,
    "head-lost": _head_lost,
    "zeroed-run": _zeroed_run,
    "zeroed": _zeroed,
    "random-run": _random_run,
    "doubled": _doubled,
    "swapped": _swapped,
    "wrong-extension": _as_it_is,
    "hundred-hours": _hundred_hours,
    "text": _text,
    "empty": _empty,
}
"""Every kind of damage, by name."""
