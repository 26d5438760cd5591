"""Parts of a crate beside each other, and `cratedig slurm` on a real Slurm: one hash, also when a task is cancelled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_jobs.engine import Engine, run_job
from beam_jobs.engines.parts import Part
from beam_jobs.engines.slurm import Step, follow, open_submission, submit, write_scripts
from pipeline.errors import BadInput, RunFailed
from pipeline.storage import Storage
from tests.beam_jobs.counting_job import CountingJob
from tests.engines.clusters import ENVIRONMENT, ROOT, wait_until
from tests.engines.slurm import slurm
from tests.engines.test_engines import data_hash, shards_done

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("of", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("shards", [0, 1, 5, 6, 63, 64, 100])
def test_parts_are_all_shards_once_and_even(of: int, shards: int) -> None:
    parts = [Part(number=k, of=of).shards(shards) for k in range(1, of + 1)]
    assert [shard for part in parts for shard in part] == list(range(shards))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2", "1 / 4"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(BadInput, match=rf"--part '{re.escape(text)}': expected K/N .* such as 3/64"):
        Part.parse(text)


def test_parts_are_held_beside_each_other_and_the_whole_is_not(tmp_path: Path) -> None:
    storage, other = Storage(tmp_path), Storage(tmp_path)
    with storage.lock("1-of-2"):
        holds(tmp_path, "2-of-2")
        assert refused(tmp_path, "1-of-2")
        assert refused(tmp_path, "")
    with other.lock():
        assert refused(tmp_path, "1-of-2")
        assert not [p for p in tmp_path.iterdir() if p.name.startswith(".lock-")]
    holds(tmp_path, "")


def holds(root: Path, part: str) -> None:
    assert not refused(root, part)


def refused(root: Path, part: str) -> bool:
    """Whether another process may not have it."""
    code = f"from pipeline.storage import Storage\nwith Storage({str(root)!r}).lock({part!r}): pass"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert done.returncode == 0 or "another cratedig" in done.stderr
    return done.returncode == 1


def test_a_part_does_its_shards_and_touches_nothing_of_the_others(tmp_path: Path) -> None:
    job = CountingJob(root=str(tmp_path))
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers/.tmp-of-another").write_text("half a shard")
    (tmp_path / ".progress/numbers").mkdir(parents=True)
    (tmp_path / ".progress/numbers/shard-00000.json").write_text("{}")
    assert run_job(job, Engine(workers=1, part=Part(number=2, of=2))) == 3
    assert job.todo() == [0, 1, 2]
    assert (tmp_path / "numbers/.tmp-of-another").exists()
    assert (tmp_path / ".progress/numbers/shard-00000.json").exists()
    assert run_job(job, Engine(workers=1, part=Part(number=1, of=2))) == 3
    assert job.todo() == []


def command(*words: object, **more: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "cratedig", *map(str, words)]
    return subprocess.Popen(
        line, cwd=ROOT, env=ENVIRONMENT | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def planned(tmp_path: Path, music: Path, tiny_clap: Path) -> Path:
    from tests.crates import plan_crate

    return Path(plan_crate(music, tmp_path / "crate", tiny_clap).storage.url)


@pytest.fixture
def label_words(vocabularies: Path) -> list[str]:
    files = {"llm_lf": vocabularies / "long.parquet", "rater_sf": vocabularies / "short.parquet"}
    return ["--name=first", *(f"--vocab={slot}={file}" for slot, file in files.items())]


def test_two_parts_at_once_and_each_step_by_part_make_the_same_crate(
    planned: Path, finished_crate: Path, label_words: list[str]
) -> None:
    def both(*words: str) -> None:
        tasks = [command(*words, "--part", f"{k}/2", "--device=cpu", "--workers=1") for k in (1, 2)]
        for task in tasks:
            said, _ = task.communicate(timeout=300)
            assert task.returncode == 0, said

    both("clips", str(planned))
    label = ["label", str(planned), *label_words]
    early = command(*label, "--step=labels", "--device=cpu")
    assert "has no counts over this crate; do the steps before" in early.communicate(timeout=200)[0]
    assert early.returncode == 2
    captions = command(*label, "--step=captions", "--device=cpu")
    assert captions.wait(timeout=200) == 0, captions.communicate()
    both(*label, "--step=candidates")
    count = command(*label, "--step=count", "--device=cpu")
    assert count.wait(timeout=200) == 0, count.communicate()
    both(*label, "--step=labels")
    assert data_hash(planned) == data_hash(finished_crate)
    assert not (planned / ".progress").exists()


@pytest.fixture(scope="module")
def a_slurm() -> Iterator[dict[str, str]]:
    with slurm() as environment:
        yield environment


def light_steps(folder: Path, third: str) -> list[Step]:
    """As `cratedig slurm` submits them, with commands that only leave a line; `third` is what task 3 does first."""
    task = f"if [ $0 = 3/4 ]; then {third}; fi; echo $0 >> {folder}/done"
    return [
        Step(name="clips", commands=[["bash", "-c", task, "{part}"]], parts=4),
        Step(name="count", commands=[["true"], ["bash", "-c", f"sort {folder}/done > {folder}/counted"]]),
    ]


def test_what_fails_is_submitted_again_with_all_that_follows(
    a_slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in a_slurm.items():
        monkeypatch.setenv(name, value)
    once = f"[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; echo the disk is upside down; exit 3; }}"
    steps, said = light_steps(tmp_path, once), list[str]()
    write_scripts(steps, "cratedig-x", tmp_path / "scripts")
    submission = open_submission(steps, tmp_path / "scripts")
    submit(submission, {"clips": [1, 2, 3, 4], "count": [1]})
    taken_up = open_submission(steps, tmp_path / "scripts")  # as another command does
    assert taken_up.ids == submission.ids
    follow(taken_up, said.append, every_s=0.5)
    assert (tmp_path / "counted").read_text().split() == ["1/4", "2/4", "3/4", "4/4"]
    assert [line for line in said if "again" in line] == [
        "clips part 3 ended as FAILED (the disk is upside down); submitted again"
    ]
    assert open_submission(steps, tmp_path / "scripts").ids == {}


def test_what_fails_time_after_time_ends_with_its_log(
    a_slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in a_slurm.items():
        monkeypatch.setenv(name, value)
    steps = light_steps(tmp_path, "echo no music here; exit 1")
    write_scripts(steps, "cratedig-x", tmp_path / "scripts")
    submission = open_submission(steps, tmp_path / "scripts")
    submit(submission, {"clips": [1, 2, 3, 4], "count": [1]})
    with pytest.raises(
        RunFailed, match=r"clips part 3 failed 3 times on Slurm, at last as FAILED \(no music here\); see"
    ):
        follow(submission, lambda line: None, every_s=0.5)
    assert (tmp_path / "done").read_text().split().count("1/4") == 1
    assert not (tmp_path / "counted").exists()


def test_a_dry_run_shows_scripts_and_writes_nothing(planned: Path) -> None:
    before = sorted(planned.parent.rglob("*"))
    done = command(
        "slurm", planned, "--parts=3", "--cpus=2", "--time=1:00:00", "--sbatch=--partition=long", "--dry-run"
    )
    said, _ = done.communicate(timeout=100)
    assert done.returncode == 0, said
    assert "--array=1-3" in said
    assert "#SBATCH --partition=long" in said
    assert "--dependency=afterok:ID_OF_CLIPS" in said
    assert said.count("#!/bin/bash") == 6
    assert sorted(planned.parent.rglob("*")) == before


def test_without_slurm_one_line_says_so(planned: Path, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    done = command("slurm", planned, "--parts=2", PATH=str(empty))
    said, _ = done.communicate(timeout=100)
    assert done.returncode == 2
    assert "squeue is not on the PATH" in said or "sbatch is not on the PATH" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not os.environ.get("CRATEDIG_ENGINES"), reason="make engines runs it")
@pytest.mark.parametrize("cancelled", [False, True])
def test_an_array_of_four_makes_the_same_crate(
    cancelled: bool, a_slurm: dict[str, str], planned: Path, finished_crate: Path, label_words: list[str]
) -> None:
    words = ["slurm", planned, "--parts=4", "--max-reject-share=0.5", "--device=cpu", *label_words]
    run = command(*words, **a_slurm)
    if cancelled:
        wait_until(lambda: shards_done(planned) >= 1, "no shard was done", 200)
        queue = subprocess.run(
            ["squeue", "--noheader", "--array", "--states=RUNNING", "--format=%F_%K"],
            env=os.environ | a_slurm,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        subprocess.run(["scancel", queue[0]], env=os.environ | a_slurm, check=True)
    said, _ = run.communicate(timeout=600)
    assert run.returncode == 0, said
    assert data_hash(planned) == data_hash(finished_crate)
    assert ("ended as CANCELLED" in said) == cancelled, said
    log = next((planned.parent / "crate.slurm").glob("verify-*.log")).read_text()
    assert "verified: nothing lost" in log
    shutil.rmtree(planned.parent / "crate.slurm")
