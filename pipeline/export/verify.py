"""The proof of an export: every file is what was written, every clip of the crate is in it or counted as left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.export.export import HEADER, Export
from pipeline.export.shard import SHARDS

__all__ = ["ExportProof", "verify_export"]

_OURS = (HEADER, f"{SHARDS}/")


@dataclass(kw_only=True)
class ExportProof:
    """What was counted, and every place where it does not hold."""

    files: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.faults

    def lines(self) -> list[str]:
        counts = self.counts
        dropped = {name: n for name, n in sorted(counts.items()) if name.startswith("dropped:")}
        joined = counts["clips-joined"]
        parts = [f"{counts['clips']} exported", *([f"{joined} joined into their tracks"] if joined else [])]
        parts += [f"{n} left out ({name.removeprefix('dropped:')})" for name, n in dropped.items()]
        lines = [f"clips: {counts['clips-in']} in the crate = {' + '.join(parts)}"]
        lines.append(f"files: {self.files} with the sha256 of their markers, {self.bytes / 1e6:.1f} MB")
        return lines + [f"FAULT: {fault}" for fault in self.faults]


def verify_export(export: Export) -> ExportProof:
    """Hash every file again; look for files that no marker knows; compare the counts. Writes nothing."""
    proof, storage = ExportProof(), export.storage
    known = set(export.files)
    for name, wrote in export.files.items():
        _check(export, name, wrote, proof)
    for index, marker in export.markers():
        if marker is None:
            proof.faults.append(f"shard {index} of {export.shards} was never finished; run the same export again")
            continue
        proof.counts.update(marker["counts"])
        for name, wrote in marker["files"].items():
            _check(export, name, wrote, proof)
        known |= set(marker["files"])
    if not export.finished:
        proof.faults.append(f"{HEADER} has no counts: the export was not finished; run it again")
    elif dict(proof.counts) != dict(export.counts):
        proof.faults.append(f"the counts of the shards are not those of {HEADER}; run the same export again")
    dropped = sum(n for name, n in proof.counts.items() if name.startswith("dropped:"))
    out = proof.counts["clips"] + proof.counts["clips-joined"] + dropped
    if proof.counts["clips-in"] != out:
        proof.faults.append(f"{proof.counts['clips-in']} clips went in, {out} are exported or left out with a reason")
    root = storage.path("").rstrip("/") + "/"
    for path in sorted(storage.fs.find(storage.path(""))):
        name = path.removeprefix(root)
        if name not in known and not name.startswith((*_OURS, ".")):
            proof.faults.append(f"{name} belongs to no shard of this export")
    return proof


def _check(export: Export, name: str, wrote: Mapping[str, object], proof: ExportProof) -> None:
    if not export.storage.exists(name):
        proof.faults.append(f"{name} is missing; run the same export again")
    elif export.storage.sha256(name) != wrote["sha256"]:
        proof.faults.append(f"{name} was changed after it was written (sha256 differs); delete it and export again")
    else:
        proof.files += 1
        proof.bytes += int(str(wrote["bytes"]))
