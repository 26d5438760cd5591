"""A crate: the folder that holds a plan, its clips, rejects and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from pipeline.config import FORMAT_VERSION, ClipsConfig
from pipeline.crate.left_out import ROW_REJECTS, write_rejects
from pipeline.crate.plan import PlanSummary, plan_hash, shard_count, write_plan
from pipeline.crate.seals import read_sealed, sealed_files, write_sealed
from pipeline.crate.shards import is_done, marker_name, part_name, read_marker
from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import content_hash
from pipeline.installation import deciding_versions
from pipeline.records import EmbedderCard
from pipeline.source.listing import Listing
from pipeline.storage import Storage

__all__ = ["CANDIDATES", "CLIPS", "LABELS", "REJECTS", "RUN_FILE", "SET_FILE", "Crate", "label_runs", "read_run"]

CLIPS, REJECTS, CANDIDATES, LABELS = "clips", "rejects", "candidates", "labels"
RUN_FILE, SET_FILE = "run.json", "set.json"
"""Of a label run, of a set of candidates: what it is; a folder without one is not whole."""
_HEADER = "crate.json"


@dataclass(frozen=True, kw_only=True)
class Crate:
    """What determines a crate's content, and where it lies."""

    storage: Storage
    config: ClipsConfig
    embedder: EmbedderCard
    plan: PlanSummary
    listed: Mapping[str, Any]
    """Where the input was, and what of it was no track; for people, not for identity."""
    embedder_source: str
    """Name or path that the embedder was loaded by; its hash is what counts."""
    made_with: Mapping[str, str] = field(default_factory=deciding_versions)
    """Library -> version at the crate's beginning; another set may give its clips other last bits."""

    @property
    def clips_hash(self) -> str:
        """Of everything that determines the bytes of the clips: stands in each shard's marker."""
        return content_hash(
            {
                "format": FORMAT_VERSION,
                "config": self.config.hash(),
                "embedder": self.embedder.weights_hash,
                "plan": self.plan.hash,
            }
        )

    @property
    def shards(self) -> range:
        return range(self.plan.shards)

    def clips_part(self, index: int) -> str:
        return part_name(CLIPS, index, self.plan.shards)

    def rejects_part(self, index: int) -> str:
        return part_name(REJECTS, index, self.plan.shards)

    def clips_done(self, index: int) -> bool:
        return is_done(self.storage, CLIPS, index, self.plan.shards, self.clips_hash)

    def retry_rejects(self, reason: str = "") -> list[int]:
        """Reopen the shards with a track that was rejected as a whole, for sources that have been mended since.

        reason: only for this one; for any where it is empty.

        What was made of the clips as they were goes too: all label runs and candidates, whose counts and mean are over
        all clips. The embeddings of captions stay.
        Returns the shards reopened.
        """
        markers = {index: read_marker(self.storage, CLIPS, index, self.plan.shards) for index in self.shards}
        reopened = [
            index
            for index, marker in markers.items()
            if marker and any(n.startswith("track:") and n.endswith(reason) for n in marker["counts"])
        ]
        if not reopened:
            return []
        self.storage.remove(LABELS)
        for name in self.storage.list(CANDIDATES):
            if not name.endswith((".npy", ".npy.json")):
                self.storage.remove(f"{CANDIDATES}/{name}")
        for index in reopened:
            self.storage.remove(marker_name(CLIPS, index, self.plan.shards))
        return reopened

    def require_clips(self) -> None:
        """Raises CrateMismatch where a shard of clips is missing or belongs to another configuration."""
        missing = [index for index in self.shards if not self.clips_done(index)]
        if missing:
            raise CrateMismatch(
                f"{self.storage.url} has {self.plan.shards - len(missing)} of {self.plan.shards} shards of clips "
                f"(shard {missing[0]} is the first one missing); finish them first: cratedig clips {self.storage.url}"
            )

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        listing: Listing,
        config: ClipsConfig,
        embedder: EmbedderCard,
        *,
        embedder_source: str = "bundled",
        tracks_per_shard: int | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> Crate:
        """Plan a crate at `root`, or take up the very same one that was begun there.

        ready: called when nothing of that is refused and nothing is written yet.

        Raises CrateMismatch where another crate lies there, BadInput where something else does.
        """
        storage = Storage(root)
        shards = shard_count(len(listing.tracks), tracks_per_shard)
        plan = PlanSummary(tracks=len(listing.tracks), shards=shards, hash=plan_hash(listing, shards))
        crate = cls(
            storage=storage,
            config=config,
            embedder=embedder,
            plan=plan,
            listed=listing.as_dict(),
            embedder_source=embedder_source,
        )
        if storage.exists(_HEADER):
            begun = cls.open(root)
            _refuse_other(begun, crate)
            ready()
            write_plan(storage, listing, shards)  # the same tracks may lie elsewhere now
            crate = replace(crate, made_with=begun.made_with)
            crate._write_listing(listing)
            return crate
        if names := [name for name in storage.list("") if not name.startswith(".")]:
            raise BadInput(
                f"{storage.url} is not empty and no crate (it holds {names[0]!r}); give --out a new or empty folder"
            )
        ready()
        write_plan(storage, listing, shards)
        crate._write_listing(listing)
        return crate

    def _write_listing(self, listing: Listing) -> None:
        """The rows that the input left out, and the header, which says how many and names their file's sha256."""
        header = self._header()
        if listing.rejects:
            with self.storage.write(ROW_REJECTS) as file:
                write_rejects(file, listing.rejects)
            header["listed"]["files"] = sealed_files({ROW_REJECTS: file})
        elif self.storage.exists(ROW_REJECTS):
            self.storage.remove(ROW_REJECTS)
        write_sealed(self.storage, _HEADER, header)

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Crate:
        """Raises BadInput where there is no crate, CrateMismatch for one of another format version."""
        storage = Storage(root)
        if not storage.exists(_HEADER):
            raise BadInput(
                f"{storage.url} is not a crate (no {_HEADER} in it); make one: cratedig mine INPUT --out CRATE"
            )
        header = storage.read_json(_HEADER)
        found = header.get("format_version") if isinstance(header, dict) else None
        if found != FORMAT_VERSION:
            raise CrateMismatch(
                f"{storage.url} has crate format {found!r}, this cratedig reads and writes {FORMAT_VERSION}; "
                "use the version that made it, or mine into another folder"
            )
        try:
            header = read_sealed(storage, _HEADER)
            return cls(
                storage=storage,
                config=ClipsConfig.model_validate(header["config"]),
                embedder=EmbedderCard(**header["embedder"]),
                plan=PlanSummary(**header["plan"]),
                listed=header["listed"],
                embedder_source=str(header["embedder_source"]),
                made_with=header.get("made_with", {}),
            )
        except (BadInput, KeyError, TypeError, ValidationError) as error:
            raise CrateMismatch(
                f"{storage.url}/{_HEADER} cannot be understood ({str(error).splitlines()[0]}); restore it, "
                "or mine into another folder"
            ) from error

    def _header(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "config": self.config.model_dump(mode="json"),
            "embedder": self.embedder.as_dict(),
            "plan": {"tracks": self.plan.tracks, "shards": self.plan.shards, "hash": self.plan.hash},
            "listed": dict(self.listed),
            "embedder_source": self.embedder_source,
            "made_with": dict(self.made_with),
        }


