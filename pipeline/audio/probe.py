"""Whether a file is sound, by its first bytes: for names that do not tell, and for files that cannot be opened."""

from __future__ import annotations

import re

__all__ = ["HEAD_BYTES", "begins_like_audio", "looks_like_audio"]

HEAD_BYTES = 4096
"""As many of a file's first bytes are enough, and more are not looked at."""
_MAGIC = (
    b"OggS",
    b"fLaC",
    b"ID3",
    b"caff",
    b"wvpk",
    b".snd",
    b"MAC ",
    b"TTA1",
    b"MP+",
    b"MPCK",
    b"tBaK",
    b"DSD ",
    b"FLV\x01",
    b"#!AMR",
    b"Creative Voice File",
    b"riff\x2e\x91\xcf\x11",
    b"\x1aE\xdf\xa3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"\x7f\xfe\x80\x01",
    b"\x00\x00\x01\xba",
)
_CHUNKED = {b"RIFF": (b"WAVE", b"AVI "), b"RF64": (b"WAVE",), b"BW64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"mif1", b"msf1", b"avif", b"avis", b"crx ")
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"wide")
_FRAME = re.compile(rb"\xff[\xe2-\xff]|\x0b\x77")
_BIT_RATES = {
    (True, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of MPEG audio, by (MPEG-1, layer bits)."""
_RATES_HZ = (44_100, 48_000, 32_000)


def looks_like_audio(head: bytes) -> bool:
    """Whether a file that begins with `head` (its first HEAD_BYTES, or all of it) is of a kind that holds sound.

    A film counts: whether it has sound is known when it is opened. Playlists, pictures, text, MIDI and tracker modules
    do not.
    """
    if head.startswith(_MAGIC):
        return True
    if head[:4] in _CHUNKED:
        return head[8:12] in _CHUNKED[head[:4]]
    if head[4:8] in _MP4_BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in _PICTURE_BRANDS
    if all(head[at : at + 1] == b"\x47" for at in (0, 188, 376)):
        return True
    return _holds_frames(head)


def begins_like_audio(head: bytes) -> bool:
    """The same of a file that may be damaged: its first few bytes are enough."""
    return (
        looks_like_audio(head)
        or head.startswith((*_CHUNKED, b"riff"))
        or head[4:8] == b"ftyp"
        or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")
    )


def _holds_frames(head: bytes) -> bool:
    """Whether a bare stream begins here: two whole frames of MP3, AAC or AC-3 that follow each other.

    Zeros may stand in front, and half a frame, as in what was cut from a broadcast.
    """
    for found in _FRAME.finditer(head.ljust(HEAD_BYTES, b"\0")[:HEAD_BYTES]):
        at = found.start()
        length = _frame_bytes(head[at : at + 8])
        following = head[at + length : at + length + 8]
        if length and following[:1] == head[at : at + 1] and _frame_bytes(following):
            return at == 0 or bool(_frame_bytes(head[at + length + _frame_bytes(following) :][:8]))
    return False


def _frame_bytes(head: bytes) -> int:
    """Length of the frame that begins so; 0 for none."""
    if len(head) < 6:
        return 0
    if head[:2] == b"\x0b\x77":
        code, rate = head[4] & 0x3F, head[4] >> 6
        if rate == 3 or code >= 38:
            return 0
        kbit = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)[code >> 1]
        return 2 * (kbit * 96_000 // (48_000, 44_100, 32_000)[rate] + (code & 1 if rate == 1 else 0))
    if head[0] != 0xFF:
        return 0
    if head[1] & 0xF6 == 0xF0:  # AAC in ADTS
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return length if length > 7 and head[2] >> 2 & 15 < 13 else 0
    version, layer, code, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[1] < 0xE0 or version == 1 or layer == 0 or code in (0, 15) or rate == 3:
        return 0
    bits = _BIT_RATES[version == 3, layer][code] * 1000
    rate_hz, padding = _RATES_HZ[rate] >> (0 if version == 3 else 1 if version == 2 else 2), head[2] >> 1 & 1
    if layer == 3:
        return (12 * bits // rate_hz + padding) * 4
    return (144 if layer == 2 or version == 3 else 72) * bits // rate_hz + padding
