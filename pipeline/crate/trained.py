"""trained.json: which runs were trained on a crate, so that a takedown can name them. No part of its content."""

from __future__ import annotations

import contextlib

from pipeline.crate.crate import Crate
from pipeline.errors import CratedigError

__all__ = ["TRAINED_FILE", "note_training", "trained_runs"]

TRAINED_FILE = "trained.json"


def trained_runs(crate: Crate) -> list[dict[str, str]]:
    """`run` (its folder), `stage` and `crate` (clips_hash at that time) of each, as they came."""
    if not crate.storage.exists(TRAINED_FILE):
        return []
    runs: list[dict[str, str]] = crate.storage.read_json(TRAINED_FILE)
    return runs


def note_training(crate: Crate, run: str, stage: str) -> None:
    """Once for each run and state of the crate; a crate that cannot be written to is trained on all the same."""
    entry = {"run": run, "stage": stage, "crate": crate.clips_hash}
    with contextlib.suppress(OSError, CratedigError):
        runs = trained_runs(crate)
        if entry not in runs:
            crate.storage.write_json(TRAINED_FILE, [*runs, entry])
