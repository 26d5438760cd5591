"""Exports for tests: of the shared finished crate, by one worker."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_jobs.engine import Engine
from beam_jobs.export import export_crate
from pipeline.crate.crate import Crate
from pipeline.export.export import Export
from pipeline.export.spec import ExportSpec

__all__ = ["clip_rows", "export", "tree"]


def export(crate: Path, out: Path, *, workers: int = 1, missing: str = "stop", **choices: Any) -> Export:
    """Of label run `first`, by default as hf."""
    spec = ExportSpec.model_validate({"layout": "hf", "labels": "first", **choices})
    return export_crate(Crate.open(crate), out, spec, engine=Engine(workers=workers), missing_sources=missing)


def tree(root: Path) -> dict[str, str]:
    """Every file below `root` but hidden ones and markers (which hold the seconds that a shard took): name -> hash."""
    files = (f for f in sorted(root.rglob("*")) if f.is_file() and not f.name.endswith((".done.json", "done.ledger")))
    names = {str(f.relative_to(root)): f for f in files}
    return {n: hashlib.sha256(f.read_bytes()).hexdigest() for n, f in names.items() if not n.startswith(".")}


def clip_rows(crate: Path) -> list[dict[str, Any]]:
    """The crate's clips, in its order, read with pyarrow alone."""
    rows: list[dict[str, Any]] = []
    for file in sorted((crate / "clips").rglob("*.parquet")):
        rows += pq.read_table(file).to_pylist()
    return rows
