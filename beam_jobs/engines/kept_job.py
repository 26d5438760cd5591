"""A job that goes on elsewhere when its driver is gone: noted in the crate, so that the next command finds it."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any, Literal

from beam_jobs.job import ShardJob
from pipeline.errors import CratedigError
from pipeline.storage import Storage

__all__ = ["FOLDER", "KeptJob", "State", "forget_job", "keep_job", "kept_job"]

FOLDER = ".jobs"
"""Below the crate's root; gone when nothing runs."""
_ANSWER_S = 10.0
_FLINK_OVER = ("FAILED", "FINISHED", "CANCELED", "SUSPENDED")

State = Literal["at work", "over", "unknown"]


@dataclass(frozen=True, kw_only=True)
class KeptJob:
    """What it takes to find a job again."""

    name: str
    """As the runner's own pages show it."""
    kind: str
    address: str
    """See `Runner.place`."""
    job_id: str = ""
    """The job service's, where it is known: a driver may be killed before."""
    since: float
    """Seconds since the epoch."""

    def __str__(self) -> str:
        return f"{self.name} on {self.kind} {self.address}"

    def state(self) -> State:
        """`unknown` where nobody answers for it."""
        try:
            if self.kind == "flink":
                return "at work" if self._flink_ids() else "over"
            if self.kind == "job service":
                return "at work" if self._service_ids() else "over"
        except Exception:  # grpc and urllib have no common error
            return "unknown"
        return "unknown"

    def cancel(self, wait_s: float = 20.0) -> State:
        """Ask for its end and wait for it."""
        deadline = time.monotonic() + wait_s
        with contextlib.suppress(Exception):
            for found in self._flink_ids() if self.kind == "flink" else []:
                request = urllib.request.Request(f"{self.address}/jobs/{found}?mode=cancel", method="PATCH")
                urllib.request.urlopen(request, timeout=_ANSWER_S).close()
            for found in self._service_ids() if self.kind == "job service" else []:
                from apache_beam.portability.api import beam_job_api_pb2

                self._service().Cancel(beam_job_api_pb2.CancelJobRequest(job_id=found), timeout=_ANSWER_S)
        while (state := self.state()) == "at work" and time.monotonic() < deadline:
            time.sleep(0.5)
        return state

    def _flink_ids(self) -> list[str]:
        with urllib.request.urlopen(f"{self.address}/jobs/overview", timeout=_ANSWER_S) as answer:
            jobs = json.load(answer)["jobs"]
        return [job["jid"] for job in jobs if job["name"] == self.name and job["state"] not in _FLINK_OVER]

    def _service_ids(self) -> list[str]:
        from apache_beam.portability.api import beam_job_api_pb2
        from apache_beam.runners.portability.portable_runner import TERMINAL_STATES

        found = self._service().GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=_ANSWER_S).job_info
        mine = [job for job in found if job.job_id == self.job_id or (not self.job_id and self.name in job.job_name)]
        return [job.job_id for job in mine if job.state not in TERMINAL_STATES]

    def _service(self) -> Any:
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2_grpc

        return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(self.address))


def kept_job(job: ShardJob) -> KeptJob | None:
    """The one that a driver left behind; None where none was."""
    storage, name = job.storage(), _file(job)
    if not storage.exists(name):
        return None
    try:
        return KeptJob(**storage.read_json(name))
    except (CratedigError, TypeError):
        return None


def keep_job(job: ShardJob, kept: KeptJob) -> None:
    job.storage().write_json(_file(job), asdict(kept))


def forget_job(job: ShardJob) -> None:
    storage: Storage = job.storage()
    storage.remove(_file(job))
    if not storage.list(FOLDER):
        storage.remove(FOLDER)


def _file(job: ShardJob) -> str:
    return f"{FOLDER}/{job.folder.replace('/', '-')}.json"
