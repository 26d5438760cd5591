"""One crate and one of its label runs, read row group by row group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion.data.clip_table import (
    GROUPS,
    LARGE_TRACKS,
    MadeSplit,
    Part,
    Split,
    kept_split,
    note_checked,
    was_checked,
)
from diffusion.data.holdout import Runs, RunsSeen, part_tracks
from diffusion.data.text_batch import ClipTexts
from pipeline.crate.crate import CLIPS, LABELS, Crate, label_runs, read_run
from pipeline.crate.schema import audio_channels, audio_columns
from pipeline.crate.shards import part_name
from pipeline.curation.tables import find_split, tables_hash
from pipeline.errors import BadInput, CrateMismatch
from pipeline.parquet import parquet_file
from pipeline.threads import in_order

__all__ = ["CrateClips", "Group"]

_READERS = 8
_HASH_UP_TO_BYTES = 4 << 30
"""Crates up to this size are compared with their markers' sha256 when they are opened; larger ones by size alone, and
`cratedig verify` does the rest."""


@dataclass(frozen=True)
class Group:
    """A row group in memory: still FLAC."""

    clip_ids: list[str]
    flac: dict[int, Any]
    """Sample rate in Hz -> an arrow array of FLAC bytes."""
    texts: list[ClipTexts]


class CrateClips:
    """Clips of a crate with the audio rates and the label run that a stage needs.

    Raises BadInput or CrateMismatch, with the remedy, for a crate that is unfinished, changed, or lacks what is asked.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        rates_hz: Sequence[int],
        *,
        labels: str | None = None,
        text: bool = True,
        stereo: bool = False,
        check_hashes: bool | None = None,
    ) -> None:
        self.crate = Crate.open(root)
        self.url = self.crate.storage.url
        self.clip_s = self.crate.config.clip_s
        by_rate = {rate: column for column, rate in audio_columns(self.crate.config).items()}
        if missing := [rate for rate in rates_hz if rate not in by_rate]:
            raise CrateMismatch(
                f"{self.url} has audio at {', '.join(map(str, by_rate))} Hz, the stage needs {missing[0]} Hz; "
                f"mine it again with that rate among its sample rates"
            )
        if stereo and audio_channels(self.crate.config)[by_rate[rates_hz[0]]] == 1:
            raise CrateMismatch(
                f"{self.url} has mono audio at {rates_hz[0]} Hz, the stage makes stereo; mine it again with --stereo, "
                "or train without"
            )
        self._columns = {rate: by_rate[rate] for rate in rates_hz}
        self.crate.require_settled()
        self._large = self.crate.tracks > LARGE_TRACKS
        if not self._large:
            self.crate.require_clips()
        self.labels = self._choose_labels(labels) if text else None
        run = read_run(self.crate, self.labels) if self.labels else {}
        manifest = "manifest.json"
        made = self.crate.storage.sha256(manifest) if self._large and self.crate.storage.exists(manifest) else ""
        self._state = [self.crate.clips_hash, made]  # sources mended since change the clips, and the manifest
        seen = [*self._state, self.labels, run.get("run_hash")]
        if not (self._large and was_checked(seen)):
            if self._large:
                self.crate.require_clips()
            folders = [CLIPS] + ([f"{LABELS}/{self.labels}"] if self.labels else [])
            self._check_files(folders, check_hashes)
            if self._large:
                note_checked(seen)
        self._slots = _slot_kinds(run)
        self.labels_hash: str | None = run.get("run_hash")

    def split(
        self, holdout_share: float, *, table: str = "", duplicates: bool = False, contaminated: bool = False
    ) -> Split:
        """By the split called `table`, else by hash, so that no track is in two parts, nor is another copy of it: files
        of the same title and artist, and those that `cratedig dedup` found, are one track here. None changes its part
        when the crate grows.

        duplicates, contaminated: train on doubles, and on what stands in an evaluation set, all the same.
        """
        curation = tables_hash(self.crate, duplicates=not duplicates, contaminated=not contaminated)
        given = ""
        if table:
            storage, file = find_split(self.crate, table)
            given = storage.sha256(file)
        identity = {
            "clips": self._state, "share": holdout_share, "split": [table, given], "curation": curation,
            "duplicates": duplicates, "contaminated": contaminated,
        }  # fmt: skip

        def make() -> MadeSplit:
            groups, runs = self._all_tracks()
            if not len(groups):
                raise BadInput(f"{self.url} holds no clip; its input had none that could be used: see its report")
            found = part_tracks(
                self.crate, runs, holdout_share, split=table, duplicates=duplicates, contaminated=contaminated
            )
            return MadeSplit.of(groups, runs.clips_R, found)

        return kept_split(identity, make, keep=self._large)

    def _all_tracks(self) -> tuple[NDArray[Any], Runs]:
        """Row groups that have a clip, and the tracks in their order."""
        groups, seen, first = bytearray(), RunsSeen(), 0
        looks = in_order(self._tracks_of, iter(self.crate.shards), at_once=_READERS)
        for shard, rows, sizes in looks:
            here = [(shard, n, first + sum(sizes[:n]), size) for n, size in enumerate(sizes) if size]
            groups += np.array(here, GROUPS).tobytes()
            first += sum(sizes)
            for track, of_it in groupby(rows, key=lambda row: str(row["track_id"])):
                its = list(of_it)
                seen.add(track, _recording(**its[0]), len(its))
        return np.frombuffer(bytes(groups), GROUPS), seen.runs()

    def _tracks_of(self, shard: int) -> tuple[int, list[dict[str, Any]], list[int]]:
        file = self._file(CLIPS, shard)
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        columns = ["track_id", "title", "artist"]
        rows = [row for group in range(len(sizes))
                for row in file.read_row_group(group, columns=columns, use_threads=False).to_pylist()]  # fmt: skip
        return shard, rows, sizes

    def load(self, part: Part) -> Group:
        """Read one row group: a slice of the file, its audio not yet decoded."""
        columns = ["clip_id", *(f"{column}.bytes" for column in self._columns.values())]
        table = self._read(CLIPS, part.shard, part.group, columns)
        ids = table.column("clip_id").to_pylist()
        flac = {rate: table.column(column).combine_chunks().field("bytes") for rate, column in self._columns.items()}
        return Group(ids, flac, self._texts(part.shard, part.group, ids) if self.labels else [ClipTexts()] * len(ids))

    def all_texts(self, shards: Iterable[int]) -> Iterator[tuple[str, ClipTexts]]:
        """Track and texts of every clip of some shards, without touching audio: what a sidecar has to hold."""
        for shard in shards:
            for group in range(self._file(CLIPS, shard).num_row_groups):
                rows = self._read(CLIPS, shard, group, ["clip_id", "track_id"]).to_pylist()
                texts = self._texts(shard, group, [row["clip_id"] for row in rows])
                yield from zip((row["track_id"] for row in rows), texts, strict=True)

    def _texts(self, shard: int, group: int, ids: list[str]) -> list[ClipTexts]:
        folder = f"{LABELS}/{self.labels}"
        rows = self._read(folder, shard, group, None).to_pylist()
        if [row["clip_id"] for row in rows] != ids:
            raise CrateMismatch(
                f"{self.url}/{part_name(*self.crate.at(folder, shard))} does not have the clips of its shard "
                f"in their order; label it again: cratedig label {self.url}"
            )
        return [self._texts_of(row) for row in rows]

    def _texts_of(self, row: dict[str, Any]) -> ClipTexts:
        chosen = {kind: [label["text"] for name, k in self._slots.items() if k == kind for label in row.get(name) or ()]
                  for kind in ("long", "short")}  # fmt: skip
        return ClipTexts(
            long=tuple(chosen["long"]),
            short=(*(row.get("metadata") or ()), *chosen["short"]),
            prompt=row.get("prompt") or "",
        )

    def _read(self, folder: str, shard: int, group: int, columns: list[str] | None) -> Any:
        return self._file(folder, shard).read_row_group(group, columns=columns, use_threads=False)

    def _file(self, folder: str, shard: int) -> Any:
        name = part_name(*self.crate.at(folder, shard))
        storage = self.crate.storage
        try:
            return parquet_file(storage.path(name) if storage.is_local else storage.open(name))
        except (OSError, ValueError) as error:
            raise CrateMismatch(
                f"{self.url}/{name} cannot be read ({error}); run `cratedig verify {self.url}`"
            ) from error

    def _choose_labels(self, labels: str | None) -> str:
        found = label_runs(self.crate)
        if not found:
            raise BadInput(
                f"{self.url} has no labels, and this stage trains on text; make them: cratedig label {self.url}"
            )
        if labels is None and len(found) > 1:
            raise BadInput(f"{self.url} has the label runs {', '.join(found)}; choose one: --labels {found[0]}")
        if labels is not None and labels not in found:
            raise BadInput(f"{self.url} has no label run {labels!r}; there are: {', '.join(found)}")
        return labels or found[0]

    def _maker(self, folder: str) -> str:
        """The command that writes a folder's shards."""
        if folder == CLIPS:
            return f"cratedig clips {self.url}"
        return f"cratedig label {self.url} --name {folder.rpartition('/')[2]}"

    def _check_files(self, folders: list[str], check_hashes: bool | None) -> None:
        """Every shard finished and as its marker says: missing and changed files are named."""
        storage = self.crate.storage
        total = sum(file["bytes"] for folder in folders for _, file in self._marked(folder))
        hashes = total <= _HASH_UP_TO_BYTES if check_hashes is None else check_hashes
        for folder in folders:
            for name, file in self._marked(folder):
                if not storage.exists(name):
                    raise CrateMismatch(
                        f"{self.url}/{name} is missing; restore it, or make it again: {self._maker(folder)}"
                    )
                if storage.size(name) != file["bytes"] or (hashes and storage.sha256(name) != file["sha256"]):
                    raise CrateMismatch(
                        f"{self.url}/{name} was changed after it was written; delete it and make it again: "
                        f"{self._maker(folder)}"
                    )

    def _marked(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each file and what its marker says of it. Raises CrateMismatch where there is no marker."""
        for shard, marker in enumerate(self.crate.markers(folder)):
            name = part_name(*self.crate.at(folder, shard))
            if marker is None:
                raise CrateMismatch(
                    f"{self.url}/{name} was never finished (no marker); finish it: {self._maker(folder)}"
                )
            yield name, marker["files"][name]


def _slot_kinds(run: dict[str, Any]) -> dict[str, str]:
    """Slot name -> long or short, in the order of the run's description."""
    slots = run.get("slots", {})
    kinds = {name: (value if isinstance(value, str) else value.get("kind")) for name, value in slots.items()}
    for name, kind in kinds.items():
        if kind not in ("long", "short"):
            raise CrateMismatch(f"label slot {name!r} is of kind {kind!r}; expected long or short")
    return kinds


def _recording(track_id: str, title: str, artist: str) -> str:
    """What copies of a recording have in common; where its names are not known, the track itself."""
    return f"{artist}\n{title}".casefold() if title and artist else track_id
