"""Runs a job to its end: on this machine in lanes, or on any Beam runner; what fails is tried again, within bounds."""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from beam_jobs.cpus import usable_workers
from beam_jobs.engines.attempts import Attempts
from beam_jobs.engines.lanes import LanePool, run_lanes
from beam_jobs.engines.on_beam import InTurn, Stage, Submitters, Work, run_build, run_on_beam, settle_kept_job
from beam_jobs.engines.on_dask import run_on_dask
from beam_jobs.engines.parts import Part, PartOfJob
from beam_jobs.engines.reach import check_place, check_runner, ignored_options
from beam_jobs.engines.runners import LOCAL, Runner, find_runner, job_name, split_options
from beam_jobs.engines.submitter import Build
from beam_jobs.job import ShardJob
from pipeline.crate.ledger import fold, ledger_holds
from pipeline.errors import BadInput, CratedigError
from pipeline.progress import forget_beats, progress_folder

__all__ = ["Engine", "OnTick", "run_job", "run_jobs", "run_pipeline"]

OnTick = Callable[[bool], None]


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How work is carried out; nothing of it reaches the bytes.

    As a context manager it keeps its worker processes, and a runner's job server, from one job to the next.
    Raises BadInput for a runner that nobody knows.
    """

    workers: int = field(default_factory=usable_workers)
    runner: str = LOCAL
    """`local`, a Beam runner such as FlinkRunner, or one's class."""
    beam_options: tuple[str, ...] = ()
    """Beam's own, each text one or several, such as `--job_endpoint=localhost:8099 --environment_type=LOOPBACK`."""
    attempts: int = 3
    """A shard that has failed this often is set aside; the others go on."""
    stall_s: float = 900.0
    """A worker without a sign of life for so long is ended, and its shard tried again."""
    part: Part | None = None
    """Do this part of each job's shards; others may do theirs at the same time."""
    note: Callable[[str], None] = field(default=_to_stderr, compare=False)
    """Told where a runner's log is, and what became of a job that was left at work."""

    _lanes: LanePool = field(default_factory=LanePool, init=False, repr=False, compare=False)
    _submitters: Submitters = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"workers is {self.workers}; expected 1 or more")
        runner = Runner(name=LOCAL, workers=self.workers)
        options = [option for text in self.beam_options for option in split_options(text)]
        if self.runner != LOCAL:
            runner = find_runner(self.runner, options, workers=self.workers)
        elif options:
            raise BadInput(f"--beam-options {shlex.join(options)}: they are for a Beam runner; give --runner NAME, too")
        object.__setattr__(self, "_submitters", Submitters(runner=runner, note=lambda text: self.note(text)))

    def share(self, job: ShardJob) -> ShardJob:
        """What of a job this engine does."""
        return job if self.part is None else PartOfJob(job=job, part=self.part)

    @property
    def lock(self) -> str:
        """What of a crate is held while this engine is at work; empty for all."""
        return str(self.part).replace("/", "-of-") if self.part else ""

    @property
    def on_beam(self) -> bool:
        """Whether pipelines are handed to a Beam runner."""
        return self._submitters.runner.name not in (LOCAL, "DaskRunner")

    def check(self) -> None:
        """Raises BadInput where the runner cannot start as it is asked to: a program, a jar, a package, an endpoint."""
        check_runner(self._submitters.runner)
        if self.runner != LOCAL and (ignored := ignored_options(self._submitters.runner)):
            self.note(f"warning: not known to Beam itself, and left to {self.runner}: {' '.join(ignored)}")

    def __enter__(self) -> Engine:
        self._lanes.keep = self._submitters.keep = True
        return self

    def __exit__(self, *error: object) -> None:
        self._lanes.keep = self._submitters.keep = False
        self._lanes.close()
        self._submitters.close()


