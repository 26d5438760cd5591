"""Whether a runner can start at all, found out before any work: programs, jars, packages, endpoints."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from beam_jobs.engines.runners import LOCAL, Runner
from beam_jobs.job import ShardJob
from pipeline.errors import BadInput
from pipeline.installation import install_command

__all__ = ["check_place", "check_runner", "ignored_options"]

_ANSWER_S = 5.0
_WORKERS_NEED = (
    "give a container that has it (--environment_type=DOCKER --environment_config=IMAGE, see Containerfile), a pool "
    "beside each worker (--environment_type=EXTERNAL --environment_config=HOST:PORT), or a command that starts one "
    '(--environment_type=PROCESS --environment_config=\'{"command": "/path/to/boot"}\'); docs/cluster.md'
)


def check_runner(runner: Runner) -> None:
    """Raises BadInput, in one line with what to do, where this runner cannot start as it is asked to."""
    if runner.name == LOCAL:
        return
    options = runner.parsed()
    checks: dict[str, Callable[[Runner, Any], None]] = {
        "FlinkRunner": _check_flink,
        "SparkRunner": _check_spark,
        "PrismRunner": _check_prism,
        "PortableRunner": _check_portable,
        "DaskRunner": _check_dask,
        "DataflowRunner": _check_dataflow,
    }
    if check := checks.get(runner.name):
        check(runner, options)


def check_place(runner: Runner, job: ShardJob) -> None:
    """Raises BadInput where the runner's workers are certain not to see the job's folder."""
    storage = job.storage()
    if runner.name == "DataflowRunner" and storage.is_local:
        raise BadInput(
            f"{runner.name}: its workers are on Google's machines and cannot see {storage.url}; give the crate, its "
            "input and its vocabularies gs:// addresses"
        )


def ignored_options(runner: Runner) -> list[str]:
    """Options that Beam itself does not know: another runner's, or misspelt. A job server may know more of them."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for known in {str(known): known for known in PipelineOptions.__subclasses__()}.values():
        known._add_argparse_args(parser)
    return [option for option in parser.parse_known_args(runner.options)[1] if option.startswith("--")]


@contextlib.contextmanager
def _beam_is_quiet() -> Iterator[None]:
    log = logging.getLogger("apache_beam")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _check_flink(runner: Runner, options: Any) -> None:
    from apache_beam.options.pipeline_options import FlinkRunnerOptions
    from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

    kind, address = runner.place
    if kind == "flink":
        seen = _ask(runner, f"{address}/overview", "Flink", "--flink_master")
        if not seen.get("slots-total", 1):
            raise BadInput(f"{runner.name}: the Flink at {address} has no task manager; start one")
    if kind == "job service":
        _connect(runner, address, "job service", "--job_endpoint")
    elif not options.view_as(FlinkRunnerOptions).flink_submit_uber_jar:
        _check_job_server(runner, options, FlinkJarJobServer(options), "flink")
    if kind:
        _check_environment(runner, options)


def _check_spark(runner: Runner, options: Any) -> None:
    from apache_beam.options.pipeline_options import SparkRunnerOptions
    from apache_beam.runners.portability.spark_runner import SparkJarJobServer

    spark = options.view_as(SparkRunnerOptions)
    kind, address = runner.place
    if kind == "job service":
        _connect(runner, address, "job service", "--job_endpoint")
    elif not spark.spark_submit_uber_jar:
        _check_job_server(runner, options, SparkJarJobServer(options), "spark")
    if spark.spark_master_url.startswith("spark://"):
        _connect(runner, spark.spark_master_url.removeprefix("spark://"), "Spark", "--spark_master_url")
    if kind or not spark.spark_master_url.startswith("local"):
        _check_environment(runner, options)


def _check_prism(runner: Runner, options: Any) -> None:
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    kind, address = runner.place
    if kind:
        _connect(runner, address, "job service", "--job_endpoint")
        return
    from apache_beam.options.pipeline_options import PrismRunnerOptions

    given = options.view_as(PrismRunnerOptions).prism_location
    if given and "://" not in given and not Path(given).exists():
        raise BadInput(f"{runner.name}: --prism_location={given}: there is no such file")
    with _explained(runner, "Beam's Prism", "--prism_location=FILE"):
        PrismJobServer(options)._get_executable_path()


def _check_portable(runner: Runner, options: Any) -> None:
    from apache_beam.options.pipeline_options import PortableOptions

    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint:
        raise BadInput(
            f"{runner.name} hands its jobs to a job service, and none is given; give --beam-options "
            "--job_endpoint=HOST:PORT, or name the runner behind it (FlinkRunner, SparkRunner, PrismRunner)"
        )
    if endpoint != "embed":
        _connect(runner, endpoint, "job service", "--job_endpoint")
        _check_environment(runner, options)


