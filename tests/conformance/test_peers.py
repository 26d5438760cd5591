"""Exports of the demo crate through the loaders of those who read them: `make conformance`.

Each peer gets an environment of its own that sees ours (torch, soundfile, datasets) and adds its packages without their
dependencies, so that none pulls in a second torch; it is removed before the next one is made. A peer that cannot be
installed is skipped with the installer's word. What a check had to stand in for is in its first lines.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not os.environ.get("CRATEDIG_CONFORMANCE"), reason="loads peers: make conformance"),
    pytest.mark.timeout(1200),
]
HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
DOCS = str(ROOT / "docs" / "exports.md")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What is installed, which exports are made, and how the check is called with their folders."""

    check: str
    packages: str
    exports: tuple[str, ...]
    """Arguments of `cratedig export`, the crate and --out left out; `crate` stands for the crate itself."""
    docs: bool = False


PEERS = {
    "datasets": Peer(check="datasets", packages="", exports=("hf", "wds")),
    "webdataset": Peer(check="webdataset", packages="webdataset==1.0.2 braceexpand", exports=("wds",)),
    "stable-audio-tools, tars": Peer(
        check="stable_audio",
        packages="stable-audio-tools==0.0.20 torchaudio==2.11.0 webdataset==0.2.100 braceexpand",
        exports=("stable-audio",),
    ),
    "stable-audio-tools, folder": Peer(
        check="stable_audio",
        packages="stable-audio-tools==0.0.20 torchaudio==2.11.0 webdataset==0.2.100 braceexpand",
        exports=("folder --index stable-audio --audio source --rate 44100 --channels 2",),
    ),
    "audiocraft": Peer(
        check="audiocraft",
        packages="audiocraft==1.3.0 torchaudio==2.11.0 julius einops num2words docopt omegaconf==2.3.0 "
        "antlr4-python3-runtime==4.9.3 dora-search flashy treetable submitit retrying colorlog cloudpickle",
        exports=("musicgen",),
    ),
    "lhotse": Peer(
        check="lhotse",
        packages="lhotse==1.33.0 cytoolz toolz intervaltree sortedcontainers tabulate lilcom",
        exports=("lhotse",),
        docs=True,
    ),
    "mosaicml-streaming": Peer(
        check="streaming",
        packages="mosaicml-streaming brotli zstd python-snappy cramjam xxhash pycryptodome catalogue",
        exports=("crate",),
        docs=True,
    ),
    "mlcroissant": Peer(
        check="croissant",
        packages="mlcroissant==1.1.1 rdflib pyparsing isodate jsonpath-rw ply absl-py GitPython gitdb smmap "
        "python-dateutil six deprecated wrapt etils importlib_resources zipp",
        exports=("hf",),
    ),
}


@pytest.fixture(scope="session")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo crate, made anew."""
    folder = tmp_path_factory.mktemp("demo") / "crate"
    _cratedig("demo", "--out", str(folder))
    return folder


@pytest.fixture(scope="session")
def exported(crate: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each export once, whoever asks for it."""
    made: dict[str, Path] = {"crate": crate}
    root = tmp_path_factory.mktemp("exports")

    def of(arguments: str) -> Path:
        if arguments not in made:
            made[arguments] = root / str(len(made))
            name, *options = arguments.split()
            _cratedig("export", name, str(crate), "--out", str(made[arguments]), *options)
        return made[arguments]

    return of


def _cratedig(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cratedig", *arguments], check=True, cwd=ROOT)


@pytest.fixture
def environment(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A Python with the peer's packages before ours."""
    packages = PEERS[request.param].packages.split()
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    python = folder / "bin" / "python"
    if packages:
        install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*install, "--ignore-requires-python", *packages], capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(folder)
            pytest.skip(f"cannot be installed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    yield python
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "environment"), [(name, name) for name in PEERS], indirect=["environment"], ids=list(PEERS)
)
def test_a_peers_own_loader_reads_our_export(
    name: str, environment: Path, exported: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    peer = PEERS[name]
    folders = [str(exported(arguments)) for arguments in peer.exports] + ([DOCS] if peer.docs else [])
    done = subprocess.run(
        [str(environment), str(HERE / f"check_{peer.check}.py"), *folders],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with capsys.disabled():
        print(f"\n{name}: {done.stdout.strip().splitlines()[-1]}")
