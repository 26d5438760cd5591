"""Tags in a sound file: title, artist, album and what else says whose it is, under one name whatever the container.

FFmpeg reads ID3v1 and ID3v2, Vorbis comments, MP4 atoms, RIFF INFO, and APEv2 where it is at home. What it passes over
in MP3 files (APEv2, and ID3's frames with the recording's MusicBrainz id and the licence) is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

__all__ = ["known_tags", "read_tags"]

_LONGEST = 1_000
"""Characters of a value; comments can hold whole log files."""
_LONGEST_BLOCK = 1 << 24
"""Bytes of a tag block; pictures make most of it."""
_NAMES = {
    "title": "title",
    "artist": "artist",
    "author": "artist",
    "album": "album",
    "albumtitle": "album",
    "genre": "genre",
    "isrc": "isrc",
    "tsrc": "isrc",
    "license": "licence",
    "licence": "licence",
    "licenseurl": "licence",
    "albumartist": "album_artist",
    "track": "track_number",
    "tracknumber": "track_number",
    "date": "date",
    "year": "date",
    "copyright": "copyright",
    "comment": "comment",
    "description": "comment",
}
"""What is kept, by its spelling in lower case without blanks and marks; beside these, `musicbrainz...id`."""
_LICENCE = re.compile(r"creativecommons\.org|\bcc0\b|\bcc[ -]by\b|public domain|\b(l?gpl|gfdl|mit|odbl)\b", re.I)


def read_tags(container: Any, stream: Any, path: str) -> dict[str, str]:
    """Name -> value: title, artist, album, isrc, genre, licence, album_artist, track_number, date, copyright, comment,
    musicbrainz_trackid and its like. Only what is there; where a name comes twice, the container's first one."""
    names = set(container.format.name.split(","))
    sources: list[Mapping[str, str]] = [container.metadata, stream.metadata]
    if "mp3" in names:
        with open(path, "rb") as file:
            frames, items = dict(_id3_frames(file)), dict(_ape_items(file))
            file.seek(0)
            # Without ID3v2 what FFmpeg found is ID3v1, which cuts a title at 30 bytes.
            sources = [*sources, frames, items] if file.read(3) == b"ID3" else [items, *sources]
    return known_tags(sources)


def known_tags(sources: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags of `sources` that are kept, under their names here; the first source that has one wins."""
    found: dict[str, str] = {}
    for source in sources:
        for name, value in source.items():
            if (known := _known(name)) and (text := _clean(value)):
                found.setdefault(known, text)
    if "licence" not in found and _LICENCE.search(found.get("copyright", "")):
        found["licence"] = found["copyright"]
    return dict(sorted(found.items()))


def _known(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("wm/"))
    if plain.startswith("musicbrainz") and plain.endswith("id"):
        return "musicbrainz_" + plain.removeprefix("musicbrainz")
    return _NAMES.get(plain, "")


def _clean(value: str) -> str:
    """One line without control characters; bytes that are no UTF-8, as old tags have them, are read as Western."""
    raw = value.encode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            value = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:_LONGEST]


def _id3_frames(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """The frames of an ID3v2 tag at the file's beginning that FFmpeg does not hand on: UFID and WCOP."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (3, 4):
        return
    body = file.read(min(_syncsafe(head[6:10]), _LONGEST_BLOCK))
    if head[5] & 0x80 and head[3] == 3:  # unsynchronised: a zero was put behind each 0xFF
        body = body.replace(b"\xff\x00", b"\xff")
    at = 0
    if head[5] & 0x40:
        at = _syncsafe(body[:4]) if head[3] == 4 else 4 + int.from_bytes(body[:4], "big")
    while at + 10 <= len(body) and body[at : at + 1].isalnum():
        name, raw = body[at : at + 4], body[at + 4 : at + 8]
        size = _syncsafe(raw) if head[3] == 4 else int.from_bytes(raw, "big")
        data = body[at + 10 : at + 10 + size]
        if name == b"WCOP":
            yield "licence", data.split(b"\0")[0].decode("latin-1")
        elif name == b"UFID" and data.startswith(b"http://musicbrainz.org\0"):
            yield "musicbrainz_trackid", data.partition(b"\0")[2].decode("latin-1")
        at += 10 + size


def _syncsafe(raw: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(raw, (21, 14, 7, 0), strict=False))


def _ape_items(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Text items of an APEv2 tag at the end of a file, or in front of an ID3v1 tag there."""
    end = file.seek(0, 2)
    for behind in (0, 128):
        if end < 32 + behind:
            return
        file.seek(end - behind - 32)
        foot = file.read(32)
        if foot[:8] == b"APETAGEX":
            break
    else:
        return
    size, count = int.from_bytes(foot[12:16], "little"), int.from_bytes(foot[16:20], "little")
    start = end - behind - size
    if start < 0 or not 32 <= size <= _LONGEST_BLOCK:
        return
    file.seek(start)
    body, at = file.read(size - 32), 0
    for _ in range(count):
        length, flags = int.from_bytes(body[at : at + 4], "little"), int.from_bytes(body[at + 4 : at + 8], "little")
        stop = body.find(b"\0", at + 8)
        if stop < 0:
            return
        if not flags & 6:  # text, not a picture and not a link
            value = body[stop + 1 : stop + 1 + length].decode("utf-8", "surrogateescape")
            yield body[at + 8 : stop].decode("latin-1"), value.replace("\0", ";")
        at = stop + 1 + length
