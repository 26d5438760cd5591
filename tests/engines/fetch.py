"""Real engines for the tests, brought once and kept in the user's cache folder.

python -m tests.engines.fetch              all of them
python -m tests.engines.fetch flink prism  some

flink-server, spark-server   Beam's job servers, one jar each, by Maven from what Maven Central holds (`pom.xml`)
flink                        a Flink that runs by itself: the libraries in PyPI's apache-flink-libraries
prism, boot                  Beam's Prism and what starts a worker of its container, as Go programs
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "cratedig" / "engines"
FLINK = "1.19.3"
_GO = "github.com/apache/beam/sdks/v2"


class Missing(Exception):
    """What would be needed to bring an engine, and is not here."""


def _needs(*programs: str) -> None:
    if absent := [name for name in programs if shutil.which(name) is None]:
        raise Missing(f"{' and '.join(absent)} not installed")


def _run(*command: str, **settings: str) -> None:
    """Raises Missing with the last words of a command that fails: no network is a reason, too."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        error = next((line for line in said if "ERROR" in line), said[-1])
        raise Missing(f"{command[0]} ended with exit code {done.returncode}: {error}")


def _job_server(profile: str) -> Callable[[Path, Path], None]:
    def bring(scratch: Path, target: Path) -> None:
        _needs("mvn", "java")
        shutil.copy(HERE / "pom.xml", scratch / "pom.xml")
        _run("mvn", "-B", "-q", "-f", str(scratch / "pom.xml"), "-P", profile, "package")
        os.replace(scratch / "target/job-server.jar", target)

    return bring


def _flink(scratch: Path, target: Path) -> None:
    _needs("java")
    package = f"apache-flink-libraries=={FLINK}"
    _run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(scratch),
        package,
    )
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as packed:
        packed.extractall(scratch, filter="data")
    os.replace(next(scratch.glob("apache*flink*libraries-*/deps")), target)


def _go_program(module: str) -> Callable[[Path, Path], None]:
    def bring(scratch: Path, target: Path) -> None:
        _needs("go")
        _run("go", "install", f"{_GO}/{module}@v{version('apache-beam')}", GOBIN=str(scratch / "bin"))
        os.replace(next((scratch / "bin").iterdir()), target)

    return bring


_ENGINES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "flink-server": ("flink-job-server-2.70.0.jar", _job_server("flink")),
    "spark-server": ("spark-job-server-2.70.0.jar", _job_server("spark")),
    "flink": (f"flink-{FLINK}", _flink),
    "prism": (f"prism-{version('apache-beam')}", _go_program("go/cmd/prism")),
    "boot": (f"boot-{version('apache-beam')}", _go_program("python/container")),
}


def cached(name: str) -> Path | None:
    """Where an engine lies; None where it was not brought yet."""
    path = CACHE / _ENGINES[name][0]
    return path if path.exists() else None


def fetch(name: str) -> Path:
    """Where an engine lies, brought first where it was not yet. Raises Missing where it cannot be."""
    if (path := cached(name)) is not None:
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    file, bring = _ENGINES[name]
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        bring(Path(scratch), CACHE / file)
    return CACHE / file


def main() -> int:
    failed = 0
    for name in sys.argv[1:] or _ENGINES:
        try:
            print(f"{name}: {fetch(name)}", flush=True)
        except Missing as missing:
            failed = 1
            print(f"{name}: {missing}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
