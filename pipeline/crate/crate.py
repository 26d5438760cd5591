"""A crate: the folder that holds a plan, its clips, rejects and labels."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from pipeline.config import FORMAT_VERSION, ClipsConfig
from pipeline.crate.ledger import forget
from pipeline.crate.plan import PLAN, Pour, place, pour_name, read_shard
from pipeline.crate.removed import JOURNAL
from pipeline.crate.seals import checked_seal, read_sealed, write_sealed
from pipeline.crate.shards import Place, is_done, marker_name, part_name, read_all, undone
from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import content_hash
from pipeline.installation import deciding_versions
from pipeline.records import EmbedderCard, ShardPlan
from pipeline.storage import Storage

__all__ = [
    "CANDIDATES",
    "CLIPS",
    "LABELS",
    "REJECTS",
    "RUN_FILE",
    "SET_FILE",
    "Crate",
    "candidate_sets",
    "label_runs",
    "read_run",
]

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
    pours: tuple[Pour, ...]
    """As they came in; a later one never changes an earlier one."""
    listed: Mapping[str, Any] = field(default_factory=dict)
    """Where the last input was, and what of it was no track; for people, not for identity."""
    embedder_source: str
    """Name or path that the embedder was loaded by; its hash is what counts."""
    made_with: Mapping[str, str] = field(default_factory=deciding_versions)
    """Library -> version at the crate's beginning; another set may give its clips other last bits."""
    removed: int = 0
    """Tracks that were taken down."""
    removed_sha256: str = ""
    """Of removed.parquet."""

    @cached_property
    def base_hash(self) -> str:
        """Of the settings and the embedder: crates that have it in common can be joined."""
        return content_hash(
            {"format": FORMAT_VERSION, "config": self.config.hash(), "embedder": self.embedder.weights_hash}
        )

    @property
    def clips_hash(self) -> str:
        """Of everything that determines which clips there are."""
        return content_hash([self.base_hash, [pour.hash for pour in self.pours], self.removed_sha256])

    def shard_hash(self, shard: int) -> str:
        """Of everything that determines the bytes of a shard's clips, but what was taken down: stands in its marker."""
        return self._shard_hashes[self.pour_of(shard)]

    def made_hash(self, maker: str, shard: int) -> str:
        """Of a shard that `maker` (a hash) makes of a shard's clips."""
        return content_hash([maker, self.shard_hash(shard)])

    @property
    def tracks(self) -> int:
        """Planned in all pours."""
        return sum(pour.tracks for pour in self.pours)

    @cached_property
    def pour_shards(self) -> tuple[int, ...]:
        return tuple(pour.shards for pour in self.pours)

    @property
    def shards(self) -> range:
        return range(sum(self.pour_shards))

    @property
    def covers(self) -> dict[str, int]:
        """The state of the crate that counts and labels are made of: of all pours, less what was taken down."""
        return {"pours": len(self.pours), "removed": self.removed}

    @cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(self.pour_shards))

    @cached_property
    def _shard_hashes(self) -> list[str]:
        return [content_hash([self.base_hash, pour.hash]) for pour in self.pours]

    def pour_of(self, shard: int) -> int:
        """Number of the pour that a shard belongs to."""
        return bisect.bisect_right(self._ends, shard)

    def at(self, folder: str, shard: int) -> tuple[str, int, int]:
        """Where a shard lies below `folder` (clips, rejects, a label run, a set of candidates), as
        `pipeline.crate.shards` takes it: the pour's folder, the number in it, and of how many."""
        return place(folder, shard, self.pour_shards)

    def plan(self, shard: int) -> ShardPlan:
        """The tracks of a shard."""
        _, index, count = self.at("", shard)
        number = self.pour_of(shard)
        return read_shard(self.storage, number, index, count, sha256=self.pours[number].sha256)

    def clips_part(self, index: int) -> str:
        return part_name(*self.at(CLIPS, index))

    def rejects_part(self, index: int) -> str:
        return part_name(*self.at(REJECTS, index))

    def clips_done(self, index: int) -> bool:
        return is_done(self.storage, *self.at(CLIPS, index), self.shard_hash(index))

    def markers(self, folder: str, *, copies: bool = True) -> Iterator[dict[str, Any] | None]:
        """Of every shard below `folder`, in their order; None where a shard is not finished. A listing a thousand.

        copies: from the ledger where it has them, else each from its own file.
        """
        return read_all(self.storage, self._places(folder), copies=copies)

    def undone(self, folder: str, maker: str = "") -> list[int]:
        """Shards below `folder` that are not finished: of the clips themselves, or as made of them by `maker`."""
        hashes = [content_hash([maker, said]) if maker else said for said in self._shard_hashes]
        return undone(self.storage, self._places(folder), lambda shard: hashes[self.pour_of(shard)])

    def _places(self, folder: str) -> Iterator[Place]:
        for number, count in enumerate(self.pour_shards):
            yield from ((f"{folder}/{pour_name(number)}", index, count) for index in range(count))

    def retry_rejects(self, reason: str = "") -> list[int]:
        """Reopen the shards with a track that was rejected as a whole, for sources that have been mended since.

        reason: only for this one; for any where it is empty.

        What was made of the clips as they were goes too: all label runs and candidates, whose counts and mean are over
        all clips. The embeddings of captions stay.
        Returns the shards reopened.
        """
        reopened = [
            index
            for index, marker in enumerate(self.markers(CLIPS))
            if marker and any(n.startswith("track:") and n.endswith(reason) for n in marker["counts"])
        ]
        if not reopened:
            return []
        self.storage.remove(LABELS)
        for name in self.storage.list(CANDIDATES):
            if not name.startswith(".") and not name.endswith((".npy", ".npy.json")):
                self.storage.remove(f"{CANDIDATES}/{name}")
        forget(self.storage, (marker_name(*self.at(CLIPS, index)) for index in reopened))
        return reopened

    def require_settled(self) -> None:
        """Raises CrateMismatch while a takedown is not finished."""
        if self.storage.exists(JOURNAL):
            raise CrateMismatch(
                f"a takedown of {self.storage.url} was begun and not finished; finish it first: "
                f"cratedig takedown {self.storage.url} --resume"
            )

    def require_clips(self) -> None:
        """Raises CrateMismatch where a shard of clips is missing or belongs to another configuration."""
        if missing := self.undone(CLIPS):
            raise CrateMismatch(
                f"{self.storage.url} has {len(self.shards) - len(missing)} of {len(self.shards)} shards of clips "
                f"({self.clips_part(missing[0])} is the first one missing); "
                f"finish them first: cratedig clips {self.storage.url}"
            )

    @classmethod
    def begin(
        cls, storage: Storage, config: ClipsConfig, embedder: EmbedderCard, *, embedder_source: str = "bundled"
    ) -> Crate:
        """A crate without a pour, or the one that lies there; nothing is written.

        Raises CrateMismatch where a crate of another configuration lies there, BadInput where something else does.
        """
        crate = cls(storage=storage, config=config, embedder=embedder, pours=(), embedder_source=embedder_source)
        if storage.exists(_HEADER):
            found = cls.open(storage.url)
            _refuse_other(found, crate)
            found.require_settled()
            return found
        if names := [name for name in storage.list("") if not name.startswith(".") and name not in (PLAN, REJECTS)]:
            raise BadInput(
                f"{storage.url} is not empty and no crate (it holds {names[0]!r}); give --out a new or empty folder"
            )
        return crate

    def write_header(self) -> None:
        """crate.json: from now on this is what the crate is."""
        write_sealed(self.storage, _HEADER, self._header())

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Crate:
        """Raises BadInput where there is no crate, CrateMismatch for one of another format version."""
        storage = Storage(root)
        try:
            header = storage.read_json(_HEADER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadInput(
                f"{storage.url} is not a crate (no {_HEADER} in it); make one: cratedig mine INPUT --out CRATE"
            ) from error
        found = header.get("format_version") if isinstance(header, dict) else None
        if found != FORMAT_VERSION:
            raise CrateMismatch(
                f"{storage.url} has crate format {found!r}, this cratedig reads and writes {FORMAT_VERSION}; "
                "use the version that made it, or mine into another folder"
            )
        try:
            header = checked_seal(storage, _HEADER, header)
            return cls(
                storage=storage,
                config=ClipsConfig.model_validate(header["config"]),
                embedder=EmbedderCard(**header["embedder"]),
                pours=tuple(Pour(**pour) for pour in header["pours"]),
                listed=header["listed"],
                embedder_source=str(header["embedder_source"]),
                made_with=header.get("made_with", {}),
                removed=int(header["removed"]["tracks"]),
                removed_sha256=str(header["removed"]["sha256"]),
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
            "pours": [asdict(pour) for pour in self.pours],
            "listed": dict(self.listed),
            "embedder_source": self.embedder_source,
            "made_with": dict(self.made_with),
            "removed": {"tracks": self.removed, "sha256": self.removed_sha256},
        }


def candidate_sets(storage: Storage) -> list[str]:
    """The folders of sets of candidates in a crate, finished or not; the rest there is about captions, or a lock."""
    names = [n for n in storage.list(CANDIDATES) if not n.startswith(".")]
    return [f"{CANDIDATES}/{n}" for n in names if not n.endswith((".npy", ".json", ".parts"))]


def label_runs(crate: Crate) -> list[str]:
    """The label runs in a crate, by name."""
    return [n for n in crate.storage.list(LABELS) if crate.storage.exists(f"{LABELS}/{n}/{RUN_FILE}")]


def read_run(crate: Crate, name: str) -> dict[str, Any]:
    """What a label run says of itself. Raises BadInput where that was changed after it was written."""
    return read_sealed(crate.storage, f"{LABELS}/{name}/{RUN_FILE}")


def _refuse_other(found: Crate, wanted: Crate) -> None:
    if found.base_hash == wanted.base_hash:
        return
    if found.config.hash() != wanted.config.hash():
        old, new = found.config.model_dump(mode="json"), wanted.config.model_dump(mode="json")
        name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
        asked = getattr(wanted.config, name)
        what = f"was made with {name}={getattr(found.config, name)!r}, asked for is {asked!r}"
    else:
        what = (
            f"was embedded by {found.embedder.name} ({found.embedder.weights_hash[:12]}), asked for is "
            f"{wanted.embedder.name} ({wanted.embedder.weights_hash[:12]})"
        )
    raise CrateMismatch(
        f"the crate at {found.storage.url} {what}; use the same settings to continue it, or give --out another folder"
    )
