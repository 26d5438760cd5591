"""What a file is by its name: a hint, so that what is plainly no sound is not opened; content decides the rest."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

__all__ = ["AUDIO_SUFFIXES", "NOTES", "kind_of", "notes_hint"]

AUDIO_SUFFIXES = frozenset(
    ".aac .ac3 .aif .aifc .aiff .alac .amr .ape .au .caf .flac .m4a .m4b .m4r .mka .mkv .mov .mp2 .mp3 .mp4 .mpc .mpga "
    ".oga .ogg .opus .snd .spx .tta .w64 .wav .wave .webm .wma .wv".split()
)
"""Taken for tracks unopened; what is none after all becomes a reject."""

NOTES = {
    "MIDI files": ".mid .midi .kar .rmi .smf".split(),
    "tracker modules": ".mod .xm .it .s3m .mptm .mtm .669 .med .stm .ult .far .okt .amf .dbm .umx .mo3".split(),
}
"""Notes, not sound."""

_KINDS: Mapping[str, list[str]] = {
    "pictures": ".jpg .jpeg .jfif .png .gif .bmp .tif .tiff .webp .ico .svg .psd .avif .heic .xcf".split(),
    "cue sheets": ".cue .toc".split(),
    "playlists": ".m3u .m3u8 .pls .xspf .asx .wpl .zpl".split(),
    "lists": ".csv .tsv .jsonl .ndjson .parquet .xlsx .xls .ods".split(),
    "lyrics and texts": ".txt .lrc .srt .vtt .nfo .md .rst .log .pdf .doc .docx .odt .rtf .html .htm .xml .json .yaml "
    ".yml .url .ini .diz .epub".split(),
    "checksums": ".md5 .sfv .ffp .sha1 .sha256 .accurip".split(),
    "archives": ".zip .rar .7z .tar .gz .tgz .bz2 .xz .zst .iso .lha .lzh".split(),
    "programs and data": ".py .pyc .js .css .c .h .cpp .java .sh .bat .exe .dll .so .o .db .sqlite .plist .npy .npz "
    ".pt .bin .pkl .sf2 .sf3 .sfz .ttf .desktop .sav .tmp .part .torrent".split(),
    **NOTES,
}
_KIND_OF = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
_SYSTEM = ("thumbs.db", "desktop.ini", "albumart", "license", "licence", "copying", "readme", "changelog", "authors")


def kind_of(key: str) -> str:
    """`audio`, what else the file is (as people are shown it), or empty where its name says nothing."""
    name = posixpath.basename(key).lower()
    if any(part.startswith(".") for part in key.split("/")):
        return "hidden"
    try:
        key.encode()
    except UnicodeEncodeError:
        return "name is not UTF-8"  # no Parquet file can hold it
    suffix = posixpath.splitext(name)[1]
    if suffix in AUDIO_SUFFIXES:
        return "audio"
    if suffix in _KIND_OF:
        return _KIND_OF[suffix]
    return "lyrics and texts" if not suffix and name in _SYSTEM else ""


def notes_hint(ignored: Mapping[str, int]) -> str:
    """What to do with files that hold notes; empty where there are none."""
    found = [f"{ignored[kind]} {kind}" for kind in NOTES if ignored.get(kind)]
    if not found:
        return ""
    return (
        f"{' and '.join(found)} hold notes, not sound; to mine them, render them first: "
        "fluidsynth -ni -F song.wav SOUNDFONT.sf2 song.mid, or openmpt123 --render song.xm"
    )
