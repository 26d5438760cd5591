"""`cratedig embedder`: cards, checks and conversions as a user meets them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from cratedig.captions.embedder import add_parser
from pipeline.errors import BadInput, EmbedderProblem
from tests.tiny_clap import make_tiny_clap


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="cratedig")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["embedder", *words])
    return int(args.run(args))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("clap") / "tiny", window_s=1, sample_rate_hz=16_000)


def test_info_prints_the_card_and_the_checks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("slow piano\n\nzither zither\n")
    assert _run("info", str(folder), "--captions", str(captions), "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "sample rate hz      16000" in said
    assert "2 read: 50.0% of 4 words unknown, 1 captions hold one, 0 cut" in said
    assert "warning: 50% of the captions' words are unknown to tiny" in said
    assert said.splitlines()[-1].startswith("usable; checked in")
    assert _run("info", str(folder), "--json") == 0
    said_json = json.loads(capsys.readouterr().out)
    assert said_json["card"]["dimension"] == 16
    assert said_json["checks"]["repeat_difference"] == 0


def test_convert_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("convert", str(folder), str(tmp_path / "out"), "--laion-front-end") == 0
    assert "16000 Hz, 1 s, 16 dimensions" in capsys.readouterr().out
    with pytest.raises(BadInput, match="exists and is not an empty folder"):
        _run("convert", str(folder), str(tmp_path / "out"))


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbedderProblem, match="no model at"):
        _run("info", str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match=r"can't be read .*expected a text file"):
        _run("info", str(folder), "--captions", str(tmp_path / "nowhere"))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(BadInput, match="holds no captions"):
        _run("info", str(folder), "--captions", str(tmp_path / "empty.txt"))
    with pytest.raises(BadInput, match="it is for folders"):
        _run("convert", str(tmp_path / "x.pt"), str(tmp_path / "o"), "--laion-front-end")
    with pytest.raises(BadInput, match="no file at"):
        _run("convert", str(tmp_path / "x.pt"), str(tmp_path / "o"))


@pytest.mark.parametrize("words", [[], ["info"], ["convert"]])
def test_help_ends_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run(*words, "--help")
    assert ended.value.code == 0
    assert "cratedig embedder" in capsys.readouterr().out.split("example")[1]
