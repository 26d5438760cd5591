"""`cratedig export` as it is typed: what it says, and one line for what cannot be done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cratedig.main import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["export", *arguments])
    out, error = capsys.readouterr()
    return code, out, error


def test_a_dry_run_counts_and_writes_nothing(
    finished_crate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, text, _ = said(capsys, "stable-audio", str(finished_crate), "--out", str(out), "--dry-run")
    assert code == 0
    assert text.startswith("16 clips, 0.01 hours, about ")
    assert "audio: source, 44100 Hz, 2 channels, flac" in text
    assert "licence: 16 are under no licence that is known" in text
    assert not out.exists()


def test_an_export_ends_with_what_lies_in_its_files(
    finished_crate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["audioldm", str(finished_crate), "--out", str(tmp_path / "out"), "--workers", "1"]
    code, text, _ = said(capsys, *arguments, "--audio", "audio", "--rate", "16000")
    assert code == 0
    assert text.count("16000 Hz, 1 ch, 2.00 s, t") == 3
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert "clips: 16 in the crate = 16 exported" in capsys.readouterr().out
    shutil.move(tmp_path / "out", tmp_path / "moved")
    assert said(capsys, "reroot", str(tmp_path / "moved"), "--root", "/data/ldm")[0] == 0
    root = json.loads((tmp_path / "moved" / "audioldm" / "dataset_root.json").read_text())
    assert root["cratedig"] == "/data/ldm/"
    assert root["metadata"]["path"]["cratedig"]["train"] == "/data/ldm/audioldm/datafiles/train.json"
    next((tmp_path / "moved" / "audio").rglob("*.flac")).write_bytes(b"")
    assert main(["verify", str(tmp_path / "moved")]) == 1
    assert "FAULT: audio/train/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("hf CRATE --labels second", "has no labels 'second'; it has: first"),
        (
            "hf CRATE --text-slots rater_lf",
            "labels 'first' have no slot 'rater_lf'; they have llm_lf, rater_sf, metadata",
        ),
        ("hf CRATE --licence-allow free", "--licence-allow 'free' is no SPDX identifier; expected such as CC0-1.0"),
        ("hf CRATE --redact composer", "redact 'composer' is no field that can be; expected title, artist"),
        (
            "hf CRATE --codec opus --audio source --rate 44100",
            "Opus carries 8000, 12000, 16000, 24000, 48000 Hz, not 44100",
        ),
        ("hf CRATE --audio audio --rate 48000", "--audio audio is 24000 Hz mono, asked for is 48000 Hz"),
        ("hf CRATE --audio audio --whole-tracks", "whole tracks are not in the crate: they come from --audio source"),
        ("hf CRATE --split hash:test=2", "expected shares above 0 that leave something for train"),
        ("folder CRATE --index lotse", "index 'lotse' is not known; expected stable-audio, audiocraft"),
        ("hf NOWHERE", "is not a crate (no crate.json in it)"),
        ("reroot CRATE", "is no export (no export.json in it)"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    finished_crate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, line: str
) -> None:
    places = {"CRATE": str(finished_crate), "NOWHERE": str(tmp_path / "nowhere")}
    given = [places.get(word, word) for word in arguments.split()]
    out = [] if given[0] == "reroot" else ["--out", str(tmp_path / "out")]
    code, _, error = said(capsys, *given, *out)
    assert code == 2
    assert error.startswith("cratedig: ")
    assert error.count("\n") == 1
    assert line in error
    assert not (tmp_path / "out").exists()
