"""`cratedig slurm`: a planned crate as array jobs of Slurm, followed to their end."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cratedig.options import add_command, add_embedder_options, add_label_options

if TYPE_CHECKING:
    from beam_jobs.engines.slurm import Step, Submission
    from pipeline.crate.crate import Crate

__all__ = ["add_parser"]

_CPUS = "${SLURM_CPUS_PER_TASK:-1}"


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "slurm",
        help="mine a planned crate by array jobs on Slurm",
        about="Write batch scripts for clips, captions, candidates, count, labels and verify, submit them so that each "
        "waits for the one before, follow them, and submit again what failed, up to three times. Run it again to go on "
        "after an interruption: it follows what is still queued and submits what is left. The crate, its input and its "
        "vocabularies must lie where every node sees them. Other schedulers: cratedig clips CRATE --part 3/64 "
        "(docs/cluster.md).",
        example="  cratedig plan songs.csv --out /shared/crate\n"
        "  cratedig slurm /shared/crate --parts 64 --cpus 8 --mem 24G --time 8:00:00 --dry-run\n"
        "  cratedig slurm /shared/crate --parts 64 --cpus 8 --mem 24G --time 8:00:00 --sbatch=--partition=long",
        run=_run,
    )
    parser.add_argument("crate", help="folder that `cratedig plan` began")
    parser.add_argument("--dry-run", action="store_true", help="print scripts and commands, write and submit nothing")
    parser.add_argument("--detach", action="store_true", help="submit and end; the same command follows later")
    group = parser.add_argument_group("jobs")
    group.add_argument(
        "--parts", type=int, default=16, metavar="N", help="tasks of an array (default: 16, or one a shard)"
    )
    group.add_argument("--cpus", type=int, default=1, metavar="N", help="CPUs, and workers, of a task (default: 1)")
    group.add_argument("--mem", metavar="SIZE", help="memory of a task, such as 8G (default: the cluster's)")
    group.add_argument("--time", metavar="LIMIT", help="of a task, such as 8:00:00 (default: the cluster's)")
    group.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="any other option of sbatch, as often as you like: --sbatch=--partition=gpu --sbatch=--gres=gpu:1",
    )
    group.add_argument("--scripts", metavar="DIR", help="scripts and logs (default: CRATE.slurm, or ./NAME.slurm)")
    group.add_argument(
        "--max-reject-share", type=float, default=0.2, metavar="X", help="as of `cratedig clips` (default: 0.2)"
    )
    add_label_options(parser)
    add_embedder_options(parser, default=None)


def _run(args: argparse.Namespace) -> int:
    from beam_jobs.engines.slurm import cancel_hint, follow, open_submission, submit, write_scripts
    from pipeline.crate.crate import Crate
    from pipeline.errors import BadInput

    if args.parts < 1 or args.cpus < 1:
        raise BadInput(f"--parts {args.parts} --cpus {args.cpus}: expected 1 or more of each")
    crate = Crate.open(args.crate)
    crate.require_settled()
    steps = _steps(args, crate)
    folder = _folder(args, crate)
    name = f"cratedig-{Path(crate.storage.root).name}"
    if args.dry_run:
        _print_dry_run(steps, crate, folder, name)
        return 0
    submission = open_submission(steps, folder)
    if submission.ids:
        print(f"following the jobs that are queued already: {_ids(submission)}")
    else:
        write_scripts(steps, name, folder)
        submit(submission, _left(steps, crate))
        print(f"submitted: {_ids(submission)}; scripts and logs: {folder}")
    if args.detach:
        print("the same command follows them and submits again what fails")
        return 0
    try:
        follow(submission, lambda line: print(line, flush=True), every_s=2 if sys.stderr.isatty() else 5)
    except KeyboardInterrupt:
        print(
            f"\nthe jobs go on; the same command follows them; to end them: {cancel_hint(submission)}", file=sys.stderr
        )
        raise
    print(f"done: {crate.storage.url}")
    return 0


def _steps(args: argparse.Namespace, crate: Crate) -> list[Step]:
    from beam_jobs.engines.slurm import Step
    from cratedig.options import label_words

    url, parts = crate.storage.url, max(1, min(args.parts, len(crate.shards)))
    program = [sys.executable, "-m", "cratedig"]
    model = ["--device", args.device, *(["--embedder", args.embedder] if args.embedder else [])]
    work = ["--workers", _CPUS]
    clips = [*program, "clips", url, *model, *work]
    label = [*program, "label", url, *label_words(args), *model, *work]
    asked = [f"--cpus-per-task={args.cpus}"]
    asked += [f"--mem={args.mem}"] if args.mem else []
    asked += [f"--time={args.time}"] if args.time else []
    asked += args.sbatch

    def step(name: str, *commands: list[str], parts: int = 1) -> Step:
        return Step(name=name, commands=commands, parts=parts, sbatch=asked)

    part = ["--part", "{part}"] if parts > 1 else []
    whole = [*clips, "--max-reject-share", str(args.max_reject_share)]
    return [
        step("clips", [*clips, *part], parts=parts),
        step("captions", whole, [*label, "--step", "captions"]),
        step("candidates", [*label, "--step", "candidates", *part], parts=parts),
        step("count", [*label, "--step", "count"]),
        step("labels", [*label, "--step", "labels", *part], parts=parts),
        step("verify", label, [*program, "verify", url], [*program, "report", url]),
    ]


def _left(steps: list[Step], crate: Crate) -> dict[str, list[int]]:
    """Step -> the parts to be done: of clips those with a shard that is not, of the others all."""
    from beam_jobs.clips import ClipsJob
    from beam_jobs.engines.parts import Part

    job = ClipsJob(root=crate.storage.url, pours=crate.pour_shards, embedder=crate.embedder_source)
    todo = set(job.todo())
    left = {step.name: list(range(1, step.parts + 1)) for step in steps}
    parts = steps[0].parts
    left["clips"] = [k for k in left["clips"] if todo & set(Part(number=k, of=parts).shards(job.shard_count))]
    return {name: tasks for name, tasks in left.items() if tasks}


def _folder(args: argparse.Namespace, crate: Crate) -> Path:
    if args.scripts:
        return Path(args.scripts).absolute()
    beside = Path(crate.storage.root).parent if crate.storage.is_local else Path.cwd()
    return beside / f"{Path(crate.storage.root).name}.slurm"


def _print_dry_run(steps: list[Step], crate: Crate, folder: Path, name: str) -> None:
    from beam_jobs.engines.slurm import Submission, sbatch_line

    left = _left(steps, crate)
    submission = Submission(folder=folder, steps={step.name: step for step in steps}, ids={}, asked={})
    before = ""
    for step in steps:
        if step.name not in left:
            print(f"{step.name}: done already\n")
            continue
        print(f"{folder}/{step.name}.sh:")
        print("".join(f"  {line}\n" for line in step.script(name, folder, Path.cwd()).splitlines()), end="")
        print(f"$ {shlex.join(sbatch_line(submission, step.name, left[step.name], before))}\n")
        before = f"ID_OF_{step.name.upper()}"
    print("dry run: nothing was written or submitted")


def _ids(submission: Submission) -> str:
    return ", ".join(f"{name} {job}" for name, job in submission.ids.items())
