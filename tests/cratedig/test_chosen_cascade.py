"""Without a run the cascade that comes with cratedig is taken, and said; with one it is not."""

import numpy as np
import pytest

from cratedig.cascade.chosen import BUNDLED, chosen_cascade, chosen_run
from cratedig.main import build_parser

soundfile = pytest.importorskip("soundfile")
torch = pytest.importorskip("torch")


def test_a_run_goes_before_the_bundled_cascade(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert chosen_run(tmp_path / "other") == tmp_path / "other"
    assert capsys.readouterr().out == ""
    assert chosen_run(None) == BUNDLED
    assert "comes with cratedig" in capsys.readouterr().out
    (tmp_path / "runs/tiny/waveform-generator").mkdir(parents=True)
    assert str(chosen_run(None)) == "runs/tiny"
    assert chosen_cascade(None, chosen_run(None)) == "waveform"
    assert chosen_cascade(None, BUNDLED) == "spectrogram"
    assert chosen_cascade("waveform", BUNDLED) == "waveform"


def test_a_newcomer_hears_something(tmp_path, monkeypatch):
    """At 24 kHz, neither silent nor clipped; and another prompt sounds otherwise."""
    monkeypatch.chdir(tmp_path)
    words = ["generate", "slow solo piano", "fast techno, drums", "-o", "out", "--seconds", "1", "--cpu"]
    args = build_parser().parse_args(words)
    assert args.run(args) == 0
    made = [soundfile.read(path) for path in sorted((tmp_path / "out").glob("*.wav"))]
    assert [(len(audio), rate) for audio, rate in made] == [(24_000, 24_000)] * 2
    for audio, _ in made:
        assert 0.003 < np.sqrt(np.mean(audio**2)) < 0.7
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*") if file.is_file()) < 15e6
