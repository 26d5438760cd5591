"""What the input holds: a folder, a glob, one file, or lists of tracks, local or by fsspec URL."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import BadInput
from pipeline.records import Reject, Track
from pipeline.remote import file_system, is_local
from pipeline.source.folders import Found, full_path, sort_files, walk
from pipeline.source.kinds import AUDIO_SUFFIXES, notes_hint
from pipeline.source.lists import ListReader
from pipeline.source.rows import list_suffix
from pipeline.source.table import LIST_SUFFIXES

__all__ = ["Listing", "list_input"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The tracks of an input, ordered by id, and what was seen but is no track."""

    source: str
    tracks: Sequence[Track]
    rejects: tuple[Reject, ...] = ()
    """Rows of a list that name no usable track: level `row`, stage `list`."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Files that are no tracks, by what they are (`pictures`, `cue sheets`, ..., else the suffix) -> count."""
    repeated_rows: int = 0
    """Rows of a list that say again what an earlier row said."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What a track has -> the list's column that it was read from."""
    unused_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that look like one of those and were not used -> what they look like."""
    notes: tuple[str, ...] = ()
    """What had to be guessed or is worth a word, for people."""

    def as_dict(self) -> dict[str, Any]:
        """For a crate's header: all but the tracks, and of the rejects the counts."""
        return {
            "source": self.source,
            "ignored": dict(self.ignored),
            "repeated_rows": self.repeated_rows,
            "rejected_rows": dict(sorted(Counter(reject.reason for reject in self.rejects).items())),
            "columns": dict(self.columns),
            "unused_columns": dict(self.unused_columns),
            "notes": list(self.notes),
        }


def list_input(source: str) -> Listing:
    """List `source`; the order and the ids depend on the paths below its root alone (not on where that root lies).

    Raises BadInput for an input that is missing, empty, or contradicts itself.
    """
    fs, path = file_system(source)
    try:
        return _list(fs, path, source)
    except BadInput:
        raise
    except Exception as error:
        if is_local(fs):
            raise
        said = (str(error).splitlines() or [""])[0]
        raise BadInput(
            f"input {source!r} cannot be listed ({type(error).__name__}: {said}); check the address, and that you may "
            "read there"
        ) from error


def _list(fs: Any, path: str, source: str) -> Listing:
    if not fs.exists(path):
        if any(c in source for c in "*?["):
            return _list_glob(fs, path, source)
        raise BadInput(
            f"input {source!r} does not exist; give a folder, a glob, an audio file or a list of tracks "
            f"({', '.join(LIST_SUFFIXES)})"
        )
    if fs.isdir(path):
        return _list_folder(fs, path, source)
    if list_suffix(path):
        return _list_rows(source, [(source, "")])
    found = sort_files(fs, iter([(posixpath.basename(path), path)]))
    if found.tracks:
        return _finished(source, found)
    raise BadInput(
        f"input {source!r} is neither a folder, nor audio, nor a list of tracks ({', '.join(LIST_SUFFIXES)}); "
        "give one of these" + _hint(found)
    )


def _list_folder(fs: Any, root: str, source: str) -> Listing:
    found = sort_files(fs, walk(fs, root))
    if found.tracks:
        return _finished(source, found)
    tables = [(path, key) for key, path in sorted(found.lists) if key.lower().endswith(".parquet")]
    if tables:
        return _list_rows(source, [(full_path(fs, path), key) for path, key in tables])
    seen = (
        f"only {sum(found.ignored.values())} other files ({_summary(found.ignored)})"
        if found.ignored
        else "no files at all"
    )
    raise BadInput(
        f"folder {source!r} holds {seen}; expected audio such as {', '.join(sorted(AUDIO_SUFFIXES)[:8])}{_hint(found)}"
    )


def _list_glob(fs: Any, pattern: str, source: str) -> Listing:
    paths = sorted(p for p in fs.glob(pattern) if not fs.isdir(p))
    if not paths:
        raise BadInput(
            f"glob {source!r} matches no file; quote it so that the shell leaves it alone, and check its folder"
        )
    fixed = pattern.split("*")[0].split("?")[0].split("[")[0]
    root = posixpath.dirname(fixed)
    files = [(posixpath.relpath(path, root), path) for path in paths]
    if all(list_suffix(path) for path in paths):
        return _list_rows(source, [(full_path(fs, path), key) for key, path in files])
    found = sort_files(fs, iter(files))
    if not found.tracks:
        raise BadInput(
            f"glob {source!r} matches {len(paths)} files, none of them audio ({_summary(found.ignored)}){_hint(found)}"
        )
    return _finished(source, found)


def _list_rows(source: str, lists: list[tuple[str, str]]) -> Listing:
    """The tracks of one list, or of several, each (URL, its name among them)."""
    reader = ListReader()
    for url, name in lists:
        reader.read(url, among=name if len(lists) > 1 else "")
    tracks, rejects, repeated = reader.gathered()
    if not tracks:
        if not rejects:
            raise BadInput(f"list {source!r} has no rows; expected one a track")
        counts = Counter(reject.reason for reject in rejects)
        raise BadInput(
            f"list {source!r} has {reader.rows} rows and no usable one ({_summary(counts)}); "
            f"the first: {rejects[0].detail}"
        )
    return Listing(
        source=source,
        tracks=tracks,
        rejects=rejects,
        repeated_rows=repeated,
        columns=reader.columns,
        unused_columns=dict(sorted(reader.unused.items())),
        notes=tuple(reader.notes),
    )


def _finished(source: str, found: Found) -> Listing:
    notes = [notes_hint(found.ignored)]
    if beside := [key for key, _ in found.lists if "/" not in key and posixpath.splitext(key)[0] == "metadata"]:
        notes.append(f"{beside[0]} lies in the folder and is not read; give it as the input for what it says of tracks")
    return Listing(
        source=source,
        tracks=found.tracks.selected(found.tracks.by_id()[0]),
        ignored=dict(sorted(found.ignored.items())),
        notes=tuple(filter(None, notes)),
    )


def _hint(found: Found) -> str:
    hint = notes_hint(found.ignored)
    return f"; {hint}" if hint else ""


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:5])
