"""What several test folders share: one tiny embedder, one folder of music, one finished crate a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from beam_jobs.engine import Engine

# New examples on every developer's run; always the same ones in continuous integration.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Tests that run beside each other have a core each: threads that wait for each other on one core only burn it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A finished crate takes long to make: what needs one is slow."""
    for item in items:
        if "finished_crate" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tiny_clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ClapModel folder with random weights; windows of 1 s."""
    from tests.tiny_clap import make_tiny_clap

    return make_tiny_clap(tmp_path_factory.mktemp("clap") / "tiny", window_s=1)


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tracks in six formats, a silent one and one that is no audio."""
    from tests.crates import write_music

    return write_music(tmp_path_factory.mktemp("music"))


@pytest.fixture(scope="session")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `long.parquet` and `short.parquet`."""
    from tests.crates import write_captions

    folder = tmp_path_factory.mktemp("vocabularies")
    write_captions(folder / "long.parquet", "long")
    write_captions(folder / "short.parquet", "short")
    return folder


@pytest.fixture(scope="session")
def lane() -> Iterator[Engine]:
    """One worker that stays between jobs and tests: a new one imports for seconds."""
    from beam_jobs.engine import Engine

    with Engine(workers=1) as engine:
        yield engine


@pytest.fixture(scope="session")
def finished_crate(
    tmp_path_factory: pytest.TempPathFactory, music: Path, tiny_clap: Path, vocabularies: Path, lane: Engine
) -> Iterator[Path]:
    """Mined and labelled (run `first`) by one worker. Read it; copy it before changing anything."""
    from tests.crates import label, mine_clips, plan_crate

    crate = plan_crate(music, tmp_path_factory.mktemp("finished") / "crate", tiny_clap)
    mine_clips(crate, lane)
    label(crate, vocabularies, lane, name="first")
    root = Path(crate.storage.url)
    written = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    yield root
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == written, "a test changed the crate of all"
