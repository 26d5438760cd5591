"""What of an input is new to a crate, and pouring it in.

A file is known by its name below the input's root, by where it lies, or, where it was moved or renamed, by its bytes:
a file is hashed here only where its size is that of a track whose own file is gone, or of one that was taken down.
"""

from __future__ import annotations

import operator
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec

from pipeline.audio.decode_guard import DecodeFailure
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.left_out import ROW_REJECTS, write_rejects
from pipeline.crate.plan import Pour, begin_pour, deal, pour_tracks, read_pour, row_digest, write_pour
from pipeline.crate.removed import read_removed
from pipeline.crate.seals import sealed_files
from pipeline.ids import track_id
from pipeline.parquet import read_table
from pipeline.records import Track
from pipeline.source.fetch import fetched
from pipeline.source.listing import Listing

__all__ = ["Compared", "compare", "pour"]


@dataclass(kw_only=True)
class Compared:
    """An input beside a crate."""

    new: Sequence[Track] = field(default_factory=list)
    """By their ids."""
    known: int = 0
    """Tracks that stand in the crate under the same name, or lie where one of its tracks lies."""
    moved: list[tuple[str, str]] = field(default_factory=list)
    """(key in the crate, key in the input) of files that were recognised by their bytes."""
    other_words: int = 0
    """Known tracks of which the input's list says something else now; they stand as they were mined."""
    namesakes: int = 0
    """New files under the name of another track, which lies elsewhere; their keys got the input's name in front."""
    barred: int = 0
    """Files that were taken down, under this name or another."""
    gone: list[Track] = field(default_factory=list)
    """Tracks that came from this very input and are not in it any more."""
    replaced: list[str] = field(default_factory=list)
    """Keys of known tracks whose files hold other bytes now than their clips were cut from."""
    paths: dict[str, str] = field(default_factory=dict)
    """Track id -> where its file lies now, if elsewhere than planned."""

    def lines(self) -> list[str]:
        """For people; nothing where nothing is remarkable."""
        said = [
            (self.known, "known already, kept as mined"),
            (len(self.moved), "known by their bytes under another name, kept as mined"),
            (self.other_words, "of them with other words in the list now; to have those, mine into another folder"),
            (self.namesakes, "new under the name of another track: the input's name stands before theirs"),
            (self.barred, "were taken down: not mined again"),
            (len(self.gone), "not in the input any more, kept (--drop-missing takes them down)"),
        ]
        lines = [f"{count:,} tracks {what}" for count, what in said if count]
        if self.replaced:
            lines.append(
                f"{len(self.replaced):,} of them have other bytes in their files now, such as {self.replaced[0]}: kept "
                "as mined; to have the new ones, too, rename them, or mine into another folder"
            )
        return lines


def compare(crate: Crate, listing: Listing) -> Compared:
    """Reads the plan, and the identity columns of the clips where a file's bytes decide."""
    if _stands(crate, listing):
        return Compared(known=crate.tracks)
    found = Compared()
    known = {
        track.track_id: track for number in range(len(crate.pours)) for track in pour_tracks(crate.storage, number)
    }
    by_path = {track.path: track for track in known.values()}
    removals = read_removed(crate.storage)
    removed_ids = {removal.track_id for removal in removals}
    contents = _Contents(crate)
    seen, strangers = set[str](), list[Track]()
    for track in listing.tracks:
        resolved, namesake = _named(track, known, removed_ids, contents, listing)
        if resolved.track_id in removed_ids:
            found.barred += 1
        elif (old := known.get(resolved.track_id) or by_path.get(track.path)) is not None:
            found.known += 1
            seen.add(old.track_id)
            if old.path != track.path:
                found.paths[old.track_id] = track.path
            if old.path == track.path and contents.replaced(old):
                found.replaced.append(old.key)
            found.other_words += old.key == resolved.key and row_digest(old) != row_digest(resolved)
        else:
            found.namesakes += namesake
            strangers.append(resolved)
    lost = [old for old in known.values() if old.track_id not in seen] if strangers else []
    _recognise(strangers, lost, {(r.source_bytes, r.source_sha256) for r in removals}, contents, found)
    back = {old_key for old_key, _ in found.moved}
    here = _from_source(crate, listing.source)
    found.gone = [
        old for old in known.values() if old.track_id in here and old.track_id not in seen and old.key not in back
    ]
    return found


def _stands(crate: Crate, listing: Listing) -> bool:
    """Whether the input is, track for track, what stands in the crate: so it is when a run is taken up."""
    if crate.removed or crate.tracks != len(listing.tracks):
        return False
    standing = (track for number in range(len(crate.pours)) for track in pour_tracks(crate.storage, number))
    return all(map(operator.eq, listing.tracks, standing))


def _named(
    track: Track, known: dict[str, Track], removed: set[str], contents: _Contents, listing: Listing
) -> tuple[Track, bool]:
    """The track under a key of its own: its key in the input, unless another file has that name in the crate."""
    name = posixpath.splitext(posixpath.basename(listing.source.rstrip("/")))[0] or "input"
    candidate, number = track, 1
    while (old := known.get(candidate.track_id)) is not None and not contents.same(old, track):
        key = f"{name}/{track.key}" if number == 1 else f"{name}-{number}/{track.key}"
        candidate, number = replace(track, key=key, track_id=track_id(key)), number + 1
    return candidate, candidate is not track


