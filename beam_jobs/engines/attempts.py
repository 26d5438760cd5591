"""Which shards of a job failed, how often and with what words; who is tried again, and when that is pointless."""

from __future__ import annotations

from collections import Counter

from beam_jobs.job import ShardJob
from pipeline.errors import RunFailed
from pipeline.progress import Failure, read_failure

__all__ = ["Attempts"]


class Attempts:
    """Bounded attempts for every shard of one job."""

    def __init__(self, job: ShardJob, attempts: int) -> None:
        self._job, self._attempts = job, attempts
        self._failures: Counter[int | None] = Counter()
        self._words: dict[int | None, str] = {}

    def record(self, shard: int | None, otherwise: str, *, final: bool = False) -> bool:
        """Note a failure; True when the shard is to be tried again. Raises RunFailed where that is pointless.

        shard: None where workers ended before they had one.
        otherwise, final: what is known of it where the worker left no word, and whether a second try is pointless.
        """
        failure = read_failure(self._job.storage(), self._job.folder, shard) or Failure(
            message=otherwise, final=final, traceback=""
        )
        if failure.final:
            raise RunFailed(failure.message)
        self._failures[shard] += 1
        self._words[shard] = failure.message
        if self._failures[shard] < self._attempts:
            return True
        if shard is None:
            raise RunFailed(
                f"workers of {self._job.folder} end before they begin, {self._attempts} times: {failure.message}"
            )
        return False

    def close(self) -> None:
        """Raises RunFailed where shards were given up."""
        given_up = sorted(s for s, n in self._failures.items() if s is not None and n >= self._attempts)
        if given_up:
            first = given_up[0]
            raise RunFailed(
                f"{len(given_up)} of {self._job.shard_count} shards of {self._job.folder} failed {self._attempts} "
                f"times each; shard {first}: {self._words[first]}. All others are done; run the same command again "
                "to try these"
            )
