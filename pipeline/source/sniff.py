"""Whether a file begins like sound, for names that say nothing: containers that FFmpeg reads, by their first bytes."""

from __future__ import annotations

__all__ = ["HEAD_BYTES", "begins_like_sound"]

HEAD_BYTES = 4_096

_MAGIC = (
    *(b"ID3", b"fLaC", b"OggS", b"caff", b".snd", b"MAC ", b"wvpk", b"TTA1", b"TTA2", b"MPCK", b"MP+", b"#!AMR"),
    *(b"\x1aE\xdf\xa3", b"FLV\x01", b".RMF", b".ra\xfd", b"ADIF", b"OFR ", b"tBaK", b"DSD ", b"FRM8", b"ajkg"),
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),  # ASF: wma, wmv
    bytes.fromhex("726966662e91cf11a5d628db04c10000"),  # Wave64
)
_IN_CHUNKS = (b"WAVE", b"AIFF", b"AIFC", b"AVI ", b"8SVX")


def begins_like_sound(head: bytes) -> bool:
    """True for a first block that an audio or film container begins with, or a row of MPEG, AC-3 or TS frames."""
    if head.startswith(_MAGIC):
        return True
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
        return head[8:12] in _IN_CHUNKS
    if head[4:8] == b"ftyp" or (head[4:8] in (b"moov", b"mdat", b"wide", b"skip") and head[:2] == b"\0\0"):
        return True
    if head[:1] == b"G" and all(head[at : at + 1] in (b"G", b"") for at in (188, 376, 564)) and len(head) > 188:
        return True
    if head[:4] == b"\0\0\x01\xba" or head[:2] == b"\x0bw":
        return True
    return _mpeg_frames(head)


_RATES_KBPS = {
    (True, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1 layer III
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),  # MPEG-1 layer II
    (False, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _mpeg_frames(head: bytes) -> bool:
    """MP2, MP3 or ADTS: one frame's length leads to the next one's mark, at the beginning or after zeros."""
    start = len(head) - len(head.lstrip(b"\0"))
    for _ in range(2):
        length = _frame_bytes(head[start : start + 6])
        if not length:
            return False
        start += length
        if start + 6 > len(head):
            return True
    return True


def _frame_bytes(header: bytes) -> int:
    """Length of the MP2, MP3 or ADTS frame that begins so; 0 where none does."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer == 0 and header[1] & 0xF0 == 0xF0:  # ADTS
        return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    rate, sample_rate = header[2] >> 4, header[2] >> 2 & 3
    if layer not in (1, 2) or version == 1 or rate in (0, 15) or sample_rate == 3:
        return 0
    kbps, hz = _RATES_KBPS[version == 3, layer][rate], _SAMPLE_RATES_HZ[version][sample_rate]
    return (144 if version == 3 or layer == 2 else 72) * kbps * 1000 // hz + (header[2] >> 1 & 1)
