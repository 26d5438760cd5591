"""The label run that a report is about, and where its slots' candidates lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeling.draw import Method
from labeling.search.candidates import CandidateSet
from pipeline.crate.crate import LABELS, Crate, label_runs, read_run
from pipeline.errors import BadInput, CrateMismatch

__all__ = ["ReportRun", "ReportSlot", "choose_run"]


@dataclass(frozen=True, kw_only=True)
class ReportSlot:
    """One vocabulary's place in the run."""

    name: str
    kind: str
    draw: int
    """K', captions of each clip."""
    chosen: CandidateSet


@dataclass(frozen=True, kw_only=True)
class ReportRun:
    """A finished label run, as its run.json describes it."""

    name: str
    profile: str
    seed: int
    method: Method
    prompt: bool
    run_hash: str
    drawn_by: str
    """Of the run and the counts that it was drawn by."""
    holds: Sequence[float] | None
    """For `chance_to_hold`; None where that was not measured for the model."""
    facts: Sequence[str]
    """Those that have a vector beside the candidates, in its order."""
    slots: tuple[ReportSlot, ...]

    @property
    def folder(self) -> str:
        return f"{LABELS}/{self.name}"


def choose_run(crate: Crate, name: str = "") -> ReportRun | None:
    """The run called `name`, else the newest finished one; None where the crate has no labels.

    Raises BadInput for a name that the crate has not, CrateMismatch for a run that is not finished.
    """
    names = label_runs(crate)
    if name:
        if name not in names:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise BadInput(f"{crate.storage.url} has no label run {name!r} ({has}); label it: cratedig label")
        run = _read(crate, name)
        missing = _unfinished(crate, run)
        if missing:
            raise CrateMismatch(
                f"labels {name!r} of {crate.storage.url} lack {len(missing)} of {len(crate.shards)} shards; "
                "finish them first: run the same `cratedig label` again"
            )
        return run
    finished = [run for run in (_read(crate, n) for n in names) if not _unfinished(crate, run)]
    return max(finished, key=lambda run: (_written_at(crate, run), run.name), default=None)


def _unfinished(crate: Crate, run: ReportRun) -> list[int]:
    return crate.undone(run.folder, run.drawn_by)


def _written_at(crate: Crate, run: ReportRun) -> float:
    """Seconds, as far as the file system knows them."""
    try:
        return float(crate.storage.fs.modified(crate.storage.path(f"{run.folder}/run.json")).timestamp())
    except (NotImplementedError, FileNotFoundError, AttributeError):
        return 0.0


def _read(crate: Crate, name: str) -> ReportRun:
    described = read_run(crate, name)
    try:
        holds = described.get("holds")
        holds = holds if isinstance(holds, dict) else None  # three numbers once, of the caption's score
        return ReportRun(
            name=name,
            profile=described["profile"],
            seed=described["seed"],
            method=described["method"],
            prompt=described["prompt"],
            run_hash=described["run_hash"],
            drawn_by=described["drawn_by"],
            holds=holds["numbers"] if holds else None,
            facts=holds["facts"] if holds else (),
            slots=tuple(_slot(crate, slot, described["slots"][slot]) for slot in sorted(described["slots"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CrateMismatch(
            f"{crate.storage.url}/{LABELS}/{name}/run.json cannot be understood ({error!r}); label again"
        ) from error


def _slot(crate: Crate, name: str, described: Mapping[str, Any]) -> ReportSlot:
    chosen = CandidateSet(
        vocabulary_name=described["vocabulary"],
        vocabulary_hash=described["vocabulary_hash"],
        captions=described["captions"],
        k=described["k"],
        search=described["search"],
        debias={True: "crate", False: "none"}.get(described["debias"], described["debias"]),  # once a flag
        heard=described.get("heard", ""),
        facts=described.get("facts", ""),
        base_hash=crate.base_hash,
    )
    if chosen.folder != described["candidates"] or not crate.storage.exists(chosen.set_file):
        raise CrateMismatch(
            f"{crate.storage.url} does not have the candidates of slot {name} ({described['candidates']}); "
            "find them again: cratedig label with the settings of that run"
        )
    return ReportSlot(name=name, kind=described["kind"], draw=described["draw"], chosen=chosen)
