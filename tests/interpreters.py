"""Every Python that this machine has: a wheel as a stranger installs it, and the whole suite.

    python -m tests.interpreters wheel    the newest and the oldest other Python: a wheel without constraints, outside
                                          of the repository, mines the bundled music as this Python does
    python -m tests.interpreters suite    all tests on each Python with constraints.txt, on the newest without it,
                                          on the oldest with the lowest versions that pyproject.toml promises

Interpreters are found, on PATH and where pyenv and uv keep theirs; from 3.10 on, newest first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.crate.crate import CLIPS, LABELS, REJECTS
from pipeline.parquet import read_table

ROOT = Path(__file__).parent.parent
MUSIC = ROOT / "examples" / "demo_music" / "metadata.csv"
OLDEST = (3, 10)
PLACES = (
    *map(Path, os.environ.get("PATH", "").split(os.pathsep)),
    *sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")),
    *sorted(Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python")).glob("*/bin")),
)
PROBE = """
import sys, venv, ensurepip, sysconfig
print(*sys.version_info[:2], bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
"""
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
FIRST_S = 200.0
"""What one wheel takes on two quiet cores; afterwards it is known."""
EQUAL_LABELS = 0.9
"""Share below which other last bits no longer explain it."""


def find_interpreters() -> dict[tuple[int, int], str]:
    """(3, minor) -> executable that can make environments, newest first; the first one found of each."""
    found: dict[tuple[int, int], str] = {}
    for file in (file for place in PLACES for file in sorted(place.glob("python3*"))):
        if file.name.removeprefix("python3").lstrip(".").isdigit() or file.name == "python3":
            try:
                done = subprocess.run([file, "-I", "-c", PROBE], capture_output=True, text=True, timeout=20)
            except (OSError, subprocess.TimeoutExpired):
                continue
            if done.returncode == 0 and done.stdout.split()[2] == "False":
                major, minor, _ = done.stdout.split()
                found.setdefault((int(major), int(minor)), str(file))
    return dict(sorted(((v, f) for v, f in found.items() if v >= OLDEST), reverse=True))


@contextmanager
def environment(python: str) -> Iterator[Path]:
    """The `bin` of a new environment; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cratedig-python-") as folder:
        run([python, "-m", "venv", f"{folder}/env"])
        yield Path(folder, "env", "bin")


def run(command: Sequence[object], **options: object) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    subprocess.run([str(part) for part in command], check=True, env=environ, **options)  # type: ignore[call-overload]


def mine(cratedig: Sequence[object], crate: Path) -> subprocess.Popen[str]:
    """Started in the folder of the crate, so that nothing of the repository is imported by being near."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [*map(str, cratedig), "mine", str(MUSIC), "--out", str(crate), "--no-report"]
    return subprocess.Popen(
        command, cwd=crate.parent, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wheels(seconds: float) -> int:
    """0 where every wheel that there was time for agrees with this Python."""
    started = time.monotonic()
    others = {version: file for version, file in find_interpreters().items() if version != sys.version_info[:2]}
    if not others:
        print("wheel: this machine has no other Python from 3.10 on, skipped")
        return 0
    chosen = list(dict.fromkeys([next(iter(others)), list(others)[-1]]))
    faults = 0
    with tempfile.TemporaryDirectory(prefix="cratedig-wheel-") as temporary:
        folder = Path(temporary)
        here = mine([sys.executable, "-m", "cratedig"], folder / "here")  # while the first wheel is installed
        run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT])
        (wheel,) = folder.glob("*.whl")
        took = FIRST_S
        for version in chosen:
            name = ".".join(map(str, version))
            if time.monotonic() - started + took > seconds:
                print(f"wheel: Python {name} skipped: {took:.0f} s or so, of {seconds:.0f} s in all")
                continue
            begun = time.monotonic()
            with environment(others[version]) as binaries:
                run([binaries / "python", *PIP, wheel])
                installed = time.monotonic() - begun
                there = mine([binaries / "cratedig"], folder / name)
                ended(there, name)
                run([binaries / "cratedig", "verify", folder / name], cwd=folder, stdout=subprocess.DEVNULL)
            if here.returncode is None:
                ended(here, "this Python")
            took = time.monotonic() - begun
            found = compare(folder / "here", folder / name)
            faults += len(found)
            print(f"wheel: Python {name}: installed in {installed:.0f} s, all in {took:.0f} s", flush=True)
            print("".join(f"  differs: {fault}\n" for fault in found), end="")
        if here.poll() is None:  # every wheel was left out
            here.kill()
            here.communicate()
    return min(faults, 1)


def ended(process: subprocess.Popen[str], name: str) -> None:
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"wheel: mining on {name} ended with exit code {process.returncode}:\n{said}")


def compare(here: Path, there: Path) -> list[str]:
    """What differs that may not; what may is printed."""
    clips, others = rows(here / CLIPS), rows(there / CLIPS)
    faults = [] if clips else ["the crates hold no clip"]
    for column in ("track_id", "clip_id", "start_s", "duration_s", "source_sha256", "title", "tags"):
        if [row[column] for row in clips] != [row[column] for row in others]:
            faults.append(f"{column} of the clips")
    rejects = [[(r["key"], r["level"], r["stage"], r["reason"]) for r in rows(c / REJECTS)] for c in (here, there)]
    if rejects[0] != rejects[1]:
        faults.append("rejects")
    labels, drawn = (drawn_captions(crate) for crate in (here, there))
    same = len(labels & drawn) / max(len(labels), 1)
    if same < EQUAL_LABELS:
        faults.append(f"labels: {same:.1%} equal")
    both = list(zip(clips, others, strict=False))
    audio = sum(a["audio"]["bytes"] == b["audio"]["bytes"] for a, b in both)
    exact = sum(a["embedding"] == b["embedding"] for a, b in both)
    far = max((abs(x - y) for a, b in both for x, y in zip(a["embedding"], b["embedding"], strict=True)), default=0)
    versions = [json.loads((crate / "crate.json").read_text()).get("made_with", {}) for crate in (here, there)]
    others_by_name = [f"{n} {v} {versions[1].get(n)}" for n, v in versions[0].items() if v != versions[1].get(n)]
    print(
        f"wheel: {len(clips)} and {len(others)} clips, {len(rejects[0])} and {len(rejects[1])} rejects; equal: audio "
        f"{audio}, embeddings {exact} (farthest {far:.1e}), labels {same:.1%}; versions: {', '.join(others_by_name)}"
    )
    return faults


def rows(folder: Path) -> list[dict[str, object]]:
    found = []
    for file in sorted(folder.rglob("*.parquet")):
        with file.open("rb") as opened:
            found += read_table(opened).to_pylist()
    return found


def drawn_captions(crate: Path) -> set[tuple[str, str, int]]:
    """(clip, slot, caption) of everything drawn."""
    return {
        (str(row["clip_id"]), slot, label["caption_id"])
        for folder in (crate / LABELS).iterdir()
        for row in rows(folder)
        for slot, drawn in row.items()
        if isinstance(drawn, list)
        for label in drawn
        if isinstance(label, dict) and "caption_id" in label
    }


def suites(lanes: Sequence[str]) -> int:
    """Exit code 1 where a suite failed; each environment is made, used and removed before the next."""
    ends: dict[str, str] = {}
    for name, (python, install) in lanes_of(find_interpreters()).items():
        if not lanes or name in lanes:
            with environment(python) as binaries:
                install(binaries)
                ends[name] = suite(binaries)
            print(f"{name}: {ends[name]}", flush=True)
    if not ends:
        sys.exit(f"no lane of that name; there are: {', '.join(lanes_of(find_interpreters()))}")
    print("\n".join(f"{name}: {end}" for name, end in ends.items()))
    return int(any(end.startswith("failed") for end in ends.values()))


def lanes_of(interpreters: Mapping[tuple[int, int], str]) -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Name -> interpreter, and what is installed: `3.13`, ..., `newest` and `lowest` versions on newest and oldest."""
    by_name = {".".join(map(str, version)): (file, install_constrained) for version, file in interpreters.items()}
    newest, *_, oldest = by_name
    return {**by_name, "newest": (by_name[newest][0], install_newest), "lowest": (by_name[oldest][0], install_lowest)}


def install_constrained(binaries: Path) -> None:
    """What constraints.txt says, torch first (Makefile)."""
    constraints = ROOT / "constraints.txt"
    torch = next(line for line in constraints.read_text().splitlines() if line.startswith("torch=="))
    for what in ([torch], ["-e", f"{ROOT}[dev]"]):
        run([binaries / "python", *PIP, "-c", constraints, *what])


def install_newest(binaries: Path) -> None:
    run([binaries / "python", *PIP, "-e", f"{ROOT}[dev]"])


def install_lowest(binaries: Path) -> None:
    """The lowest versions that pyproject.toml promises; the tests' own tools as new as they can be beside those."""
    run([binaries / "python", *PIP, "uv"])
    uv = [binaries / "uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", binaries / "python"]
    run([*uv, "--resolution", "lowest-direct", "-e", f"{ROOT}[train,serve]"])
    frozen = binaries.parent / "lowest.txt"
    frozen.write_text(
        subprocess.check_output([binaries / "python", "-m", "pip", "freeze", "--exclude-editable"], text=True)
    )
    run([*uv, "-c", frozen, "-e", f"{ROOT}[dev]"])


def suite(binaries: Path) -> str:
    """The last line of pytest, which prints as it goes: a lane that is stopped has told what it found."""
    command = [binaries / "python", "-m", "pytest", "-n", "auto", "--maxprocesses=4", "--dist=worksteal"]
    begun, last = time.monotonic(), "nothing"
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        for line in started.stdout:
            print(line, end="", flush=True)
            last = line.strip("= \n") or last
    failed = f"failed, exit code {started.returncode}: " if started.returncode else ""
    return f"{failed}{last} ({time.monotonic() - begun:.0f} s)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("list", "wheel", "suite"))
    parser.add_argument("--seconds", type=float, default=1e9, help="wheel: leave out a Python that would take longer")
    parser.add_argument("lanes", nargs="*", metavar="LANE", help="suite: 3.12, newest, lowest, ...; all of them")
    args = parser.parse_args()
    if args.what == "list":
        print("\n".join(f"{'.'.join(map(str, version))}  {file}" for version, file in find_interpreters().items()))
        return 0
    if shutil.disk_usage(tempfile.gettempdir()).free < 10 << 30:
        sys.exit(f"an environment takes 6 GB, {tempfile.gettempdir()} has less than 10 GB left; set TMPDIR")
    return wheels(args.seconds) if args.what == "wheel" else suites(args.lanes)


if __name__ == "__main__":
    sys.exit(main())
