"""Dataflow without a network: the job that would be sent, its graph, its container, and what is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.engine import Engine, run_job
from beam_jobs.engines.runners import find_runner, job_name
from beam_jobs.job import run_shards
from pipeline.errors import BadInput
from tests.beam_jobs.counting_job import CountingJob

OPTIONS = (
    "--project=a-project --region=europe-west4 --temp_location=gs://bucket/tmp --max_num_workers=50",
    "--sdk_container_image=europe-west4-docker.pkg.dev/a-project/repo/cratedig:1",
    "--dataflow_service_options=worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver",
)


@pytest.fixture(autouse=True)
def _packages() -> None:
    pytest.importorskip(
        "google.cloud.dataflow", reason="Beam's packages for Google Cloud: pip install -e '.[dataflow]'"
    )


def test_the_job_that_would_be_sent(tmp_path: Path) -> None:
    from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, WorkerOptions
    from apache_beam.portability.api import beam_runner_api_pb2

    job = CountingJob(root=str(tmp_path / "My Crate"))
    words = [word for text in OPTIONS for word in text.split()]
    runner = find_runner("dataflow", [*words, "--dry_run=True", "--no_auth"])
    pipeline = runner.pipeline(job_name(job))
    run_shards(pipeline, job, [0, 1, 2])
    sent = pipeline.run().job
    assert sent.google_cloud_options.job_name == job_name(job)
    assert sent.google_cloud_options.job_name.startswith("cratedig-my-crate-numbers-")
    assert sent.options.view_as(WorkerOptions).max_num_workers == 50
    assert sent.options.view_as(GoogleCloudOptions).dataflow_service_options == [words[-1].partition("=")[2]]
    assert sent.options.view_as(DebugOptions) is not None
    parts = sent.proto_pipeline.components
    (environment,) = parts.environments.values()
    payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
    assert payload.container_image == "europe-west4-docker.pkg.dev/a-project/repo/cratedig:1"
    assert not environment.dependencies, "the container holds all; nothing is installed when a worker starts"
    steps = [step.unique_name for step in parts.transforms.values()]
    assert any(step.startswith("Shards of numbers") for step in steps)
    assert any("GroupByKey" in step for step in steps), "shards are dealt out anew, not fused with their source"
    last = next(step for step in parts.transforms.values() if step.unique_name == "numbers")
    assert last.spec.urn == "beam:transform:pardo:v1"


def test_what_is_missing_and_what_its_workers_cannot_see(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs --project, --region, --temp_location among --beam-options"):
        Engine(runner="dataflow", workers=1).check()
    with pytest.raises(BadInput, match=r"Beam's own container, which has no cratedig; build one from Containerfile"):
        Engine(runner="dataflow", workers=1, beam_options=OPTIONS[:1]).check()
    engine = Engine(runner="dataflow", workers=1, beam_options=OPTIONS)
    engine.check()
    with pytest.raises(BadInput, match=r"cannot see .*; give the crate, its input .* gs:// addresses"):
        run_job(CountingJob(root=str(tmp_path)), engine)
