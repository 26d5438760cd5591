"""A driver that is killed: its job goes on where it is, and the next command joins it or ends it. Beam's Prism as a job
service, Beam's own pool of workers, and a job that only counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from beam_jobs.engine import Engine, run_job
from tests.beam_jobs.counting_job import CountingJob
from tests.engines.clusters import (
    ENVIRONMENT,
    ROOT,
    answers,
    engine_or_skip,
    free_port,
    processes,
    wait_until,
    worker_pool,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DRIVER = """
import sys
from beam_jobs.engine import Engine, run_job
from tests.beam_jobs.counting_job import CountingJob
if __name__ == "__main__":
    engine = Engine(runner="portable", beam_options=(sys.argv[2],), workers=1)
    run_job(CountingJob(root=sys.argv[1], shard_s=2.0), engine)
"""


def attempts(root: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in root.glob("attempts-*"))


@pytest.mark.parametrize("same_place", [True, False])
def test_the_next_command_joins_what_was_left_or_ends_it(same_place: bool, tmp_path: Path) -> None:
    prism, service, pool = engine_or_skip("prism"), free_port(), free_port()
    root, said = tmp_path / "crate", list[str]()
    root.mkdir()
    job = CountingJob(root=str(root), shard_s=2.0)
    (tmp_path / "driver.py").write_text(DRIVER)
    with processes(tmp_path / "logs") as started:
        started.start("prism", [str(prism), f"--job_port={service}", "--serve_http=false"])
        worker_pool(started, "pool", pool)
        wait_until(lambda: answers(service) and answers(pool), "no job service")
        options = (
            f"--job_endpoint=localhost:{service} --environment_type=EXTERNAL --environment_config=localhost:{pool}"
        )
        driver = subprocess.Popen([sys.executable, tmp_path / "driver.py", root, options], cwd=ROOT, env=ENVIRONMENT)
        wait_until(lambda: attempts(root) > 0, "no shard was begun")
        driver.kill()
        driver.wait()
        assert (root / ".jobs/numbers.json").exists()
        if same_place:
            engine = Engine(runner="portable", beam_options=(options,), workers=1, note=said.append)
        else:
            engine = Engine(workers=1, note=said.append)
        run_job(job, engine)
    assert [line.split(":")[0] for line in said][:1] == ["joined" if same_place else "cancelled"]
    assert said[0].split()[1].startswith("cratedig-crate-numbers-")
    assert job.todo() == []
    assert attempts(root) == 6 if same_place else 6 <= attempts(root) <= 8
    assert not (root / ".jobs").exists()
    assert not (root / ".progress").exists()
