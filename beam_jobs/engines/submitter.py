"""The process that hands pipelines to a Beam runner: in a group of its own with all that the runner starts, so that it
can be ended whole; what it says goes to a file. It is kept from one job to the next, and so is a job server."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from beam_jobs.engines.runner_log import last_words
from beam_jobs.engines.runners import Runner
from pipeline.process import Terminated, die_with_parent, end_group_with_this, kill_group

__all__ = ["Build", "Submitter", "speak_into"]

Build = Callable[[Any], object]
"""Picklable; puts its steps on the pipeline that it is given."""
_SPAWN = multiprocessing.get_context("spawn")
_CANCEL_S, _END_S = 15.0, 25.0


class Submitter:
    """The driver's end of it."""

    def __init__(self, runner: Runner, log: Path) -> None:
        self._scratch = tempfile.mkdtemp(prefix="cratedig-")
        self.line, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=submitter_main, args=(theirs, os.getpid(), runner, os.fspath(log), self._scratch)
        )
        self.process.start()
        theirs.close()
        self.job_id = ""
        """Of the job in work, once the runner has said it."""
        self.words, self.final = "", False
        """Of the last job that failed; and whether a second try is pointless."""

    def submit(self, name: str, build: Build) -> None:
        self.job_id, self.words, self.final = "", "", False
        self.line.send((name, build))

    def wait(self, timeout_s: float) -> Literal["at work", "done", "failed"]:
        """What has become of the job by then."""
        if not self.line.poll(timeout_s):
            return "at work"
        try:
            kind, said = self.line.recv()
        except (EOFError, OSError):
            self.process.join(timeout=10)
            self.words = self.words or f"the process that submits ended with exit code {self.process.exitcode}"
            return "failed"
        if kind == "job":
            self.job_id = said
            return "at work"
        if kind == "failed":
            self.words, self.final = last_words(said)
            return "failed"
        return "done"

    def end(self) -> None:
        """The job in work is cancelled where it is, then everything that was started here is gone."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(timeout=_END_S)
        if self.process.pid is not None:
            kill_group(self.process.pid)
        self.process.join()
        self.line.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def submitter_main(line: Connection, parent: int, runner: Runner, log: str, scratch: str) -> None:
    """Runs in its own process: takes a pipeline, runs it, takes the next; ends with the driver, or after a failure."""
    os.setpgrp()
    die_with_parent(parent)
    end_group_with_this(os.getpid())
    speak_into(log)
    tempfile.tempdir = os.environ["TMPDIR"] = scratch
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        opened = _with_one_job_server(runner.open())
        while True:
            name, build = line.recv()
            _run(line, runner.pipeline(name, opened), build)
            line.send(("done", ""))
    except (EOFError, Terminated):
        code = 0
    except BaseException as error:
        said = "".join(traceback.format_exception(error))
        logging.getLogger("cratedig").error("%s", said)
        with contextlib.suppress(OSError):
            line.send(("failed", said))
    os._exit(code)  # the driver ends what was started here; Beam's own way takes seconds


def _run(line: Connection, pipeline: Any, build: Build) -> None:
    build(pipeline)
    result = pipeline.run()
    try:
        line.send(("job", str(getattr(result, "_job_id", "") or "")))
        result.wait_until_finish()
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _cancel(result)
        raise


def _cancel(result: Any) -> None:
    """Cancel a job and wait until its runner says that it is over."""
    from apache_beam.runners.runner import PipelineState

    with contextlib.suppress(Exception):
        result.cancel()
        deadline = time.monotonic() + _CANCEL_S
        while not PipelineState.is_terminal(result.state) and time.monotonic() < deadline:
            time.sleep(0.2)


def _with_one_job_server(opened: Any) -> Any:
    """Beam starts a job server, a Java program, for each pipeline; this runner keeps its first."""
    if start := getattr(opened, "default_job_server", None):
        servers: list[Any] = []

        def kept(options: Any) -> Any:
            servers[:] = servers or [start(options)]
            return servers[0]

        opened.default_job_server = kept
    return opened


def _interrupt(number: int, frame: Any) -> None:
    raise Terminated


def speak_into(log: str) -> None:
    """Whatever this process and its children print, and all that is logged, into one file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
