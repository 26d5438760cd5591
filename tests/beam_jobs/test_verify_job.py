"""A proof by workers says what the proof of one process says, and leaves nothing behind."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from beam_jobs.engine import Engine
from beam_jobs.verify import VerifyJob, verify_by_job
from pipeline.crate.crate import Crate
from pipeline.crate.ledger import fold
from pipeline.crate.verify import verify_crate
from pipeline.records import Proof
from pipeline.storage import Storage

pytestmark = pytest.mark.slow


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path, Crate], object]] = {
    "nothing": lambda root, crate: None,
    "a flipped bit": lambda root, crate: flip(root / crate.clips_part(2)),
    "rejects that are gone": lambda root, crate: (root / crate.rejects_part(1)).unlink(),
    "a marker that is gone": lambda root, crate: next((root / "labels").rglob("part-00003*.done.json")).unlink(),
    "labels of a bit": lambda root, crate: flip(next((root / "labels").rglob("part-00000*.parquet"))),
    "candidates of a bit": lambda root, crate: flip(next((root / "candidates").rglob("part-00001*.parquet"))),
    "an emptied list of what was taken down": lambda root, crate: (root / "removed.parquet").write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_workers_prove_what_one_process_proves(damage: str, finished_crate: Path, tmp_path: Path, lane: Engine) -> None:
    shutil.copytree(finished_crate, root := tmp_path / "crate")
    crate = Crate.open(root)
    DAMAGE[damage](root, crate)
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    (root / ".proof/pour-00000").mkdir(parents=True)
    (root / ".proof/pour-00000/part-00000-of-00004.done.json").write_text("{}")
    found, wanted = verify_by_job(crate, lane), verify_crate(crate)
    assert found == wanted
    assert found.holds == (damage == "nothing")
    assert len(found.faults) == (damage != "nothing")
    assert sorted(path.relative_to(root) for path in root.rglob("*") if path.name != ".lock") == [
        path for path in before if path.name != ".lock"
    ]


def test_on_a_store_markers_are_read_from_ledgers(finished_crate: Path) -> None:
    storage = Storage(f"memory://{uuid.uuid4().hex}")
    for path in finished_crate.rglob("*"):
        if path.is_file() and path.name != "done.ledger":
            storage.write_bytes(str(path.relative_to(finished_crate)), path.read_bytes())
    crate = Crate.open(storage.url)
    wanted = verify_crate(crate)
    for folder in {path.parent for path in finished_crate.rglob("*.done.json")}:
        fold(storage, str(folder.relative_to(finished_crate)))
    made = {}
    verify_crate(crate, of_shards=lambda given: made.update(given) or [Proof()] * len(crate.shards))
    worker = VerifyJob(root=storage.url, pours=crate.pour_shards, made=made, look="now").open()
    for shard in crate.shards:
        worker.run(shard)
    found = [Proof.of(marker["proof"]) for marker in crate.markers(".proof") if marker]
    assert len(found) == len(crate.shards)
    proof = verify_crate(crate, of_shards=lambda given: found)
    assert proof.holds
    assert proof == replace(wanted, notes=proof.notes)
