"""Chaos: a mine that is disturbed in every way that a machine has, and must end with the hash of a calm one.

    python -m benchmarks.chaos                       each fault once
    python -m benchmarks.chaos --runs 100 --seed 0   so many runs: each fault once, then faults drawn by the seed
    python -m benchmarks.chaos --only full,flips     some of them

Eight short files, a tiny random model and tiny vocabularies: the runs are about bookkeeping. Each runs the real command
in processes of its own. Where it fails it must say so in one line, without a traceback, and the same command, typed
again when the fault is mended, must end with the calm crate's content hash. `flips` and `markers` damage files of a
finished crate: `verify` must find every flip, a rerun must mend every marker. Faults that this machine cannot have
(mounts of its own, control groups, an object store) are skipped with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.chaos_arena import LIMIT_S, Arena, Skipped, prepare, require
from benchmarks.faults import content_hash, process_tree, role
from pipeline.crate.crate import Crate
from pipeline.crate.verify import verify_crate
from pipeline.errors import CratedigError


def killed(victim: str, options: Callable[[], Sequence[str]] = tuple) -> Callable[[Arena], str]:
    """SIGKILL of the command, a worker, a decoder or a job server at a random moment."""

    def fault(arena: Arena) -> str:
        out = arena.fresh()
        process = arena.begin(out, *options())
        if victim != "command":  # it does not live all the time
            _find(process, victim, wait_s=LIMIT_S)
            time.sleep(arena.dice.uniform(0, 0.5 if victim == "decoder" else 0.3 * arena.calm_s))
        else:
            arena.moment()
        chosen = _find(process, victim)
        if not chosen:
            process.communicate(timeout=LIMIT_S)
            arena.ends_well(out)
            return f"no {victim} at that moment"
        os.kill(arena.dice.choice(chosen), signal.SIGKILL)
        _, stderr = process.communicate(timeout=LIMIT_S)
        require("Traceback" not in stderr, stderr[-600:])
        arena.ends_well(out)
        return "and went on by itself" if process.returncode == 0 else "typed again"

    return fault


def _find(process: subprocess.Popen[str], victim: str, wait_s: float = 5.0) -> list[int]:
    """Processes of that kind, waited for a little."""
    deadline = time.monotonic() + wait_s
    while True:
        found = [pid for pid in process_tree(process.pid) if role(pid) == victim]
        if found or process.poll() is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def on_prism() -> list[str]:
    from tests.engines.fetch import cached

    if (prism := cached("prism")) is None:
        raise Skipped("Prism is not here: python -m tests.engines.fetch prism")
    return ["--runner=prism", f"--beam-options=--prism_location={prism}"]


def stopped(arena: Arena) -> str:
    """SIGSTOP of a worker for ten seconds, then SIGCONT."""
    out = arena.fresh()
    process = arena.begin(out)
    arena.moment()
    for pid in _find(process, "worker")[:1]:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(10)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=LIMIT_S)
    require(process.returncode == 0, f"exit code {process.returncode}")
    arena.ends_well(out)
    return "waited for"


def interrupted(number: signal.Signals) -> Callable[[Arena], str]:
    def fault(arena: Arena) -> str:
        out = arena.fresh()
        process = arena.begin(out)
        arena.moment()
        mine = process_tree(process.pid)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=LIMIT_S)
        require("Traceback" not in stderr, stderr[-600:])
        time.sleep(1)
        left = [pid for pid in mine if role(pid) not in ("gone", "other", "tracker")]
        require(not left, f"left behind: {[role(pid) for pid in left]}")
        arena.ends_well(out)
        return f"exit code {process.returncode}"

    return fault


def small_disk(options: str, *words: str) -> Callable[[Arena], str]:
    """A file system with no room, or no inodes, left in the middle."""

    def fault(arena: Arena) -> str:
        place = arena.root / "disk"
        place.mkdir(exist_ok=True)
        kept = arena.fresh()
        mount = f'mount -t tmpfs -o {options} none "{place}"'
        keep = f'"$0" "$@"; code=$?; rm -rf "{kept}"; cp -r "{place}/crate" "{kept}"; exit $code'
        line = ["unshare", "--mount", "sh", "-c", f"{mount} && {{ {keep}; }}", *arena.command(place / "crate")]
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S)
        _need_mounts(done.stderr)
        arena.one_line(done.returncode, done.stderr, *words)
        arena.ends_well(kept)
        return done.stderr.strip().splitlines()[-1][:90]

    return fault


def read_only(arena: Arena) -> str:
    """The file system is made read-only in the middle, as Linux does after an error of the disk."""
    place = arena.root / "disk"
    place.mkdir(exist_ok=True)
    kept, wait_s = arena.fresh(), arena.dice.uniform(0.4, 0.9) * arena.calm_s
    mount = f'mount -t tmpfs -o size=200m none "{place}"'
    refused = arena.root / "refused"
    refused.write_text("")
    remount = f'until mount -o remount,ro "{place}" 2>/dev/null; do sleep 0.02; done; rm "{refused}"'
    later = f'(sleep {wait_s:.1f}; {remount}) & "$0" "$@"; code=$?; kill $! 2>/dev/null'
    keep = f'cp -r "{place}/crate" "{kept}"; exit $code'
    line = ["unshare", "--mount", "sh", "-c", f"{mount} && {{ {later}; {keep}; }}", *arena.command(place / "crate")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S)
    _need_mounts(done.stderr)
    if done.returncode == 0 and refused.exists():
        raise Skipped("this kernel makes no file system read-only while a file in it, here .lock, is open for writing")
    if done.returncode == 0:
        return "had ended before"
    arena.one_line(done.returncode, done.stderr, "Read-only file system", "read-only")
    arena.ends_well(kept)
    return done.stderr.strip().splitlines()[-1][:90]


def _need_mounts(stderr: str) -> None:
    if "unshare:" in stderr or "mount:" in stderr:
        raise Skipped(f"needs a mount namespace: {stderr.strip().splitlines()[0]}")


def clock_back(arena: Arena) -> str:
    """Killed in the middle, then typed again with a clock that is a day behind."""
    out, shift = arena.fresh(), arena.root / "shift"
    shift.mkdir(exist_ok=True)
    (shift / "sitecustomize.py").write_text("import time\n_now = time.time\ntime.time = lambda: _now() - 86400\n")
    process = arena.begin(out)
    arena.moment()
    process.kill()
    process.communicate()
    path = os.pathsep.join(filter(None, [str(shift), os.environ.get("PYTHONPATH", "")]))
    done = arena.run(out, PYTHONPATH=path)
    require(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-300:]}")
    require(content_hash(out) == arena.expected, "another hash")
    return "typed again a day earlier"


def two_drivers(arena: Arena) -> str:
    """The same command twice at once: one is refused in one line, or finds all done."""
    out = arena.fresh()
    first = arena.begin(out)
    time.sleep(arena.dice.uniform(0.0, 0.7) * arena.calm_s)
    second = arena.begin(out)
    ends = [(p.communicate(timeout=LIMIT_S)[1], p.returncode) for p in (first, second)]
    require(any(code == 0 for _, code in ends), f"neither ended well: {[words[-200:] for words, _ in ends]}")
    for words, code in ends:
        if code:
            arena.one_line(code, words, "is writing into")
    arena.ends_well(out)
    return f"exit codes {[code for _, code in ends]}"


def markers(arena: Arena) -> str:
    """Markers and ledgers of a finished crate cut short or emptied: a rerun does those shards again."""
    out = arena.fresh()
    shutil.copytree(arena.calm, out)
    found = sorted([*out.rglob("*.done.json"), *out.rglob("done.ledger")])
    for file in arena.dice.sample(found, min(6, len(found))):
        data = file.read_bytes()
        file.write_bytes(data[: arena.dice.choice((0, len(data) // 2, len(data) - 3))])
    arena.ends_well(out)
    return f"6 of {len(found)} markers and ledgers"


def flips(arena: Arena) -> str:
    """One bit in a file of every kind but pages and cards, which are made of the others: `verify` must find it."""
    out = arena.fresh()
    shutil.copytree(arena.calm, out)
    of: dict[str, list[Path]] = {}
    derived = {"README.md", "DATASHEET.md", "ATTRIBUTION.csv", "croissant.json", "stats.json", "index.html", ".lock"}
    for file in sorted(p for p in out.rglob("*") if p.is_file() and p.name not in derived):
        top = file.relative_to(out).parts[0]
        kind = "".join(file.suffixes[-2:]) if "part-" in file.name else file.name
        of.setdefault(f"{top} {kind if 'captions-' not in kind else file.suffix}", []).append(file)
    missed = []
    for kind, files in sorted(of.items()):
        file = arena.dice.choice(files)
        data = file.read_bytes()
        place = arena.dice.randrange(8 * len(data))
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        with contextlib.suppress(CratedigError, FileNotFoundError):
            if verify_crate(Crate.open(out)).holds:
                missed.append(f"{kind} bit {place}")
        file.write_bytes(data)
    require(not missed, f"not found: {missed}")
    return f"{len(of)} kinds of file"


_TOO_LITTLE = 200 << 20


def little_memory(arena: Arena) -> str:
    """A control group with too little memory: the kernel ends workers, and the words say so."""
    top = Path("/sys/fs/cgroup")
    second = (top / "cgroup.controllers").exists()
    group = top / ("" if second else "memory") / "cratedig-chaos"
    try:
        group.mkdir(exist_ok=True)
        limit = group / ("memory.max" if second else "memory.limit_in_bytes")
        if not limit.exists():  # a folder that is no control group
            group.rmdir()
            raise OSError(f"{top} has no memory controller")
        limit.write_text(str(_TOO_LITTLE))
    except OSError as error:
        raise Skipped(f"needs a control group of its own: {error}") from error
    out = arena.fresh()
    try:
        line = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$0" "$@"', *arena.command(out)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S)
        require(done.returncode != 0, f"{_TOO_LITTLE:,} bytes were enough: this fault tests nothing")
        require("Traceback" not in done.stderr, done.stderr[-600:])
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
    arena.ends_well(out)
    return (done.stderr.strip().splitlines() or ["ended by the kernel"])[-1][:90]


def network(arena: Arena) -> str:
    """An object store of which a tenth of the requests is answered 503 and a tenth reset."""
    from benchmarks.store_proxy import counted, running_proxy
    from pipeline.storage import Storage
    from tests.stores import free_port, running_store

    shutil.rmtree(arena.root / "store", ignore_errors=True)
    try:
        held = contextlib.ExitStack()
        client = held.enter_context(running_store("moto", arena.root / "store"))
    except BaseException as error:  # pytest's skip
        raise Skipped(str(error)) from error
    with held:
        broken = ("--unavailable=0.1", "--reset=0.1", f"--seed={arena.dice.randrange(1000)}")
        with running_proxy(client["AWS_ENDPOINT_URL"], free_port(), *broken) as address:
            variables = client | {"AWS_ENDPOINT_URL": address}
            for _ in range(3):  # what is out of patience says so in one line and is typed again
                done = arena.run("s3://bucket/crate", **variables)
                require("Traceback" not in done.stderr, done.stderr[-900:])
                require(client["AWS_SECRET_ACCESS_KEY"] not in done.stderr + done.stdout, "credentials printed")
                if done.returncode == 0:
                    break
            require(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-300:]}")
            met = counted(address)
        os.environ.update(client)
        found = Storage("s3://bucket/crate").read_json("manifest.json")["content_hash"]
        require(found == arena.expected, f"hash {found}")
    return f"{met.get('answered 503', 0)} refused and {met.get('reset', 0)} reset of {sum(met.values())}"


FAULTS: dict[str, Callable[[Arena], str]] = {
    "driver": killed("command"),
    "worker": killed("worker"),
    "decoder": killed("decoder"),
    "job-server": killed("job server", on_prism),
    "interrupt": interrupted(signal.SIGINT),
    "terminate": interrupted(signal.SIGTERM),
    "stopped": stopped,
    "full": small_disk("size=300k", "no space left"),
    "inodes": small_disk("size=200m,nr_inodes=45", "no space left", "no room"),
    "read-only": read_only,
    "clock": clock_back,
    "two": two_drivers,
    "markers": markers,
    "flips": flips,
    "memory": little_memory,
    "network": network,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=0, help="default: each fault once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join(FAULTS)}")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(FAULTS)
    if unknown := set(names) - set(FAULTS):
        parser.error(
            f"--only {args.only}: {', '.join(sorted(unknown))} is no fault; expected some of {', '.join(FAULTS)}"
        )
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        arena = prepare(Path(temporary), args.seed)
        drawn = names + [arena.dice.choice(names) for _ in range(args.runs - len(names))]
        for number, name in enumerate(drawn[: args.runs or None], start=1):
            began = time.monotonic()
            try:
                end, said = "same hash", FAULTS[name](arena)
            except Skipped as reason:
                end, said = "skipped", str(reason)
            except (AssertionError, subprocess.TimeoutExpired) as failed:
                end, said = "FAILED", str(failed)
            ends[end] += 1
            print(f"  run {number:3} {name:10} {end}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    print(", ".join(f"{count} {end}" for end, count in sorted(ends.items())))
    return 1 if ends["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
