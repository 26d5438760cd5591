"""Which tracks of a crate are meant: by id, hash, artist, name, video, or a list of those."""

from __future__ import annotations

import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import fsspec
import pyarrow as pa

from pipeline.curation.takedown import Known
from pipeline.errors import BadInput
from pipeline.parquet import read_table

__all__ = ["choose", "read_list"]


def choose(
    known: Mapping[str, Known],
    *,
    tracks: Iterable[str] = (),
    hashes: Iterable[str] = (),
    artists: Iterable[str] = (),
    keys: Iterable[str] = (),
    ytids: Iterable[str] = (),
    lists: Iterable[str] = (),
    removed: frozenset[str] | set[str] = frozenset(),
) -> set[str]:
    """Ids of the tracks that are meant. Raises BadInput for a name that no track has.

    removed: ids that were taken down before; asking for them again is no mistake. Of a list, what the crate has counts:
    another crate's list names tracks of its own.
    """
    by_hash: dict[str, list[str]] = {}
    by_artist: dict[str, list[str]] = {}
    for track, about in known.items():
        by_hash.setdefault(about.source_sha256, []).append(track)
        for artist in about.artists:
            by_artist.setdefault(_plain(artist), []).append(track)
    by_key = {about.track.key: track for track, about in known.items()}
    found: set[str] = set()

    def take(what: str, value: str, ids: Sequence[str]) -> None:
        if not ids:
            raise BadInput(f"no track of the crate has the {what} {value!r}; nothing was taken out")
        found.update(ids)

    for track in tracks:
        if track not in removed:
            take("id", track, [track] if track in known else [])
    for sha256 in hashes:
        take("source sha256", sha256, by_hash.get(sha256.lower(), []) if sha256 else [])
    for artist in artists:
        take("artist", artist, by_artist.get(_plain(artist), []))
    for key in keys:
        take("name", key, [by_key[key]] if key in by_key else [])
    for ytid in ytids:
        take("video id", ytid, [track for key, track in by_key.items() if ytid in posixpath.basename(key)])
    for name in lists:
        ids, shas = read_list(name)
        found |= {track for track in ids if track in known}
        found |= {track for sha in shas for track in by_hash.get(sha, [])}
    return found


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def read_list(name: str) -> tuple[list[str], list[str]]:
    """Track ids and sha256s."""
    try:
        with fsspec.open(name, "rb") as file:
            data = file.read()
        if name.endswith(".parquet"):
            table = read_table(io.BytesIO(data))
            rows = table.to_pylist()
            columns = table.column_names
        elif name.endswith((".csv", ".tsv")):
            reader = csv.DictReader(
                io.StringIO(data.decode("utf-8-sig")), delimiter="," if name.endswith("csv") else "\t"
            )
            rows, columns = list(reader), list(reader.fieldnames or [])
        else:
            words = data.decode("utf-8-sig").split()
            return [w for w in words if len(w) != 64], [w for w in words if len(w) == 64]
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise BadInput(f"the list {name} cannot be read ({str(error).splitlines()[0]})") from error
    if not {"track_id", "source_sha256"} & set(columns):
        has = ", ".join(columns) or "(none)"
        raise BadInput(f"the list {name} has the columns {has}; expected track_id or source_sha256")
    values = [[str(row[c]) for row in rows if row.get(c)] for c in ("track_id", "source_sha256")]
    return values[0], values[1]