def label_runs(crate: Crate) -> list[str]:
    """The label runs in a crate, by name."""
    return [n for n in crate.storage.list(LABELS) if crate.storage.exists(f"{LABELS}/{n}/{RUN_FILE}")]


def read_run(crate: Crate, name: str) -> dict[str, Any]:
    """What a label run says of itself. Raises BadInput where that was changed after it was written."""
    return read_sealed(crate.storage, f"{LABELS}/{name}/{RUN_FILE}")


def _refuse_other(found: Crate, wanted: Crate) -> None:
    if found.clips_hash == wanted.clips_hash:
        return
    if found.config.hash() != wanted.config.hash():
        old, new = found.config.model_dump(mode="json"), wanted.config.model_dump(mode="json")
        name = next(name for name in new if old.get(name) != new[name])
        what = f"was made with {name}={old.get(name)!r}, asked for is {new[name]!r}"
    elif found.embedder.weights_hash != wanted.embedder.weights_hash:
        what = (
            f"was embedded by {found.embedder.name} ({found.embedder.weights_hash[:12]}), asked for is "
            f"{wanted.embedder.name} ({wanted.embedder.weights_hash[:12]})"
        )
    else:
        what = (
            f"was planned from {found.plan.tracks} tracks in {found.plan.shards} shards, the input now gives "
            f"{wanted.plan.tracks} in {wanted.plan.shards}"
            + (" with other names or metadata" if found.plan.tracks == wanted.plan.tracks else "")
        )
    raise CrateMismatch(
        f"the crate at {found.storage.url} {what}; use the same input and settings to continue it, "
        "or give --out another folder"
    )
