"""An export as a folder: begun, taken up where it was left, refused where something else lies there, finished, read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import ValidationError

from pipeline.crate.crate import CLIPS, LABELS, Crate, read_run
from pipeline.crate.manifest import hash_by_markers
from pipeline.crate.plan import place
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import read_all, undone
from pipeline.errors import BadInput, CrateMismatch
from pipeline.export.layouts.by_name import layout_of
from pipeline.export.select import tables_said
from pipeline.export.shard import SHARDS
from pipeline.export.spec import EXPORT_VERSION, ExportSpec
from pipeline.ids import content_hash
from pipeline.publishing.published import read_published
from pipeline.storage import Storage

__all__ = ["HEADER", "Export", "begin_export", "is_export", "shard_hashes", "shards_to_do"]

HEADER = "export.json"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What export.json says."""

    storage: Storage
    spec: ExportSpec
    pour_shards: tuple[int, ...]
    """Shards of each of the crate's pours; an export has the same."""
    crate: Mapping[str, Any]
    """Of the crate that it comes from: base_hash, pours, content_hash, run_hash of its labels, embedding dimension, and
    what its publisher said."""
    counts: Mapping[str, int]
    """Over all shards; empty until the export is finished."""
    files: Mapping[str, Mapping[str, Any]]
    """What was written after the shards: name -> sha256 and bytes."""

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Export:
        """Raises BadInput where there is none, CrateMismatch where it cannot be understood."""
        storage = Storage(root)
        if not is_export(storage):
            raise BadInput(
                f"{storage.url} is no export (no {HEADER} in it); make one: cratedig export hf CRATE --out DIR"
            )
        header = read_sealed(storage, HEADER)
        try:
            if header["export_version"] != EXPORT_VERSION:
                raise CrateMismatch(
                    f"{storage.url} is an export of version {header['export_version']}, this cratedig reads and writes "
                    f"{EXPORT_VERSION}; export into another folder"
                )
            return cls(
                storage=storage,
                spec=ExportSpec.model_validate(header["spec"]),
                pour_shards=tuple(header["pour_shards"]),
                crate=header["crate"],
                counts=header.get("counts") or {},
                files=header.get("files") or {},
            )
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise CrateMismatch(
                f"{storage.url}/{HEADER} cannot be understood ({str(error).splitlines()[0]}); "
                "export into another folder"
            ) from error

    @property
    def shards(self) -> int:
        return sum(self.pour_shards)

    def at(self, shard: int) -> tuple[str, int, int]:
        """Where a shard's marker lies, as `pipeline.crate.shards` takes it; more pours leave it where it is."""
        return place(SHARDS, shard, self.pour_shards)

    @property
    def finished(self) -> bool:
        return bool(self.counts)

    def markers(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Each shard's marker, None where it has none."""
        yield from enumerate(read_all(self.storage, map(self.at, range(self.shards))))

    def data_files(self) -> Iterator[str]:
        """Names of all files of the shards, in their order."""
        for _, marker in self.markers():
            yield from sorted(marker["files"]) if marker else ()

    def samples(self, limit: int) -> list[tuple[dict[str, Any], bytes]]:
        """(fields, audio) of the first examples, read back from the files by our own small reader."""
        layout = layout_of(self.spec, int(self.crate["dimension"]))
        found: list[tuple[dict[str, Any], bytes]] = []
        for name in self.data_files():
            if len(found) < limit:
                found += list(layout.read(self.storage, name, limit - len(found)))
        return found

    def sweep(self) -> None:
        """Remove what interrupted writers left, in every folder of the export."""
        root = self.storage.path("").rstrip("/")
        for folder, _, names in self.storage.fs.walk(root):
            for name in names:
                if name.startswith(".tmp-"):
                    self.storage.fs.rm(f"{folder}/{name}")

    def write(self) -> None:
        write_sealed(
            self.storage,
            HEADER,
            {
                "export_version": EXPORT_VERSION,
                "spec": self.spec.model_dump(mode="json"),
                "pour_shards": list(self.pour_shards),
                "crate": dict(self.crate),
                "counts": dict(self.counts),
                "files": dict(self.files),
            },
        )


def is_export(storage: Storage) -> bool:
    return storage.exists(HEADER)


def begin_export(crate: Crate, out: str | os.PathLike[str], spec: ExportSpec) -> Export:
    """Begin an export of `crate` at `out`, or take up the very same one.

    Raises BadInput where something else lies there, CrateMismatch where it is another export or of another crate.
    """
    storage = Storage(out)
    said = {
        "base_hash": crate.base_hash,
        "pours": [pour.hash for pour in crate.pours],
        "content_hash": hash_by_markers(crate),
        "labels_hash": read_run(crate, spec.labels)["run_hash"],
        "dimension": crate.embedder.dimension,
        "published": read_published(crate.storage),
    }
    export = Export(storage=storage, spec=spec, pour_shards=crate.pour_shards, crate=said, counts={}, files={})
    if is_export(storage):
        found = Export.open(out)
        _refuse_other(found, export)
        export = replace(export, files=found.files)
    elif storage.exists("crate.json"):
        raise BadInput(f"{storage.url} is a crate; give --out a new or empty folder")
    elif names := [name for name in storage.list("") if not name.startswith(".")]:
        raise BadInput(
            f"{storage.url} is not empty and no export (it holds {names[0]!r}); give --out a new or empty folder"
        )
    export.write()
    return export


def _refuse_other(found: Export, wanted: Export) -> None:
    before = found.crate["pours"]
    if found.crate["base_hash"] != wanted.crate["base_hash"] or wanted.crate["pours"][: len(before)] != before:
        what = f"comes from another crate, with the content {found.crate['content_hash']}"
    elif difference := found.spec.differs(wanted.spec):
        name, old, new = difference
        what = f"was made with {name}={old!r}, asked for is {new!r}"
    else:
        return
    raise CrateMismatch(f"the export at {found.storage.url} {what}; give --out another folder")


def shard_hashes(crate: Crate, spec: ExportSpec) -> Callable[[int], str]:
    """For each shard a hash of all that determines its bytes: the choices, the tables of curation, its own input."""
    tables = tables_said(crate, spec)

    @cache
    def inputs_of(folder: str, pour: int) -> list[list[str]]:
        """The sha256 of the files of each shard of a pour."""
        first = sum(crate.pour_shards[:pour])
        at = [crate.at(folder, first + number) for number in range(crate.pour_shards[pour])]
        markers = read_all(crate.storage, at)
        return [sorted(wrote["sha256"] for wrote in marker["files"].values()) if marker else [] for marker in markers]

    def hash_of(index: int) -> str:
        pour = crate.pour_of(index)
        number = crate.at(CLIPS, index)[1]
        inputs = [inputs_of(folder, pour)[number] for folder in (CLIPS, f"{LABELS}/{spec.labels}")]
        return content_hash([spec.data_hash, tables, *inputs])

    return hash_of


def shards_to_do(crate: Crate, export: Export) -> list[int]:
    """Shards without a marker, or whose choices or input have changed since."""
    hash_of = shard_hashes(crate, export.spec)
    return undone(export.storage, map(export.at, crate.shards), hash_of)
