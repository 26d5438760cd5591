"""The lines of a text file whose encoding nobody wrote down."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from pipeline.errors import BadInput

__all__ = ["Encoding", "find_encoding", "read_lines"]

Opener = Callable[[], IO[bytes]]
"""Opens the file anew, at its beginning and unpacked."""

Encoding = tuple[str, str]
"""Name for Python's codecs, and a remark for people where it had to be guessed."""

_BLOCK = 1 << 20
_DAMAGED, _FOREIGN = re.compile("[\udc80-\udcff]"), re.compile("[^\x00-\x7f\udc80-\udcff]")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def find_encoding(open_file: Opener) -> Encoding:
    """UTF-8, UTF-16 by its mark or its zero bytes, else Latin-1 as Windows has it; reads the file once.

    A file that holds good UTF-8 beside broken bytes is damaged UTF-8, not Latin-1: its broken bytes come through as
    surrogates, for the rows that hold them to be rejected.
    """
    with open_file() as file:
        block = file.read(_BLOCK)
        for mark, name in _MARKS:
            if block.startswith(mark):
                return name, "" if name == "utf-8-sig" else "read as UTF-16"
        if len(block) > 3 and (half := len(block) // 2) and max(zeros := (block[::2].count(0), block[1::2].count(0))):
            if zeros[1] > half * 0.4 and zeros[0] < half * 0.1:
                return "utf-16-le", "read as UTF-16"
            if zeros[0] > half * 0.4 and zeros[1] < half * 0.1:
                return "utf-16-be", "read as UTF-16"
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        damaged = foreign = False
        while block:
            if not block.isascii() or decoder.getstate()[0]:
                text = decoder.decode(block)
                damaged = damaged or bool(_DAMAGED.search(text))
                foreign = foreign or bool(_FOREIGN.search(text))
            block = file.read(_BLOCK)
        damaged = damaged or bool(_DAMAGED.search(decoder.decode(b"", final=True)))
    if not damaged or foreign:
        return "utf-8", ""
    return "cp1252", "not UTF-8, read as Latin-1 (Windows-1252)"


def read_lines(open_file: Opener, encoding: str, name: str) -> Iterator[str]:
    """Lines with their ends (\\n, \\r\\n or \\r) and without zero characters."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    try:
        with open_file() as raw, io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="") as file:
            for line in file:
                yield line.replace("\0", "\ufffd") if "\0" in line else line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{name} cannot be unpacked ({error}); fetch it again") from error