def run_job(job: ShardJob, engine: Engine, on_tick: OnTick = lambda ended: None) -> int:
    """Do the shards of `job` that are not done, or the engine's part of them; returns how many that were.

    on_tick: called a few times a second while work goes on, with False, and once when it has ended, with True.
    Raises RunFailed when a shard keeps failing, after all others are done; at once for an error that no second try
    can mend.
    """
    job, storage = engine.share(job), job.storage()
    if engine.on_beam:
        return _run_on_beam([job], engine, lambda job: on_tick, job_name(job))
    with storage.lock(engine.lock):
        settle_kept_job(job, None, on_tick, note=engine.note, stall_s=engine.stall_s)
        _clear(job)
        todo = job.todo()
        if todo:
            attempts, runner = Attempts(job, engine.attempts), engine._submitters.runner
            with _clearing([job], on_tick):
                if runner.name == LOCAL:
                    given = {"pool": engine._lanes, "workers": engine.workers, "stall_s": engine.stall_s}
                    run_lanes(job, todo, attempts, on_tick, **given)  # type: ignore[arg-type]
                else:
                    log = engine._submitters.open_log()
                    told = {"runner": runner, "log": log, "note": engine.note, "stall_s": engine.stall_s}
                    run_on_dask(job, todo, attempts, on_tick, **told)  # type: ignore[arg-type]
            _fold(job, todo)
    return len(todo)


@contextlib.contextmanager
def _clearing(jobs: Sequence[ShardJob], on_tick: OnTick) -> Iterator[None]:
    """Whatever happens, what workers have left is removed, and whoever watches is told of the end."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, CratedigError):  # what went wrong may befall this, too
            on_tick(True)
            for job in jobs:
                _clear(job)
        raise
    on_tick(True)
    for job in jobs:
        _clear(job)


def _fold(job: ShardJob, done: Sequence[int]) -> None:
    """Bring the ledgers up to date; not for a part, beside which others write."""
    if not isinstance(job, PartOfJob):
        for folder in {job.at(shard)[0] for shard in done}:
            fold(job.storage(), folder)


def run_jobs(jobs: Sequence[ShardJob], engine: Engine, stage: Stage, step: str) -> None:
    """Several jobs that need nothing of each other: in one pipeline where a Beam runner does them, since each pipeline
    costs a start; else one after the other.

    stage: told of each job before its progress is shown. step: what the pipeline is called.
    """
    if jobs and engine.on_beam:
        shared = [engine.share(job) for job in jobs]
        _run_on_beam(shared, engine, stage, job_name(shared[0], step))
    else:
        for job in jobs:
            run_job(job, engine, stage(engine.share(job)))


def _run_on_beam(jobs: Sequence[ShardJob], engine: Engine, stage: Stage, name: str) -> int:
    submitters = engine._submitters
    check_place(submitters.runner, jobs[0])
    with contextlib.ExitStack() as held:
        shown = InTurn(jobs, stage)
        for job in jobs:
            held.enter_context(job.storage().lock(engine.lock))
            if engine.part is None:
                settle_kept_job(job, submitters.runner, shown, note=engine.note, stall_s=engine.stall_s)
            _clear(job)
        works = [Work(job=job, todo=job.todo(), attempts=Attempts(job, engine.attempts)) for job in jobs]
        count = sum(len(work.todo) for work in works)
        if count:
            done = [(work.job, list(work.todo)) for work in works]
            with _clearing(jobs, shown):
                run_on_beam(works, shown, name=name, submitters=submitters, stall_s=engine.stall_s)
            for job, shards in done:
                _fold(job, shards)
    return count


def _clear(job: ShardJob) -> None:
    """Remove what workers that are gone have left behind, and mend a ledger that was damaged, where it is a copy; of a
    part, only its own signs: others are at work."""
    storage = job.storage()
    if isinstance(job, PartOfJob):
        forget_beats(storage, job.folder)
        where, mine = progress_folder(job.folder), job.shards
        for name in storage.list(where, ".json"):
            if (found := re.fullmatch(r"(?:shard|failed)-(\d+)\.json", name)) and int(found[1]) in mine:
                storage.remove(f"{where}/{name}")
        storage.remove_empty(where)
    else:
        storage.remove(progress_folder(job.folder))
        forget_beats(storage, job.folder)
        if not storage.is_object_store:
            for folder in {job.at(shard)[0] for shard in range(job.shard_count)}:
                storage.sweep(folder)
                if not ledger_holds(storage, folder):
                    fold(storage, folder)
    storage.remove_empty(posixpath.dirname(progress_folder(job.folder)))


def run_pipeline(build: Build, name: str, engine: Engine) -> None:
    """A pipeline that is no shard job, on the engine's runner."""
    if engine._submitters.runner.name == "DirectRunner":  # in this process
        pipeline = Runner(name=LOCAL).pipeline(name)
        build(pipeline)
        pipeline.run()
    else:
        run_build(build, name, engine._submitters)
