"""What the input holds: a folder, a glob, one file, or a CSV/Parquet manifest, local or by fsspec URL."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec

from pipeline.errors import BadInput
from pipeline.ids import track_id
from pipeline.records import Track

__all__ = ["AUDIO_SUFFIXES", "Listing", "list_input"]

AUDIO_SUFFIXES = frozenset(
    ".aac .ac3 .aif .aifc .aiff .alac .ape .au .caf .flac .m4a .m4b .mka .mp2 .mp3 .mp4 .oga .ogg .opus .snd .tta .wav "
    ".wave .webm .wma .wv".split()
)
_MANIFEST_SUFFIXES = (".csv", ".tsv", ".parquet")
_KNOWN_COLUMNS = ("path", "title", "artist", "tags", "licence")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The tracks of an input, ordered by id, and what was seen but is no track."""

    source: str
    tracks: tuple[Track, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Files that are no tracks, by their name: suffix (or `hidden`, `name is not UTF-8`) -> count."""
    repeated_rows: int = 0
    """Manifest rows that say again what an earlier row said."""


def list_input(source: str) -> Listing:
    """List `source`; the order and the ids depend on the paths below its root alone (not on where that root lies).

    Raises BadInput for an input that is missing, empty, or contradicts itself.
    """
    fs, path = fsspec.core.url_to_fs(source)
    if not fs.exists(path) and any(c in source for c in "*?["):
        return _list_glob(fs, path, source)
    if not fs.exists(path):
        raise BadInput(
            f"input {source!r} does not exist; give a folder, a glob, an audio file or a CSV/Parquet manifest"
        )
    if fs.isdir(path):
        return _list_folder(fs, path, source)
    suffix = posixpath.splitext(path)[1].lower()
    if suffix in _MANIFEST_SUFFIXES:
        return _list_manifest(fs, path, source, suffix)
    if suffix in AUDIO_SUFFIXES:
        return _finished(source, [_track(fs, posixpath.basename(path), path)], Counter())
    raise BadInput(
        f"input {source!r} is neither a folder, nor audio, nor a manifest ({', '.join(_MANIFEST_SUFFIXES)}); "
        "give one of these"
    )


def _list_folder(fs: Any, root: str, source: str) -> Listing:
    tracks, ignored = [], Counter[str]()
    for path in fs.find(root):
        key = posixpath.relpath(path, root)
        if why := _why_ignored(key):
            ignored[why] += 1
        else:
            tracks.append(_track(fs, key, path))
    if not tracks:
        seen = f"only {sum(ignored.values())} other files ({_summary(ignored)})" if ignored else "no files at all"
        raise BadInput(
            f"folder {source!r} holds {seen}; expected audio such as {', '.join(sorted(AUDIO_SUFFIXES)[:8])}"
        )
    return _finished(source, tracks, ignored)


def _list_glob(fs: Any, pattern: str, source: str) -> Listing:
    paths = [p for p in fs.glob(pattern) if not fs.isdir(p)]
    if not paths:
        raise BadInput(
            f"glob {source!r} matches no file; quote it so that the shell leaves it alone, and check its folder"
        )
    fixed = pattern.split("*")[0].split("?")[0].split("[")[0]
    root = posixpath.dirname(fixed)
    tracks, ignored = [], Counter[str]()
    for path in paths:
        key = posixpath.relpath(path, root)
        if why := _why_ignored(key):
            ignored[why] += 1
        else:
            tracks.append(_track(fs, key, path))
    if not tracks:
        raise BadInput(f"glob {source!r} matches {len(paths)} files, none of them audio ({_summary(ignored)})")
    return _finished(source, tracks, ignored)


def _why_ignored(key: str) -> str:
    """Why a file is no track, judged by its name; empty where it is one."""
    suffix = posixpath.splitext(key)[1].lower()
    if any(part.startswith(".") for part in key.split("/")):
        return "hidden"
    if suffix not in AUDIO_SUFFIXES:
        return suffix or "no suffix"
    try:
        key.encode()
    except UnicodeEncodeError:
        return "name is not UTF-8"  # no Parquet file can hold it
    return ""


def _list_manifest(fs: Any, path: str, source: str, suffix: str) -> Listing:
    rows = _parquet_rows(fs, path, source) if suffix == ".parquet" else _csv_rows(fs, path, source, suffix)
    folder = posixpath.dirname(path)
    by_key: dict[str, tuple[int, Track]] = {}
    repeated = 0
    for number, row in rows:
        given = str(row.get("path") or "").strip()
        if not given:
            raise BadInput(f"{source} row {number} has no path; every row needs one")
        track = _manifest_track(fs, folder, given, row)
        first = by_key.setdefault(track.key, (number, track))
        if first[0] == number:
            continue
        if first[1] != track:
            raise BadInput(
                f"{source} rows {first[0]} and {number} both describe {given!r} and differ; keep one row for a track"
            )
        repeated += 1
    if not by_key:
        raise BadInput(f"manifest {source!r} has no rows; expected a column 'path' and one row a track")
    return _finished(source, [track for _, track in by_key.values()], Counter(), repeated)


def _csv_rows(fs: Any, path: str, source: str, suffix: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        text = fs.cat_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source} is not UTF-8 (byte {error.start}); save the manifest as UTF-8") from error
    csv.field_size_limit(1 << 24)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",")
    _need_path_column(reader.fieldnames or [], source)
    try:
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                columns = len(reader.fieldnames or [])
                raise BadInput(f"{source} row {number} does not have the header's {columns} fields; check its quotes")
            yield number, row
    except csv.Error as error:
        raise BadInput(f"{source} row {reader.line_num} cannot be read as CSV ({error})") from error


def _parquet_rows(fs: Any, path: str, source: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa

    from pipeline.parquet import read_table

    try:
        with fs.open(path, "rb") as file:
            table = read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{source} is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    _need_path_column(table.column_names, source)
    yield from enumerate(table.to_pylist(), start=1)


def _need_path_column(columns: Iterable[str], source: str) -> None:
    if "path" not in columns:
        raise BadInput(
            f"{source} has the columns {', '.join(columns) or '(none)'}; expected 'path' "
            "and any of title, artist, tags, licence"
        )


def _manifest_track(fs: Any, folder: str, given: str, row: Mapping[str, Any]) -> Track:
    is_url = "://" in given
    path = given if is_url else posixpath.normpath(posixpath.join(folder, given))
    key = given if is_url else posixpath.normpath(given)
    extra = tuple(
        sorted(
            (k, str(v).strip()) for k, v in row.items() if k not in _KNOWN_COLUMNS and v is not None and str(v).strip()
        )
    )
    return Track(
        track_id=track_id(key),
        key=key,
        path=path if is_url else str(fs.unstrip_protocol(path)) if not _local(fs) else path,
        title=str(row.get("title") or "").strip(),
        artist=str(row.get("artist") or "").strip(),
        tags=_tags(row.get("tags")),
        licence=str(row.get("licence") or "").strip(),
        extra=extra,
    )


def _tags(value: Any) -> tuple[str, ...]:
    """Tags as a list, a JSON list, or text with `;`, `|` or `,` between them."""
    if value is None:
        return ()
    if not isinstance(value, str):
        parts: Iterable[Any] = value
    elif value.lstrip().startswith("["):
        try:
            parts = json.loads(value)
        except ValueError:
            parts = value.strip(" []").split(",")
    else:
        parts = value.split(next((mark for mark in ";|," if mark in value), ";"))
    return tuple(dict.fromkeys(text for part in parts if (text := str(part).strip(" '\""))))


def _track(fs: Any, key: str, path: str) -> Track:
    return Track(track_id=track_id(key), key=key, path=path if _local(fs) else str(fs.unstrip_protocol(path)))


def _local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _finished(source: str, tracks: list[Track], ignored: Counter[str], repeated_rows: int = 0) -> Listing:
    ordered = sorted(tracks, key=lambda track: track.track_id)
    return Listing(
        source=source, tracks=tuple(ordered), ignored=dict(sorted(ignored.items())), repeated_rows=repeated_rows
    )


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:5])
