"""Beam runners by name, their options, and the pipeline that runs on them."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import io
import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beam_jobs.job import ShardJob
from pipeline.errors import BadInput
from pipeline.installation import install_command

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

__all__ = ["LOCAL", "RUNNERS", "Runner", "find_runner", "job_name", "split_options", "web_address"]

LOCAL = "local"
RUNNERS = (
    "DirectRunner",
    "PortableRunner",
    "FlinkRunner",
    "SparkRunner",
    "PrismRunner",
    "DaskRunner",
    "DataflowRunner",
)
"""Those that cratedig knows how to start, watch and end. Any other is given by its class, `module.Class`."""
_MAGIC_MASTERS = ("[local]", "[auto]", "[collection]")


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A runner and what was asked of it; picklable."""

    name: str
    """One of `RUNNERS`, or `module.Class`."""
    options: tuple[str, ...] = ()
    """Beam's own, as on a command line."""
    workers: int = 1
    """Processes of this machine, where the runner starts them here."""

    def parsed(self) -> PipelineOptions:
        """Raises BadInput for an option whose value Beam does not take."""
        from apache_beam.options.pipeline_options import PipelineOptions

        given = list(self.options)
        # DirectRunner means FnApiRunner here: since Beam 2.6x it would first try to download another runner.
        if self.name == "DirectRunner" and not any(option.startswith("--direct_") for option in given):
            given += ["--direct_running_mode=multi_processing", f"--direct_num_workers={self.workers}"]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                options = PipelineOptions(given)
                options.get_all_options(retain_unknown_options=True)
            except SystemExit as error:  # argparse has said why
                why = said.getvalue().strip().rpartition("error: ")[2]
                raise BadInput(f"--beam-options {shlex.join(self.options)}: {why}") from error
        return options

    def open(self) -> Any:
        """Beam's runner object. Raises BadInput where its package is not installed."""
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.runners.runner import create_runner

        if self.name in (LOCAL, "DirectRunner"):
            return FnApiRunner()
        try:
            return create_runner(self.name)
        except (ImportError, AttributeError, ValueError) as error:
            raise BadInput(f"--runner {self.name}: {_missing(self.name, error)}") from error

    def pipeline(self, name: str, opened: Any = None) -> beam.Pipeline:
        """An empty pipeline; `name` is what the runner's own pages call the job, unless --job_name is given.

        opened: the runner object to use, where one is kept.
        """
        import apache_beam as beam

        # All that workers unpickle is in modules; the session of this process is nothing to them.
        options = (f"--job_name={name}", "--no_save_main_session", *self.options)
        parsed = Runner(name=self.name, options=options, workers=self.workers).parsed()
        return beam.Pipeline(runner=opened or self.open(), options=parsed)

    @property
    def place(self) -> tuple[str, str]:
        """Where a job goes on when this process is gone, and what it is asked by: `flink` and a URL, `job service` and
        HOST:PORT, `dataflow` and PROJECT/REGION. Two empty strings where it ends with this process."""
        from apache_beam.options.pipeline_options import FlinkRunnerOptions, GoogleCloudOptions, PortableOptions

        options = self.parsed()
        endpoint = options.view_as(PortableOptions).job_endpoint
        if endpoint:
            return ("job service", endpoint) if endpoint != "embed" else ("", "")
        if self.name == "FlinkRunner":
            master = options.view_as(FlinkRunnerOptions).flink_master.strip()
            return ("flink", web_address(master)) if master not in _MAGIC_MASTERS else ("", "")
        if self.name == "DataflowRunner":
            cloud = options.view_as(GoogleCloudOptions)
            return "dataflow", f"{cloud.project}/{cloud.region}"
        return "", ""


def web_address(master: str) -> str:
    """A Flink master as the URL of its REST interface."""
    return (master if re.match("https?://", master) else f"http://{master}").rstrip("/")


def find_runner(name: str, options: Iterable[str] = (), *, workers: int = 1) -> Runner:
    """A runner by name, in any case and with or without `Runner`, or by class. Raises BadInput where there is none."""
    given = tuple(options)
    known = {spelt: runner for runner in RUNNERS for spelt in (runner.lower(), runner.lower().removesuffix("runner"))}
    if found := known.get(name.lower()):
        return Runner(name=found, options=given, workers=workers)
    if "." not in name:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        meant = f"; {known[near[0]]}, perhaps?" if near else ""
        raise BadInput(
            f"--runner {name!r}{meant} Expected {LOCAL}, one of {', '.join(RUNNERS)}, or the class of another Beam "
            "runner, such as package.module.TheirRunner"
        )
    module, _, attribute = name.rpartition(".")
    try:
        getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"--runner {name}: {_missing(name, error)}") from error
    return Runner(name=name, options=given, workers=workers)


def split_options(text: str) -> list[str]:
    """Options as a shell splits them; one alone whose value is JSON is taken as it stands."""
    if re.fullmatch(r"\s*--\w+[= ]\{.*\}\s*", text, re.DOTALL) and " --" not in text.strip():
        return [text.strip().replace(" ", "=", 1) if "=" not in text.split("{")[0] else text.strip()]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--beam-options {text!r}: {error}") from error


def job_name(job: ShardJob, step: str = "") -> str:
    """`cratedig-mycrate-clips-1f2e3d`: crate, step (the job's title), and a hash of where the crate lies; letters,
    digits and hyphens."""
    root = job.storage().url.rstrip("/")
    where = hashlib.blake2b(root.encode(), digest_size=3).hexdigest()
    said = _slug(f"cratedig {posixpath.basename(root)} {step or job.title}")
    return f"{said[:80]}-{where}"


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _missing(name: str, error: Exception) -> str:
    """What is not there, and what brings it."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    for runner, extra in (("dataflow", "dataflow"), ("dask", "dask")):
        if runner in name.lower():
            return f"its package is not installed ({said}); install it: {install_command(extra)}"
    return f"cannot be loaded ({said}); give the class as package.module.Class, with its package installed"
