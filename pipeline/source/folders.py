"""Folders as people have them: every file is found once, and what is no track is counted as what it is."""

from __future__ import annotations

import os
import posixpath
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.audio.probe import HEAD_BYTES, looks_like_audio
from pipeline.ids import track_id
from pipeline.records import Track
from pipeline.remote import is_local
from pipeline.source.kinds import kind_of
from pipeline.source.packed import PackedTracks

__all__ = ["Found", "full_path", "sort_files", "walk"]

_LISTED = "links to what is listed already"


@dataclass
class Found:
    """What lies below a root: tracks, and all the rest by what it is."""

    tracks: PackedTracks = field(default_factory=PackedTracks)
    lists: list[tuple[str, str]] = field(default_factory=list)
    """Lists of tracks, by their names."""
    ignored: Counter[str] = field(default_factory=Counter)


def walk(fs: Any, root: str) -> Iterator[tuple[str, str]]:
    """(key, path) of every file below `root`; the key is empty for what is not followed, the path then says why."""
    if is_local(fs):
        yield from _walk_local(root)
        return
    for path in fs.find(root):
        yield posixpath.relpath(path, root), path


def _walk_local(root: str) -> Iterator[tuple[str, str]]:
    """Links to folders are followed once, after everything that is no link; a link into a folder seen is counted."""
    seen_folders: set[tuple[int, int]] = set()
    seen_files: set[tuple[int, int]] = set()
    links: list[str] = []
    linked_files: list[tuple[str, str]] = []
    above = {_identity(parent) for parent in Path(root).resolve().parents}
    todo = deque([""])
    while todo or links:
        if not todo:
            links.sort(reverse=True)
            todo.append(links.pop())
        below = todo.popleft()
        folder = posixpath.join(root, below) if below else root
        try:
            me = _identity(Path(folder))
            if me in seen_folders or me in above:
                yield "", _LISTED
                continue
            seen_folders.add(me)
            with os.scandir(folder) as entries:
                for entry in entries:
                    key = posixpath.join(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(key)
                    elif not entry.is_symlink():
                        seen_files.add((me[0], entry.inode()))
                        yield key, posixpath.join(root, key)
                    elif entry.is_dir():
                        links.append(key)
                    else:
                        linked_files.append((key, posixpath.join(root, key)))
        except OSError:
            yield "", "folders that cannot be read"
    for key, path in sorted(linked_files):
        try:
            me = _identity(Path(path))
        except OSError:
            yield key, path  # a broken link: a track that is missing
            continue
        if me in seen_files:
            yield "", _LISTED
        else:
            seen_files.add(me)
            yield key, path


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def sort_files(fs: Any, files: Iterator[tuple[str, str]]) -> Found:
    """Tell tracks from the rest: by name where that is plain, else by how the file begins."""
    found = Found()
    for key, path in files:
        kind = kind_of(key) if key else path
        if not kind:
            kind = "audio" if _sounds(fs, path) else posixpath.splitext(key)[1].lower() or "no suffix"
        if kind == "audio":
            found.tracks.append(Track(track_id=track_id(key), key=key, path=full_path(fs, path)))
            continue
        if kind == "lists":
            found.lists.append((key, path))
        found.ignored[kind] += 1
    return found


def full_path(fs: Any, path: str) -> str:
    """With the protocol, where the file system is not the local one."""
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def _sounds(fs: Any, path: str) -> bool:
    try:
        if is_local(fs):
            if not Path(path).is_file():
                return False
            with open(path, "rb") as file:
                return looks_like_audio(file.read(HEAD_BYTES))
        return looks_like_audio(fs.cat_file(path, start=0, end=HEAD_BYTES))
    except Exception:  # a remote file system may raise anything
        return False