def _recognise(
    strangers: list[Track], lost: list[Track], barred: set[tuple[int, str]], contents: _Contents, found: Compared
) -> None:
    """Tell moved files and removed ones from new ones. Each lost track is found again at most once."""
    new: list[Track] = []
    of_size: dict[int, list[Track]] = {}
    if strangers:
        for old in lost:
            if (size := contents.size(old.track_id)) is not None:
                of_size.setdefault(size, []).append(old)
    barred_sizes = {size for size, sha256 in barred if sha256}
    for track in strangers:
        size = _size(track.path) if of_size or barred_sizes else None
        likely = [old for old in of_size.get(size or -1, []) if _size(old.path) is None]
        sha256 = _sha256(track.path) if size is not None and (likely or size in barred_sizes) else ""
        twin = next((old for old in likely if contents.sha256(old.track_id) == sha256), None) if sha256 else None
        if sha256 and (size, sha256) in barred:
            found.barred += 1
        elif twin is not None and size is not None:
            of_size[size].remove(twin)
            found.moved.append((twin.key, track.key))
            found.paths[twin.track_id] = track.path
        else:
            new.append(track)
    found.new = sorted(new, key=lambda track: track.track_id)


class _Contents:
    """Size and hash of the files that the crate's clips were cut from, read when first asked for."""

    def __init__(self, crate: Crate) -> None:
        self._crate = crate
        self._of: dict[str, tuple[int, str, float]] | None = None

    def size(self, track: str) -> int | None:
        """None where the track has no clip."""
        found = self._all().get(track)
        return found[0] if found else None

    def sha256(self, track: str) -> str:
        return self._all().get(track, (0, "", 0.0))[1]

    def replaced(self, old: Track) -> bool:
        """Whether a file that lies where it was has other bytes: told by its size, and by its hash where it was written
        after the clips were cut. Local files of local crates only: elsewhere each look is a request."""
        local = old.path.removeprefix("file://")
        if not self._crate.storage.is_local or "://" in local or (known := self._all().get(old.track_id)) is None:
            return False
        try:
            there = Path(local).stat()
        except OSError:
            return False
        size, sha256, cut_at = known
        return there.st_size != size or (there.st_mtime > cut_at and _sha256(old.path) not in ("", sha256))

    def same(self, old: Track, new: Track) -> bool:
        """Whether a file of the input under a known name is the known file, which may lie elsewhere now."""
        if old.path == new.path:
            return True
        size, known, there = _size(new.path), self.size(old.track_id), _size(old.path)
        if there is None:
            return known is None or size == known
        if size != (there if known is None else known):
            return False
        return _sha256(new.path) == (self.sha256(old.track_id) or _sha256(old.path))

    def _all(self) -> dict[str, tuple[int, str, float]]:
        if self._of is None:
            self._of = dict(self._read())
        return self._of

    def _read(self) -> Iterator[tuple[str, tuple[int, str, float]]]:
        """Size and hash by track, and when its shard was written, by the machine's clock; that enters no byte."""
        crate, columns = self._crate, ["track_id", "source_bytes", "source_sha256"]
        for shard, marker in enumerate(crate.markers(CLIPS)):
            if marker is not None:
                with crate.storage.open(crate.clips_part(shard)) as file:
                    values = [column.to_pylist() for column in read_table(file, columns).columns]
                part = Path(crate.storage.path(crate.clips_part(shard)))
                cut_at = part.stat().st_mtime if crate.storage.is_local else 0.0
                yield from ((track, (size, sha256, cut_at)) for track, size, sha256 in zip(*values, strict=True))


def _from_source(crate: Crate, source: str) -> set[str]:
    """Ids of the tracks that came in from an input of that name."""
    pours = [number for number, pour in enumerate(crate.pours) if pour.source == source]
    return {track.track_id for number in pours for track in pour_tracks(crate.storage, number)}


def _size(path: str) -> int | None:
    """None where there is no such file, or nothing says how large it is."""
    try:
        fs, name = fsspec.core.url_to_fs(path)
        size: Any = fs.info(name).get("size")
    except (OSError, ValueError):
        return None
    return None if size is None else int(size)


def _sha256(path: str) -> str:
    """Empty where the file cannot be read: mining it will say why."""
    try:
        with fetched(path) as (_, sha256, _size):
            return sha256
    except DecodeFailure:
        return ""


def pour(crate: Crate, listing: Listing, *, tracks_per_shard: int | None = None) -> tuple[Crate, Compared]:
    """Plan what is new in `listing` as further pours; nothing where all of it is known.

    A run that is killed here leaves the crate as it was: its header, which names the pours, is written last.
    """
    with crate.storage.lock():
        found = compare(crate, listing) if crate.pours else Compared(new=listing.tracks)
        pours = list(crate.pours)
        if found.paths:
            pours = [_with_paths(crate, number, found.paths) for number in range(len(pours))]
        for tracks, shards in deal(found.new, tracks_per_shard):
            pours.append(begin_pour(crate.storage, len(pours), tracks, shards, listing.source))
        poured = replace(crate, pours=tuple(pours), listed=_listed(crate, listing))
        if poured != crate or not crate.pours:
            poured.write_header()
    return poured, found


def _listed(crate: Crate, listing: Listing) -> dict[str, Any]:
    """What the header says of the input; the rows of its list that name no usable track go to a file of their own."""
    listed = listing.as_dict()
    if listing.rejects:
        with crate.storage.write(ROW_REJECTS) as file:
            write_rejects(file, listing.rejects)
        listed["files"] = sealed_files({ROW_REJECTS: file})
    elif crate.storage.exists(ROW_REJECTS):
        crate.storage.remove(ROW_REJECTS)
    return listed


def _with_paths(crate: Crate, number: int, paths: dict[str, str]) -> Pour:
    """A pour whose files may lie elsewhere now."""
    rows = read_pour(crate.storage, number)
    if not any(row["track_id"] in paths for row in rows):
        return crate.pours[number]
    rows = [row | {"path": paths.get(row["track_id"], row["path"])} for row in rows]
    return replace(crate.pours[number], sha256=write_pour(crate.storage, number, rows).sha256)
