"""`evaluate model` and `evaluate sweep` on a cascade that trained for a second."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cratedig.evaluating.points import points_of, recommend
from cratedig.main import main
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap") / "tiny", window_s=1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, clap: str) -> Path:
    root = tmp_path_factory.mktemp("run")
    crate = make_crate(root / "crate", shards=2, tracks=2, clips=2, clip_s=0.8)
    for stage in ("waveform-generator", "waveform-cascader"):
        train_stage(small_run(stage, clap, total_steps=3), [CrateUse(crate)], root / "run" / stage, cpu=True)
    return root / "run"


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("prompts") / "p.csv"
    rows = ["id,prompt", *(f"p{i},{text}" for i, text in enumerate(
        ["slow piano", "fast drums", "sad violin", "happy guitar", "dark organ", "bright flute", "loud rock band",
         "soft choir", "warm strings", "epic brass"]))]  # fmt: skip
    file.write_text("\n".join(rows) + "\n")
    return str(file)


def evaluate(what: str, run: Path, prompts: str, clap: str, out: Path, *more: str) -> dict[str, Any]:
    args = ["evaluate", what, str(run), "--set", prompts, "--seconds", "0.8", "--encoder", clap, "--device", "cpu",
            "--workers", "1", "--cache", str(out / "cache"), "--out", str(out / "out"), *more]  # fmt: skip
    assert main(args) == 0
    found: dict[str, Any] = json.loads((out / "out" / "result.json").read_text())
    return found


def test_a_model_is_judged_and_the_same_command_generates_nothing_again(
    tmp_path: Path, run: Path, prompts: str, clap: str, finished_crate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate("model", run, prompts, clap, tmp_path, "--reference", str(finished_crate))
    matched, distance = found["scored"]["matched"][0], found["scored"]["distances"][0]
    assert set(found["scored"]["sound"]) == {"flatness_db", "onsets_per_s", "partials", "pulse"}
    assert matched["clips"] + sum(found["scored"]["left_out"].values()) == 10
    assert matched["similarity"]["low"] <= matched["similarity"]["mean"] <= matched["similarity"]["high"]
    assert abs(matched["rank"]["mean"] - 0.5) < 0.35, "three steps of training teach no words"
    assert distance["frechet"] > 0
    assert any("not one of the paper's" in line for line in found["differs"])
    audio = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "audio").glob("*.flac")}
    assert len(audio) == 10
    # a worker that died: one shard's marker is missing, the other shard stays as it is
    next((tmp_path / "out" / "audio").glob("part-00001*.done.json")).unlink()
    capsys.readouterr()
    again = evaluate("model", run, prompts, clap, tmp_path, "--reference", str(finished_crate))
    assert again["scored"] == found["scored"], "the same bytes, whichever shard was made when"
    now = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "audio").glob("*.flac")}
    assert sum(now[p] == audio[p] for p in audio) == 8
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<audio") == matched["clips"]


def test_other_settings_are_generated_anew(tmp_path: Path, run: Path, prompts: str, clap: str) -> None:
    first = evaluate("model", run, prompts, clap, tmp_path, "--prompts", "4")
    second = evaluate("model", run, prompts, clap, tmp_path, "--prompts", "4", "--seed", "1")
    assert first["scored"] != second["scored"]
    assert first["scored"]["distances"] == []


def test_the_sets_own_audio_is_compared_where_it_is_given(tmp_path: Path, run: Path, prompts: str, clap: str) -> None:
    import soundfile

    from tests.audio_files import chord

    (tmp_path / "real").mkdir()
    for i in range(6):
        soundfile.write(tmp_path / "real" / f"p{i}.wav", chord(2.0, 24_000, seed=i)[0], 24_000)
    found = evaluate("model", run, prompts, clap, tmp_path, "--audio", str(tmp_path / "real"))
    matched = found["scored"]["matched"][0]
    assert all(isinstance(matched[name], float) for name in ("truth", "truth_shuffled", "audio"))
    assert found["scored"]["distances"][0]["judged"] == "generated"


def test_a_sweep_writes_its_points_two_figures_and_a_recommendation(
    tmp_path: Path, run: Path, prompts: str, clap: str, finished_crate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--prompts", "4", "--reference", str(finished_crate), "--guidance", "1,4", "--steps", "2,6",
            "--schedule", "uniform", "--stage", "waveform-generator"]  # fmt: skip
    found = evaluate("sweep", run, prompts, clap, tmp_path, *args)
    assert [row["point"] for row in found["rows"]] == [
        "as trained", "waveform-generator guidance 1.0", "waveform-generator guidance 4.0",
        "waveform-generator schedule uniform", "waveform-generator steps 2", "waveform-generator steps 6",
    ]  # fmt: skip
    assert found["recommended"]["point"] in [row["point"] for row in found["rows"]]
    with (tmp_path / "out" / "sweep.csv").open() as file:
        assert [row["point"] for row in csv.DictReader(file)] == [row["point"] for row in found["rows"]]
    assert (tmp_path / "out" / "index.html").read_text().count("<figure") == 6
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "points").rglob("*.flac")}
    assert evaluate("sweep", run, prompts, clap, tmp_path, *args) == found
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "points").rglob("*.flac")} == made


def test_bad_input_gets_one_line(tmp_path: Path, run: Path, prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
    def line(*args: str) -> str:
        assert main(["evaluate", *args, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "has no checkpoint of waveform-generator" in line("model", str(tmp_path), "--set", prompts)
    assert "is no folder" in line("model", str(tmp_path / "none"), "--set", prompts)
    assert "needs the set's own list" in line("model", str(run), "--set", "musiccaps")
    assert "expected 0.5 to 600" in line("model", str(run), "--set", prompts, "--seconds", "0")
    assert "nothing to change" in line("sweep", str(run), "--set", prompts)
    assert "expected numbers" in line("sweep", str(run), "--set", prompts, "--guidance", "a")
    assert "no step schedule 'sideways'" in line("sweep", str(run), "--set", prompts, "--schedule", "sideways")
    assert not (tmp_path / "out").exists()


def row(similarity: float, distance: float | None, seconds: float, width: float = 0.02) -> dict[str, Any]:
    return {"similarity": similarity, "similarity_low": similarity - width, "similarity_high": similarity + width,
            "distance": distance, "seconds": seconds}  # fmt: skip


def test_the_recommended_point_is_the_cheapest_that_is_as_good_as_the_best() -> None:
    rows = [row(0.50, 1.0, 9.0), row(0.49, 1.05, 2.0), row(0.40, 0.96, 1.0), row(0.495, 2.0, 1.5)]
    assert recommend(rows).point == 1
    assert "cheapest of 2" in recommend(rows).why
    assert recommend([row(0.5, None, 3.0), row(0.3, None, 1.0)]).point == 0
    torn = [row(0.9, 9.0, 1.0), row(0.6, 1.2, 1.0), row(0.1, 1.0, 1.0)]
    assert "no point is good in both" in recommend(torn).why


def test_guidance_of_a_stage_without_text_is_no_point() -> None:
    points = points_of(["a", "b"], {"guidance": [1.0], "steps": [5]}, {"a": True, "b": False})
    assert [p.name for p in points] == ["as trained", "a guidance 1.0", "a steps 5", "b steps 5"]


def test_an_export_is_judged_as_the_run_that_it_is_of(tmp_path: Path, run: Path) -> None:
    from diffusion.evaluation.prompted import checkpoint_of, load_judged
    from diffusion.generation.export import export_models

    export_models(run, tmp_path / "export")
    stages = ("waveform-generator", "waveform-cascader")
    ours, theirs = (
        load_judged("waveform", {stage: checkpoint_of(folder, stage) for stage in stages})
        for folder in (run, tmp_path / "export")
    )
    for a, b in zip(ours.stages, theirs.stages, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True))
    with pytest.raises(BadInput, match="has no checkpoint of super-resolution"):
        checkpoint_of(run, "super-resolution")
