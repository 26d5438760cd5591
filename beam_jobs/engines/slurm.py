"""A crate on Slurm: array jobs that depend on each other, written, submitted, followed, and submitted again where they
fail. Which tasks are done is Slurm's to say; what they did stands in the crate."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BadInput, RunFailed

__all__ = ["Step", "Submission", "cancel_hint", "follow", "open_submission", "sbatch_line", "submit", "write_scripts"]

_ATTEMPTS = 3
_OVER_WELL = "COMPLETED"
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED")
_IDS = "jobs.json"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job: what each of its tasks runs."""

    name: str
    commands: Sequence[Sequence[str]]
    """One after the other, while each ends well; `{part}` in a word is K/N of the task."""
    parts: int = 1
    """Tasks; a job of one is no array."""
    sbatch: Sequence[str] = ()
    """Options of sbatch."""

    def script(self, job_name: str, folder: Path, cwd: Path) -> str:
        """The whole of what sbatch is given. `{part}` becomes the array's number, which only the task knows."""
        lines = ["#!/bin/bash", f"#SBATCH --job-name={job_name}-{self.name}"]
        task = "_%a" if self.parts > 1 else ""
        lines += [
            f"#SBATCH --output={folder}/{self.name}-%{'A' if task else 'j'}{task}.log",
            "#SBATCH --open-mode=append",
        ]
        lines += [f"#SBATCH {option}" for option in self.sbatch]
        lines += ["set -e", f"cd {shlex.quote(str(cwd))}"]
        part = f'"${{SLURM_ARRAY_TASK_ID}}/{self.parts}"'
        for number, command in enumerate(self.commands):
            words = " ".join(part if word == "{part}" else _word(word) for word in command)
            lines.append(f"exec {words}" if number + 1 == len(self.commands) else words)
        return "\n".join(lines) + "\n"


def _word(word: str) -> str:
    """Quoted, but for the count of CPUs that Slurm gives the task."""
    return word if word == "${SLURM_CPUS_PER_TASK:-1}" else shlex.quote(word)


@dataclass
class Submission:
    """Jobs of the steps of one crate; kept in a file, so that another command can follow them."""

    folder: Path
    steps: Mapping[str, Step]
    ids: dict[str, int]
    """Step -> its job, as last submitted."""
    asked: dict[str, list[int]]
    """Step -> the parts that were asked of that job."""

    def keep(self) -> None:
        (self.folder / _IDS).write_text(json.dumps({"ids": self.ids, "asked": self.asked}, indent=1) + "\n")

    def forget(self) -> None:
        (self.folder / _IDS).unlink(missing_ok=True)


