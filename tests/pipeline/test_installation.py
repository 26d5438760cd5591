"""Faults of the program, the installation or the machine: the run ends with one line, and no file is blamed."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import av
import pytest

from beam_jobs.engine import Engine
from pipeline.audio.decode_guard import GuardedDecoder
from pipeline.config import ClipsConfig
from pipeline.crate.crate import REJECTS
from pipeline.errors import ProgramFault, RunFailed
from pipeline.installation import deciding_versions, explain_fault, is_fault
from pipeline.source.fetch import fetched
from tests.audio_files import tone, write_audio
from tests.crates import mine_clips, plan_crate

ROOT = Path(__file__).parents[2]
OTHER_AV = """
import sys
sys.path[:] = [entry for entry in sys.path if entry != {folder!r}]
del sys.modules["av"]
import av
{change}
"""
TOO_NEW = "real = av.open\nav.open = lambda file, **options: real(file, **options, no_such_option=1)"
WITHOUT_FIFO = "del av.AudioFifo"
BROKEN = "raise ImportError('libavcodec.so.99: cannot open shared object file')"


@pytest.fixture
def other_av(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that every process started from here finds `av` in first."""
    folder = tmp_path / "other"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(folder: Path, change: str) -> None:
    (folder / "av.py").write_text(OTHER_AV.format(folder=str(folder), change=change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (TOO_NEW, r"TypeError: .*no_such_option.*, pipeline/audio/decode.py line \d+;.*Installed: .*av "),
        (WITHOUT_FIFO, r"AttributeError: .*AudioFifo"),
        (BROKEN, r"did not start .*libavcodec.so.99"),
    ],
)
def test_a_library_that_does_not_fit_is_no_files_fault(other_av: Path, tmp_path: Path, change: str, said: str) -> None:
    install(other_av, change)
    song = write_audio(tmp_path / "a.wav", tone(2, 16_000), 16_000, "wav-s16")
    with GuardedDecoder(ClipsConfig(clip_s=1.0), [16_000]) as decoder, pytest.raises(ProgramFault, match=said):
        decoder.cut(str(song))


def test_the_run_ends_at_once_and_goes_on_when_it_is_mended(
    other_av: Path, tmp_path: Path, music: Path, tiny_clap: Path
) -> None:
    install(other_av, TOO_NEW)
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    with pytest.raises(RunFailed, match=r"no_such_option.*not of the input") as caught:
        mine_clips(crate, Engine(workers=1, attempts=1000))
    assert "\n" not in str(caught.value)
    assert not crate.storage.list(REJECTS)
    assert not any(crate.clips_done(shard) for shard in crate.shards)
    (other_av / "av.py").unlink()
    assert mine_clips(crate, Engine(workers=1)) == len(crate.shards)


def test_no_memory_for_any_track_is_no_tracks_fault(tmp_path: Path) -> None:
    song = write_audio(tmp_path / "a.wav", tone(2, 16_000), 16_000, "wav-s16")
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pipeline.audio.decode_guard import GuardedDecoder; from pipeline.config import ClipsConfig\n"
        "from pipeline.errors import ProgramFault\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1100 << 20, 1100 << 20))\n"
        "try: GuardedDecoder(ClipsConfig(clip_s=1.0), [16_000]).cut(sys.argv[1])\n"
        "except ProgramFault as fault: print(fault)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(song), str(ROOT)], capture_output=True, text=True)
    assert "1024 MiB of memory that decoding a track may take" in done.stdout, done


def test_no_descriptor_left_is_no_tracks_fault(tmp_path: Path) -> None:
    song = write_audio(tmp_path / "a.wav", tone(2, 16_000), 16_000, "wav-s16")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files") as filled:
            while True:
                held.append(song.open("rb"))
        with pytest.raises(OSError, match="Too many open files") as caught, fetched(str(song)):
            pass
    finally:
        for file in held:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert is_fault(filled.value)
    assert "may open no further file" in explain_fault(caught.value)


def test_what_one_file_can_cause_is_no_fault() -> None:
    assert not any(map(is_fault, (ValueError(), KeyError(), IndexError(), UnicodeError(), OSError(errno.EIO, "?"))))
    assert not is_fault(av.error.FFmpegError(errno.ENOMEM, "a damaged header asks for a terabyte"))


def test_versions_name_what_is_imported() -> None:
    assert deciding_versions()["av"] == av.__version__
    assert deciding_versions()["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
