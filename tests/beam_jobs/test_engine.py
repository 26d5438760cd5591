"""The engine on real processes: what is killed, hangs or fails costs its shard, and the rest is done all the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from beam_jobs.engine import Engine, run_job
from pipeline.crate.ledger import LEDGER, ledger_holds
from pipeline.errors import BadInput, RunFailed
from tests.beam_jobs.counting_job import CountingJob

pytestmark = pytest.mark.slow


def tree_hash(root: Path) -> str:
    parts = sorted((root / "numbers").glob("part-*.parquet"))
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in parts)).hexdigest()


def attempts(root: Path, shard: int) -> int:
    return len((root / f"attempts-{shard}").read_text().splitlines())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("undisturbed")
    assert run_job(CountingJob(root=str(root)), Engine(workers=1)) == 6
    assert (root / "numbers" / "part-00002-of-00006.parquet").read_text() == "".join(f"{n}\n" for n in range(20, 30))
    return tree_hash(root)


def test_two_workers_make_the_same_bytes_and_a_rerun_does_nothing(tmp_path: Path, undisturbed: str) -> None:
    job = CountingJob(root=str(tmp_path))
    assert run_job(job, Engine(workers=2)) == 6
    assert tree_hash(tmp_path) == undisturbed
    assert run_job(job, Engine(workers=2)) == 0
    assert not (tmp_path / ".progress" / "numbers").exists()


@pytest.mark.parametrize("kept", [0, 40, -3])
def test_a_damaged_ledger_is_mended_where_nothing_is_left_to_do(kept: int, tmp_path: Path) -> None:
    job = CountingJob(root=str(tmp_path))
    run_job(job, Engine(workers=1))
    ledger = tmp_path / "numbers" / LEDGER
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:kept])
    assert not ledger_holds(job.storage(), "numbers")
    assert run_job(job, Engine(workers=1)) == 0
    assert ledger.read_bytes() == whole


def test_a_killed_worker_costs_its_shard_only(tmp_path: Path, undisturbed: str) -> None:
    run_job(CountingJob(root=str(tmp_path), kill_once=(1, 4), shard_s=0.2), Engine(workers=2))
    assert tree_hash(tmp_path) == undisturbed
    assert [attempts(tmp_path, k) for k in range(6)] == [1, 2, 1, 1, 2, 1]
    assert not list((tmp_path / "numbers").glob(".tmp-*"))


def test_a_worker_without_a_sign_of_life_is_ended(tmp_path: Path, undisturbed: str) -> None:
    run_job(CountingJob(root=str(tmp_path), stall_once=(3,)), Engine(workers=2, stall_s=1.0))
    assert tree_hash(tmp_path) == undisturbed
    assert attempts(tmp_path, 3) == 2


def test_a_shard_that_keeps_failing_is_set_aside_and_named(tmp_path: Path) -> None:
    job = CountingJob(root=str(tmp_path), raise_always=(2,))
    with pytest.raises(
        RunFailed, match=r"1 of 6 shards of numbers failed 2 times each; shard 2: shard 2 does not like this"
    ):
        run_job(job, Engine(workers=2, attempts=2))
    assert job.todo() == [2]
    assert attempts(tmp_path, 2) == 2


def test_an_error_that_the_user_must_mend_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="the disk of shard 2 is upside down; turn it"):
        run_job(CountingJob(root=str(tmp_path), bad_input=(2,)), Engine(workers=1))
    assert attempts(tmp_path, 2) == 1


def test_workers_that_cannot_start_say_why(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="end before they begin, 2 times: the model is asleep"):
        run_job(CountingJob(root=str(tmp_path), fail_open=OSError), Engine(workers=1, attempts=2))


def test_who_watches_may_stop_the_run(tmp_path: Path) -> None:
    job = CountingJob(root=str(tmp_path), shard_s=0.3)

    def stop_after_one(ended: bool) -> None:
        if not ended and len(job.todo()) < job.shard_count:
            raise BadInput("this will never come to anything")

    with pytest.raises(BadInput, match="never come to anything"):
        run_job(job, Engine(workers=1), stop_after_one)
    assert 0 < len(job.todo()) < job.shard_count
    assert not (tmp_path / ".progress").exists()


def test_what_is_installed_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"^ImportError: the model is asleep.*Installed: python 3\.\d+.*, av \d+"):
        run_job(CountingJob(root=str(tmp_path), fail_open=ImportError), Engine(workers=1, attempts=1000))


def test_no_workers_is_an_error() -> None:
    with pytest.raises(BadInput, match="workers is 0; expected 1 or more"):
        Engine(workers=0)


def test_direct_runner_in_several_processes_makes_the_same_bytes(tmp_path: Path, undisturbed: str) -> None:
    job = CountingJob(root=str(tmp_path), kill_once=(1,), shard_s=0.1)
    assert run_job(job, Engine(workers=2, runner="DirectRunner")) == 6
    assert tree_hash(tmp_path) == undisturbed