def write_scripts(steps: Sequence[Step], job_name: str, folder: Path) -> dict[str, Path]:
    """Step -> its script in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for step in steps:
        found[step.name] = folder / f"{step.name}.sh"
        found[step.name].write_text(step.script(job_name, folder, Path.cwd()))
    return found


def open_submission(steps: Sequence[Step], folder: Path) -> Submission:
    """What an earlier command submitted and is not over; without jobs where there is none."""
    by_name = {step.name: step for step in steps}
    found = Submission(folder=folder, steps=by_name, ids={}, asked={})
    try:
        kept = json.loads((folder / _IDS).read_text())
        ids, asked = {str(n): int(i) for n, i in kept["ids"].items()}, kept["asked"]
    except (OSError, ValueError, KeyError, AttributeError):
        return found
    if set(ids) <= set(by_name) and _queue(ids.values()):
        found.ids, found.asked = ids, asked
    return found


def submit(submission: Submission, parts: Mapping[str, Sequence[int]]) -> None:
    """Submit the steps named in `parts`, in the order of the steps, each after the one before. Raises RunFailed where
    Slurm takes none."""
    before = 0
    for name in [name for name in submission.steps if name in parts]:
        submission.ids[name] = before = _sbatch(submission, name, parts[name], before)
        submission.asked[name] = list(parts[name])
        submission.keep()


def sbatch_line(submission: Submission, name: str, parts: Sequence[int], before: int | str) -> list[str]:
    """What submits one step."""
    step, line = submission.steps[name], ["sbatch", "--parsable", "--kill-on-invalid-dep=yes"]
    if before:
        line.append(f"--dependency=afterok:{before}")
    if step.parts > 1:
        line.append(f"--array={_ranges(parts)}")
    return [*line, str(submission.folder / f"{name}.sh")]


def follow(submission: Submission, say: Callable[[str], None], *, every_s: float = 10.0) -> None:
    """Until all is done; what failed is submitted again with all that follows. Raises RunFailed for a task that fails
    time after time, naming it and its log."""
    failures: Counter[tuple[str, int]] = Counter()
    said = ""
    while submission.ids:
        if (line := _state_line(submission)) and line != said:
            say(said := line)
        if _queue(submission.ids.values()):
            time.sleep(every_s)
            continue
        failed = {name: _failed(submission, name) for name in submission.ids}
        failed = {name: tasks for name, tasks in failed.items() if tasks}
        if not failed:
            submission.forget()
            return
        first = next(name for name in submission.steps if name in failed)
        again = {task: state for task, state in failed[first].items() if state != "NOT STARTED"}
        for task, state in sorted((again or failed[first]).items()):
            failures[first, task] += 1
            where = f"{first} part {task}" if submission.steps[first].parts > 1 else first
            log = _log(submission, first, task)
            if failures[first, task] >= _ATTEMPTS:
                raise RunFailed(
                    f"{where} failed {_ATTEMPTS} times on Slurm, at last as {state} ({_last_line(log)}); see {log}. "
                    "All that is done is kept; the same command goes on from there"
                )
            say(f"{where} ended as {state} ({_last_line(log)}); submitted again")
        later = list(submission.steps)[list(submission.steps).index(first) + 1 :]
        parts = {first: sorted(failed[first])} | {n: range(1, submission.steps[n].parts + 1) for n in later}
        submission.ids, submission.asked = {}, {}
        submit(submission, parts)


def cancel_hint(submission: Submission) -> str:
    return f"scancel {' '.join(map(str, submission.ids.values()))}"


def _sbatch(submission: Submission, name: str, parts: Sequence[int], before: int) -> int:
    said = _slurm(sbatch_line(submission, name, parts, before))
    return int(said.split(";")[0])


def _queue(ids: Iterable[int]) -> dict[int, Counter[str]]:
    """Job -> how many of its tasks are in which state, for those that are in the queue."""
    found: dict[int, Counter[str]] = {}
    asked = set(ids)
    for line in _slurm(["squeue", "--noheader", "--array", "--me", "--format=%F %T"]).splitlines():
        job, _, state = line.strip().partition(" ")
        if job.isdigit() and int(job) in asked and state != "COMPLETED":
            found.setdefault(int(job), Counter())[state] += 1
    return found


def _failed(submission: Submission, name: str) -> dict[int, str]:
    """Task -> state, of those of a job that did not end well. A job of one counts as task 1."""
    job, step = submission.ids[name], submission.steps[name]
    states = _states(job, array=step.parts > 1)
    return {task: state for task in submission.asked[name] if (state := states.get(task, "NOT STARTED")) != _OVER_WELL}


def _states(job: int, *, array: bool) -> dict[int, str]:
    """Task -> its last state: from the accounting where there is one, else from the controller, which remembers a job
    for some minutes."""
    found: dict[int, str] = {}
    try:
        for line in _slurm(
            ["sacct", "--noheader", "--allocations", "--parsable2", "--jobs", str(job), "--format=JobID,State"]
        ).splitlines():
            number, _, state = line.partition("|")
            task = number.partition("_")[2]
            if not array or task.isdigit():
                found[int(task) if array else 1] = state.split()[0]
    except RunFailed:
        found = {}
    if found:
        return found
    try:
        said = _slurm(["scontrol", "--oneliner", "show", "job", str(job)])
    except RunFailed:
        return {}
    for line in said.splitlines():
        words = dict(re.findall(r"(\w+)=(\S+)", line))
        task = words.get("ArrayTaskId", "")
        if not array or task.isdigit():
            found[int(task) if array else 1] = words.get("JobState", "UNKNOWN")
    return found


def _state_line(submission: Submission) -> str:
    """Such as `clips: 12 of 64 parts over, 8 at work; captions waits`."""
    queue = _queue(submission.ids.values())
    said: list[str] = []
    for name, job in submission.ids.items():
        states, asked = queue.get(job, Counter()), len(submission.asked[name])
        waiting = sum(states[state] for state in _WAITING)
        at_work = sum(states.values()) - waiting
        if not states or (waiting == asked and said):
            continue
        over = f"{asked - at_work - waiting} of {asked} parts over, " if asked > 1 else ""
        said.append(f"{name}: {over}{at_work} at work" if at_work else f"{name}: {over}waiting for its turn")
    return "; ".join(said)


def _log(submission: Submission, name: str, task: int) -> Path:
    job = submission.ids[name]
    return submission.folder / f"{name}-{job}{f'_{task}' if submission.steps[name].parts > 1 else ''}.log"


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return "it wrote no log"
    return lines[-1].strip()[:300] if lines else "its log is empty"


def _ranges(parts: Sequence[int]) -> str:
    """`1-4,7`, as --array takes it."""
    runs: list[list[int]] = []
    for part in sorted(parts):
        if runs and runs[-1][1] + 1 == part:
            runs[-1][1] = part
        else:
            runs.append([part, part])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _slurm(line: Sequence[str]) -> str:
    """Raises BadInput where Slurm is not installed, RunFailed with its words where it refuses."""
    if shutil.which(line[0]) is None:
        raise BadInput(
            f"{line[0]} is not on the PATH: this is not a machine that submits to Slurm; --dry-run shows what would be "
            "done, and `cratedig clips CRATE --part 3/64` is what any other scheduler can start"
        )
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise RunFailed(f"{line[0]} refused: {words or f'exit code {done.returncode}'}")
    return done.stdout