def _check_dask(runner: Runner, options: Any) -> None:
    from beam_jobs.engines.on_dask import scheduler_address

    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise BadInput(
            f"{runner.name} needs dask.distributed, which is not installed; install it: {install_command('dask')}"
        ) from error
    address = scheduler_address(options)
    if address:
        _connect(runner, address.rpartition("//")[2], "Dask scheduler", "--dask_client_address")


def _check_dataflow(runner: Runner, options: Any) -> None:
    from apache_beam.options.pipeline_options import GoogleCloudOptions, WorkerOptions

    runner.open()
    try:
        import apache_beam.runners.dataflow.internal.apiclient  # noqa: F401
    except ImportError as error:
        raise BadInput(
            f"{runner.name} needs Beam's packages for Google Cloud ({error}); "
            f"install them: {install_command('dataflow')}"
        ) from error
    cloud = options.view_as(GoogleCloudOptions)
    needed = {"project": cloud.project, "region": cloud.region, "temp_location": cloud.temp_location}
    if absent := [f"--{name}" for name, value in needed.items() if not value]:
        raise BadInput(f"{runner.name} needs {', '.join(absent)} among --beam-options; docs/cluster.md has an example")
    if not options.view_as(WorkerOptions).sdk_container_image:
        raise BadInput(
            f"{runner.name}: workers would start in Beam's own container, which has no cratedig; build one from "
            "Containerfile and give --sdk_container_image=IMAGE"
        )


def _check_environment(runner: Runner, options: Any) -> None:
    """Workers of a cluster start in Beam's own container unless another place is given, and that has no cratedig."""
    from apache_beam.options.pipeline_options import PortableOptions, WorkerOptions

    portable = options.view_as(PortableOptions)
    kind = (portable.environment_type or "DOCKER").upper()
    image = options.view_as(WorkerOptions).sdk_container_image
    given = portable.environment_config or portable.environment_options or image
    if kind in ("DOCKER", "EXTERNAL", "PROCESS") and not given:
        what = "in Beam's own container" if kind == "DOCKER" else "nowhere: no --environment_config is given"
        raise BadInput(f"{runner.name}: workers would start {what}, and they need cratedig; {_WORKERS_NEED}")


def _check_job_server(runner: Runner, options: Any, server: Any, kind: str) -> None:
    """Java and the jar of Beam's job server, which Beam fetches where it is not given."""
    from apache_beam.options.pipeline_options import JobServerOptions

    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise BadInput(
            f"{runner.name} starts Beam's job server, a Java program, and there is no {java!r}; install Java 11 or "
            "later, or give --beam-options --job_endpoint=HOST:PORT of a job server that runs elsewhere"
        )
    given = server._jar
    if given and "://" not in given and not Path(given).exists():
        raise BadInput(f"{runner.name}: --{kind}_job_server_jar={given}: there is no such file")
    option = f"--{kind}_job_server_jar=FILE"
    with _explained(runner, "Beam's job server", f"{option}, or --job_endpoint=HOST:PORT of one that runs"):
        server.local_jar(server.path_to_jar(), options.view_as(JobServerOptions).jar_cache_dir)


@contextlib.contextmanager
def _explained(runner: Runner, what: str, remedy: str) -> Iterator[None]:
    try:
        with _beam_is_quiet():
            yield
    except (OSError, RuntimeError, ValueError) as error:
        said = re.split(r"\.? (?:If|Also) ", str(error))[0].splitlines()[0].rstrip(".")
        raise BadInput(
            f"{runner.name} needs {what}, which is not here and could not be fetched ({said[:300]}); "
            f"give --beam-options {remedy}"
        ) from error


def _connect(runner: Runner, address: str, what: str, option: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
            return
    except ValueError as error:
        raise BadInput(f"{runner.name}: {option}={address}: expected HOST:PORT") from error
    except OSError as error:
        raise BadInput(_silent(runner, what, address, option, error)) from error


def _ask(runner: Runner, url: str, what: str, option: str) -> dict[str, Any]:
    """What a REST interface answers."""
    address = url.rpartition("/")[0]
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:
            found = json.load(answer)
    except (OSError, urllib.error.URLError) as error:
        raise BadInput(_silent(runner, what, address, option, error)) from error
    except ValueError as error:
        raise BadInput(f"{runner.name}: what answers at {address} is no {what}; mend {option}") from error
    return found if isinstance(found, dict) else {}


def _silent(runner: Runner, what: str, address: str, option: str, error: Exception) -> str:
    said = getattr(error, "reason", None) or error
    reason = os.strerror(said.errno) if isinstance(said, OSError) and said.errno and said.errno > 0 else str(said)
    return f"{runner.name}: no {what} answers at {address} ({reason}); start it, or mend {option}"
