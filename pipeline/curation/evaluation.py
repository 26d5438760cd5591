"""What an evaluation set says of its music: ids of videos and tracks, names of files, titles with artists."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.curation.audioset import named_clip, read_segments
from pipeline.curation.names import artist_keys, plain, title_key
from pipeline.errors import BadInput
from pipeline.source.rows import open_table

__all__ = ["SETS", "Evaluation", "read_evaluation"]

SETS = ("musiccaps", "audioset-eval", "mtat", "song-describer")
_COLUMNS = {
    "ytid": ("ytid", "youtube_id", "video_id"),
    "isrc": ("isrc",),
    "mbid": ("mbid", "musicbrainz_trackid", "musicbrainz_recordingid", "recording_mbid"),
    "track_id": ("track_id", "jamendo_id"),
    "title": ("title", "track_name", "song"),
    "artist": ("artist", "artist_name"),
    "path": ("path", "mp3_path", "file", "filename", "file_name"),
}
_MTAT = re.compile(r"(?P<artist>.+?)-(?P<album>.+)-(?P<number>\d\d)-(?P<title>.+?)-(?P<start>\d+)-(?P<end>\d+)")
"""`artist-album-NN-title-start-end` of MagnaTagATune, with `_` for blanks."""


@dataclass(kw_only=True)
class Evaluation:
    """Ids and names of one set; each is a dictionary from what is looked for to what it is called in the set."""

    rows: int = 0
    ytids: dict[str, float] = field(default_factory=dict)
    """Id -> start in seconds."""
    ids: dict[str, str] = field(default_factory=dict)
    """`isrc:`, `mbid:`, `jamendo:`, `file:` and the value."""
    songs: dict[tuple[str, str], str] = field(default_factory=dict)
    """(title key, artist key)."""

    @property
    def says(self) -> list[str]:
        """What there is to look for, for people."""
        kinds = sorted({key.partition(":")[0] for key in self.ids})
        return (["video ids"] if self.ytids else []) + kinds + (["title and artist"] if self.songs else [])

    def look_up(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        """(rule, what it is in the set) of a clip's row: by id, by file name, by title and artist."""
        key = row["source_key"] or ""
        extra = {pair["name"].casefold(): pair["value"] for pair in row.get("extra") or ()}
        given = next((extra[name] for name in _COLUMNS["ytid"] if extra.get(name) in self.ytids), "")
        if not given and (clip := named_clip(key, self.ytids)) is not None:
            given = clip.ytid
        if given:
            return "id", given
        said = [("isrc", row.get("isrc") or "")] + [("mbid", extra.get(n, "")) for n in _COLUMNS["mbid"]]
        said += [("jamendo", jamendo_id(key)), ("jamendo", _number(extra.get("jamendo_id", "")))]
        said += [("file", posixpath.basename(key).casefold())]
        for kind, value in said:
            if value and (found := self.ids.get(f"{kind}:{value.casefold()}")):
                return "name" if kind == "file" else "id", found
        title = title_key(row.get("title") or "")
        for artist in sorted(artist_keys(row.get("artist") or "")) if title else ():
            if found := self.songs.get((title, artist)):
                return "title-artist", found
        if (parts := _MTAT.fullmatch(posixpath.splitext(posixpath.basename(key))[0])) and not title:
            found = self.songs.get((title_key(parts["title"].replace("_", " ")), plain(parts["artist"])))
            return ("title-artist", found) if found else None
        return None


def jamendo_id(key: str) -> str:
    """Of MTG-Jamendo's files, `45/12345.mp3` (the folder is the id's last two digits), also `.low` and `.2min`."""
    match = re.search(r"(?:^|/)(\d\d)/(\d+)(?:\.low|\.2min)?\.\w+$", key)
    return _number(match[2]) if match and int(match[2]) % 100 == int(match[1]) else ""


def _number(text: str) -> str:
    """`track_0000948` and `948` are one."""
    digits = text.removeprefix("track_").lstrip("0")
    return digits if digits.isdigit() else ""


def read_evaluation(which: str, lists: Sequence[str]) -> Evaluation:
    """Of the set `which` or of any file with one of the known columns. Raises BadInput."""
    found = Evaluation()
    for name in lists:
        if not Path(name).is_file() and "://" not in name:
            raise BadInput(f"{name} is not there; give the list of {which} as it is published")
        if which == "audioset-eval":
            found.ytids |= {ytid: said.start_s for ytid, said in read_segments([name]).items()}
            found.rows = len(found.ytids)
        else:
            _read_table(found, which, name)
    return found


def _read_table(found: Evaluation, which: str, name: str) -> None:
    table = open_table(name, known=lambda cells: sum(c.casefold() in _ALL for c in cells))
    has = {column.casefold(): column for column in table.columns}
    columns = {what: next((has[n] for n in names if n in has), "") for what, names in _COLUMNS.items()}
    if not any(columns[w] for w in ("ytid", "isrc", "mbid", "track_id", "path")) and not (
        columns["title"] and columns["artist"]
    ):
        raise BadInput(
            f"{name} has the columns {', '.join(table.columns) or 'none'}; expected ytid, track_id, isrc, mbid, "
            "path, or title and artist"
        )
    for row in table.rows:
        if row.fault:
            continue
        found.rows += 1
        said = {what: str(row.values.get(column) or "").strip() if column else "" for what, column in columns.items()}
        _add(found, said, row.values.get("start_s"), jamendo=which == "song-describer")


_ALL = {name for names in _COLUMNS.values() for name in names}


def _add(found: Evaluation, said: Mapping[str, str], start: object, *, jamendo: bool) -> None:
    if said["ytid"]:
        try:
            found.ytids[said["ytid"]] = float(str(start))
        except ValueError:
            found.ytids[said["ytid"]] = 0.0
    name = posixpath.basename(said["path"]).casefold()
    called = said["track_id"] or said["isrc"] or said["mbid"] or name or said["title"]
    for kind in ("isrc", "mbid"):
        if said[kind]:
            found.ids[f"{kind}:{said[kind].casefold()}"] = called
    if number := (_number(said["track_id"]) if jamendo else "") or jamendo_id(said["path"]):
        found.ids[f"jamendo:{number}"] = called
    if name and not number:
        found.ids[f"file:{name}"] = called
    title, artist = said["title"], said["artist"]
    if not title and (parts := _MTAT.fullmatch(posixpath.splitext(posixpath.basename(said["path"]))[0])):
        title, artist = parts["title"].replace("_", " "), parts["artist"].replace("_", " ")
    for key in artist_keys(artist) if title else ():
        found.songs[title_key(title), key] = called
