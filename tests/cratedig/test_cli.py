"""The command as a user meets it: in its own process, with bad input, and with its help."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest

from cratedig.main import build_parser, main
from pipeline.crate.crate import Crate
from pipeline.crate.seals import write_sealed
from tests.audio_files import tone, write_audio
from tests.crates import write_music

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cratedig", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd or ROOT, env=environment, check=False)


def one_line_error(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("cratedig: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    subcommands = next(action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    assert {"mine", "plan", "clips", "label", "verify", "report", "demo"} <= set(subcommands)
    for name, command in subcommands.items():
        assert "example" in command.format_help(), name
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "cratedig mine ~/Music --out crates/mine" in capsys.readouterr().out


def test_mine_from_files_to_page_and_again(tmp_path: Path, tiny_clap: Path, music: Path, vocabularies: Path) -> None:
    labels = [f"--vocab=llm_lf={vocabularies}/long.parquet", f"--vocab=rater_sf={vocabularies}/short.parquet"]
    command = ["mine", music, "--out", tmp_path / "crate", "--embedder", tiny_clap, "--clip-seconds=2", *labels]
    command += ["--clips-per-track=3", "--device=cpu", "--workers=1", "--max-reject-share=0.3"]
    first = run(*command)
    assert first.returncode == 0, first.stderr
    assert "tracks: 8 planned = 6 written + 2 rejected" in first.stdout
    assert "left out, track: not-audio 1" in first.stdout
    assert "clips: 8 of 8 shards, 16 clips" in first.stderr
    assert (tmp_path / "crate" / "report" / "index.html").stat().st_size > 10_000
    readme = (tmp_path / "crate" / "README.md").read_text()
    assert "16 clips of 2 s" in readme
    again = run(*command)
    assert again.returncode == 0
    assert "clips: 8 of 8 shards are done already" in again.stderr
    content = [line for line in first.stdout.splitlines() if line.startswith("content hash")]
    assert content == [line for line in again.stdout.splitlines() if line.startswith("content hash")]
    strict = run(*command[:-1], "--max-reject-share=0.2")
    assert "25% of the tracks were rejected (" in one_line_error(strict, code=1)


def test_what_is_rejected_as_a_whole_is_stopped_early_and_not_labelled(
    tmp_path: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"{number}.mp3").write_text("this is no music " * 200)
    labels = [f"--vocab=llm_lf={vocabularies}/long.parquet", f"--vocab=rater_sf={vocabularies}/short.parquet"]
    command = ["mine", tmp_path / "in", "--out", tmp_path / "crate", "--embedder", tiny_clap, *labels]
    command += ["--device=cpu", "--workers=1", "--tracks-per-shard=2"]
    for _ in range(2):
        said = one_line_error(run(*command), code=1)
        assert "the first 20 of 40 tracks were all rejected for the same reason, not-audio (" in said
        assert "--retry-rejects" in said
    assert len(list((tmp_path / "crate").glob("clips/*/*.done.json"))) >= 10

    regardless = run(*command, "--max-reject-share=0.9")
    assert "100% of the tracks were rejected (not-audio 40)" in one_line_error(regardless, code=1)
    assert "tracks: 40 planned = 0 written + 40 rejected" in regardless.stdout
    assert not (tmp_path / "crate" / "labels").exists()
    assert not (tmp_path / "crate" / "candidates").exists()


def test_a_crate_knows_what_it_was_made_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write_audio(tmp_path / "in" / "a.wav", tone(2, 8_000), 8_000, "wav-s16")
    command = ["plan", str(tmp_path / "in"), "--out", str(tmp_path / "crate")]
    assert main(command) == 0
    crate = Crate.open(tmp_path / "crate")
    assert crate.made_with["av"] == av.__version__
    assert main(command) == 0
    assert "warning" not in capsys.readouterr().err
    write_sealed(crate.storage, "crate.json", replace(crate, made_with={**crate.made_with, "av": "14.2.0"})._header())
    assert main(command) == 0
    assert f"warning: begun with av 14.2.0, now {av.__version__}: " in capsys.readouterr().err
    assert Crate.open(tmp_path / "crate").made_with["av"] == "14.2.0"


def test_a_dry_run_estimates_and_writes_nothing(tmp_path: Path, music: Path, tiny_clap: Path) -> None:
    done = run("plan", music, "--dry-run", "--clip-seconds=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8 tracks in 8 shards" in done.stdout
    assert "estimate from 6 tracks: 0.0" in done.stdout
    assert "dry run: nothing was written" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_music(tmp_path / "music", tracks=1)


def test_output_places_that_cannot_be_used(tmp_path: Path, small: Path, tiny_clap: Path, finished_crate: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    plan = ("plan", small, "--embedder", tiny_clap, "--out")
    assert "is not empty and no crate (it holds 'thesis.txt')" in one_line_error(run(*plan, tmp_path / "full"))
    assert "a part of that path is a file" in one_line_error(run(*plan, tmp_path / "file" / "crate"))
    shutil.copytree(finished_crate, tmp_path / "crate")
    other = one_line_error(run("plan", small, "--embedder", tiny_clap, "--out", tmp_path / "crate"))
    assert "was made with clip_s=2.0, asked for is 30.0" in other
    assert "give --out another folder" in other
    assert "/proc/crate" in one_line_error(run(*plan, "/proc/crate"))


def test_models_vocabularies_and_settings_that_cannot_be_used(tmp_path: Path, small: Path, tiny_clap: Path) -> None:
    shutil.copytree(tiny_clap, tmp_path / "no-tokenizer")
    for file in (tmp_path / "no-tokenizer").glob("tokenizer*"):
        file.unlink()
    done = run("plan", small, "--out", tmp_path / "c", "--embedder", tmp_path / "no-tokenizer")
    assert "tokenizer" in one_line_error(done)
    assert not (tmp_path / "c").exists()
    done = run("plan", small, "--out", tmp_path / "c", "--embedder", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in one_line_error(done)
    mine = ("mine", small, "--out", tmp_path / "c", "--embedder", tiny_clap)
    assert "--vocab 'x': expected SLOT=FILE" in one_line_error(run(*mine, "--vocab", "x"))
    assert "there is no vocabulary at" in one_line_error(run(*mine, "--vocab", f"llm_lf={tmp_path}/no.parquet"))
    assert "setting clip_s = -1.0" in one_line_error(run(*mine, "--clip-seconds=-1"))
    assert "workers is 0; expected 1 or more" in one_line_error(run(*mine, "--workers=0"))
    (tmp_path / "config.json").write_text('{"quality": {"silence_dbfs": "loud"}}')
    done = run(*mine, "--config", tmp_path / "config.json")
    assert "setting quality.silence_dbfs = 'loud'" in one_line_error(done)
    (tmp_path / "config.json").write_text("[1]")
    assert "holds a list; expected a JSON object" in one_line_error(run(*mine, "--config", tmp_path / "config.json"))


def test_verify_says_what_is_wrong_and_exits_with_one(finished_crate: Path, tmp_path: Path) -> None:
    assert run("verify", finished_crate).stdout.endswith("verified: nothing lost\n")
    shutil.copytree(finished_crate, tmp_path / "crate")
    (tmp_path / "crate/clips/pour-00000/part-00000-of-00004.parquet").write_bytes(b"x")
    done = run("verify", tmp_path / "crate")
    assert done.returncode == 1
    assert "FAULT: clips/pour-00000/part-00000-of-00004.parquet was changed after it was written" in done.stdout


def test_captions_of_another_dimension(finished_crate: Path, tmp_path: Path, vocabularies: Path) -> None:
    import numpy as np

    from labeling.search.caption_embeddings import embeddings_name, seal_embeddings
    from pipeline.crate.crate import Crate
    from pipeline.storage import Storage
    from vocab.store import Vocabulary

    shutil.copytree(finished_crate, tmp_path / "crate")
    shutil.copytree(vocabularies, tmp_path / "vocabularies")
    long = tmp_path / "vocabularies" / "long.parquet"
    card = Crate.open(finished_crate).embedder
    home, name = Storage(long.parent), embeddings_name(Vocabulary.load(long).card.content_hash, card)
    with home.write(name) as file:
        np.save(file, np.zeros((40, 8), np.float32))
    seal_embeddings(home, name, file)
    short = tmp_path / "vocabularies" / "short.parquet"
    done = run(
        "label", tmp_path / "crate", f"--vocab=llm_lf={long}", f"--vocab=rater_sf={short}", "--k=9", "--workers=1"
    )
    assert "holds vectors of shape (40, 8), tiny makes 16-d ones" in one_line_error(done, code=1)
