"""One content hash on every engine, each of them the real thing; and what SIGTERM leaves behind: nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from beam_jobs.engine import Engine
from tests.crates import label, mine_clips, plan_crate
from tests.engines.clusters import (
    ENVIRONMENT,
    OPENS,
    ROOT,
    Flink,
    Processes,
    boot_script,
    dask_cluster,
    dask_worker,
    engine_or_skip,
    networks,
    processes,
    wait_until,
    worker_pool,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
every_engine = pytest.mark.skipif(
    not os.environ.get("CRATEDIG_ENGINES"), reason="one engine a test run is enough; make engines runs them all"
)


def data_hash(root: Path) -> str:
    """Of all that was written, by name."""
    import hashlib

    files = sorted(p for p in root.rglob("*.parquet") if ".jobs" not in p.parts)
    return hashlib.sha256(b"".join(str(p.relative_to(root)).encode() + p.read_bytes() for p in files)).hexdigest()


@pytest.fixture
def same_crate(
    finished_crate: Path, tmp_path: Path, music: Path, tiny_clap: Path, vocabularies: Path
) -> Callable[[Engine], None]:
    """Mines and labels on an engine, and compares with what lanes on this machine wrote."""

    def check(engine: Engine) -> None:
        engine.check()
        crate = plan_crate(music, tmp_path / "crate", tiny_clap)
        with engine:
            mine_clips(crate, engine)
            label(crate, vocabularies, engine, name="first")
        assert data_hash(tmp_path / "crate") == data_hash(finished_crate)
        assert not [p for p in (tmp_path / "crate").iterdir() if p.name in (".jobs", ".progress")]

    return check


def flink_options(*more: str) -> tuple[str, ...]:
    jvm = [f"--job_server_jvm_properties={opened}" for opened in OPENS]
    return (f"--flink_job_server_jar={engine_or_skip('flink-server')}", *jvm, *more)


def spark_options() -> tuple[str, ...]:
    jvm = [f"--job_server_jvm_properties={opened}" for opened in OPENS]
    return (f"--spark_job_server_jar={engine_or_skip('spark-server')}", "--spark_master_url=local[2]", *jvm)


def test_flink_embedded(same_crate: Callable[[Engine], None], capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    options = flink_options("--flink_master=[local]", "--parallelism=1")
    same_crate(Engine(runner="flink", beam_options=options, note=said.append))
    assert [line for line in said if "what it says goes to" in line] == said
    log = Path(said[0].rpartition(" ")[2]).read_text()
    assert "Job state changed to DONE" in log
    assert log.count("Really starting service") <= 1, "one job server for all jobs"  # older Beams do not say it
    assert "service" not in capfd.readouterr().err


@every_engine
def test_spark_local(same_crate: Callable[[Engine], None]) -> None:
    same_crate(Engine(runner="SparkRunner", beam_options=spark_options()))


@every_engine
def test_prism(same_crate: Callable[[Engine], None]) -> None:
    same_crate(Engine(runner="PrismRunner", beam_options=(f"--prism_location={engine_or_skip('prism')}",)))


@every_engine
def test_flink_with_two_task_managers_and_a_pool_for_each(same_crate: Callable[[Engine], None], tmp_path: Path) -> None:
    with networks(2) as (host, names), processes(tmp_path / "flink") as started:
        flink = Flink(started, networks=names, host=host)
        for number, network in enumerate(names):
            worker_pool(started, f"pool-{number}", 50051, network)
            flink.task_manager(number)
        flink.wait_for_slots(2)
        external = "--environment_type=EXTERNAL --environment_config=localhost:50051"
        same_crate(
            Engine(runner="flink", beam_options=flink_options(f"--flink_master=localhost:{flink.rest}", external))
        )
        states = flink.jobs()
    assert set(states.values()) == {"FINISHED"}
    assert sum(name.startswith("cratedig-crate-clips-") for name in states) == 1


@pytest.fixture
def flink_of_two(tmp_path: Path) -> Iterator[tuple[Flink, Processes, tuple[str, ...]]]:
    """Two task managers that start workers by a command; and the options for it."""
    with processes(tmp_path / "flink") as started:
        flink = Flink(started)
        for number in range(2):
            flink.task_manager(number)
        flink.wait_for_slots(2)
        command = json.dumps({"command": str(boot_script(tmp_path))})
        at_work = ("--environment_type=PROCESS", f"--environment_config={command}", "--environment_cache_millis=20000")
        yield flink, started, flink_options(f"--flink_master=localhost:{flink.rest}", *at_work)


@every_engine
def test_flink_with_two_task_managers_that_start_processes(
    same_crate: Callable[[Engine], None], flink_of_two: tuple[Flink, Processes, tuple[str, ...]]
) -> None:
    flink, _, options = flink_of_two
    same_crate(Engine(runner="FlinkRunner", beam_options=options))
    assert set(flink.jobs().values()) == {"FINISHED"}


@every_engine
def test_a_killed_task_manager_costs_an_attempt(
    flink_of_two: tuple[Flink, Processes, tuple[str, ...]], many: Path, many_hash: str
) -> None:
    flink, started, options = flink_of_two
    driver = clips(many, "--runner=flink", *(f"--beam-options={option}" for option in options))
    wait_until(lambda: shards_done(many) >= 2, "no shard was done", 200)
    started.kill("task-manager-1")
    flink.task_manager(1)
    _, errors = driver.communicate(timeout=400)
    assert (driver.returncode, clips_hash(many)) == (0, many_hash), errors
    assert Counter(flink.jobs().values()).keys() <= {"FINISHED", "FAILED", "CANCELED"}


@every_engine
def test_sigterm_leaves_nothing_at_work_on_flink(
    flink_of_two: tuple[Flink, Processes, tuple[str, ...]], many: Path, many_hash: str
) -> None:
    flink, _, options = flink_of_two
    given = ["--runner=flink", *(f"--beam-options={option}" for option in options)]
    before = {pid for pid, line in command_lines().items() if "java" in line}
    driver = clips(many, *given)
    wait_until(lambda: shards_done(many) >= 1, "no shard was done", 200)
    driver.send_signal(signal.SIGTERM)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 143, errors
    assert "Traceback" not in errors
    assert "interrupted; what is finished is kept" in errors
    assert set(flink.jobs().values()) == {"CANCELED"}
    assert {pid for pid, line in command_lines().items() if "java" in line} == before
    assert not (many / ".jobs").exists()
    driver = clips(many, *given)
    assert (driver.wait(timeout=400), clips_hash(many)) == (0, many_hash)


@every_engine
@pytest.mark.parametrize("same_engine", [True, False])
def test_the_next_command_joins_what_a_killed_driver_left_or_ends_it(
    same_engine: bool,
    flink_of_two: tuple[Flink, Processes, tuple[str, ...]],
    many: Path,
    many_hash: str,
    tmp_path: Path,
) -> None:
    flink, started, options = flink_of_two
    given = ["--runner=flink", *(f"--beam-options={option}" for option in options)]
    driver = clips(many, *given)
    wait_until(lambda: shards_done(many) > 0, "no shard was done", 200)
    held = workers_of(started)  # until the next command has found the job: it would soon be over
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    mine = descendants(driver.pid)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not mine & command_lines().keys(), "its job server lives")
    assert (many / ".jobs/clips.json").exists()
    assert set(flink.jobs().values()) == {"RUNNING"}
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        driver = clips(many, *(given if same_engine else ["--workers=1"]), stderr=file)
    if same_engine:
        wait_until(lambda: "joined: cratedig-many-clips-" in errors.read_text(), "nothing was joined")
    else:
        wait_until(lambda: set(flink.jobs().values()) <= {"CANCELLING", "CANCELED"}, "nothing was cancelled")
    for pid in held & command_lines().keys():
        os.kill(pid, signal.SIGCONT)
    assert (driver.wait(timeout=400), clips_hash(many)) == (0, many_hash), errors.read_text()
    assert f"{'joined' if same_engine else 'cancelled'}: cratedig-many-clips-" in errors.read_text()
    wanted = ["FINISHED"] if same_engine else ["CANCELED"]
    assert [job["state"] for job in flink.ask("jobs/overview")["jobs"]] == wanted
    assert not (many / ".jobs").exists()


def test_dask_spreads_shards_over_its_workers(same_crate: Callable[[Engine], None], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    said: list[str] = []
    with dask_cluster(tmp_path / "dask") as (address, _):
        same_crate(Engine(runner="dask", beam_options=(f"--dask_client_address={address}",), note=said.append))
    (shares,) = [line for line in said if line.startswith("clips: shards by worker: ")]
    done = {name: int(count) for name, count in re.findall(r"(worker-\d) (\d+)", shares)}
    assert set(done) == {"worker-0", "worker-1"}, "a worker that is slow to start leaves some of its half to the other"
    assert sum(done.values()) == 4


@every_engine
def test_a_killed_dask_worker_costs_its_shard(many: Path, many_hash: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with dask_cluster(tmp_path / "dask") as (address, started):
        driver = clips(many, "--runner=DaskRunner", "--beam-options", f"--dask_client_address={address}")
        wait_until(lambda: shards_done(many) >= 2, "no shard was done", 200)
        started.kill("worker-1")
        dask_worker(started, address, 2)
        _, errors = driver.communicate(timeout=400)
        assert (driver.returncode, clips_hash(many)) == (0, many_hash), errors
        assert "worker-2" in errors


@pytest.mark.parametrize("engine", ["local", "prism", "dask", "flink", "spark"])
@every_engine
def test_sigterm_ends_everything_that_a_command_started(engine: str, many: Path) -> None:
    options = {
        "local": lambda: ["--workers=1"],
        "dask": lambda: ["--runner=dask", "--workers=1"],
        "prism": lambda: ["--runner=prism", f"--beam-options=--prism_location={engine_or_skip('prism')}"],
        "flink": lambda: ["--runner=flink", *(f"--beam-options={option}" for option in flink_options())],
        "spark": lambda: ["--runner=spark", *(f"--beam-options={option}" for option in spark_options())],
    }[engine]()
    driver = clips(many, *options)
    wait_until(lambda: shards_done(many) >= 1, "no shard was done", 200)
    mine = descendants(driver.pid)
    assert mine
    driver.send_signal(signal.SIGTERM)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 143, errors
    assert "Traceback" not in errors
    assert "interrupted; what is finished is kept" in errors
    wait_until(lambda: not mine & command_lines().keys(), f"some of {mine} live")


@pytest.fixture(scope="module")
def many_planned(tmp_path_factory: pytest.TempPathFactory, tiny_clap: Path) -> Path:
    """A crate of 24 tracks in 24 shards, planned only."""
    from labeling.embedders.by_name import embedder_card
    from pipeline.crate.crate import Crate
    from pipeline.crate.growth import pour
    from pipeline.source.listing import list_input
    from pipeline.storage import Storage
    from tests.crates import CONFIG, write_music

    root = tmp_path_factory.mktemp("planned") / "many"
    music = write_music(tmp_path_factory.mktemp("many-music"), tracks=24)
    crate = Crate.begin(Storage(root), CONFIG, embedder_card(str(tiny_clap)), embedder_source=str(tiny_clap))
    pour(crate, list_input(str(music)), tracks_per_shard=1)
    return root


@pytest.fixture(scope="module")
def many_hash(many_planned: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = copied(many_planned, tmp_path_factory.mktemp("undisturbed"))
    driver = clips(root, "--workers=1")
    assert driver.wait(timeout=300) == 0
    return clips_hash(root)


@pytest.fixture
def many(many_planned: Path, tmp_path: Path) -> Path:
    return copied(many_planned, tmp_path)


def copied(root: Path, into: Path) -> Path:
    import shutil

    return Path(shutil.copytree(root, into / "many"))


def clips(root: Path, *options: str, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cratedig", "clips", str(root), "--device=cpu", "--max-reject-share=1", *options]
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=stderr, text=True)


def shards_done(root: Path) -> int:
    return len(list((root / "clips").rglob("*.done.json")))


def clips_hash(root: Path) -> str:
    import hashlib

    files = sorted((root / "clips").rglob("*.parquet"))
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def command_lines() -> dict[int, str]:
    """Of all processes of this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line}


def workers_of(started: Processes) -> set[int]:
    """Beam's workers that Flink's task managers have started."""
    managers = [process.pid for name, process in started.started.items() if name.startswith("task-manager")]
    lines = command_lines()
    found = {child for pid in managers for child in descendants(pid) if "sdk_worker_main" in lines.get(child, "")}
    assert found
    return found


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has just ended
            for child in map(int, path.read_text().split()):
                found |= {child} | descendants(child)
    return found
