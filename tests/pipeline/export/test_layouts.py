"""`wds`, `folder` and `captions`: what lies in the files, and the traps of their readers, with none installed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import runpy
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import CrateMismatch
from pipeline.export.export import Export
from pipeline.export.finish import finish_export
from pipeline.export.spec import INDEXES, ExportSpec
from pipeline.export.verify import verify_export
from tests.exports import clip_rows, export, tree

ALL = [name for name in INDEXES if name != "musicgen-trainer"]


def members(root: Path, split: str = "train") -> list[tuple[str, bytes]]:
    found = []
    for file in sorted((root / split).glob("*.tar")):
        with tarfile.open(file) as tar:
            found += [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
            assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar} == {(0, 0, 0, "")}
    return found


def test_tars_hold_each_key_once_with_json_of_one_shape(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "wds", layout="wds")
    found, clips = members(tmp_path / "wds"), clip_rows(finished_crate)
    assert [name for name, _ in found] == [
        f"{clip['clip_id']}.{end}" for clip in clips for end in ("flac", "json", "txt")
    ]
    said = [json.loads(data) for name, data in found if name.endswith(".json")]
    for (name, data), clip in zip(found[::3], clips, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name.removesuffix(".flac"))  # a reader cuts names at the first dot
        assert data == clip["audio"]["bytes"]
    shapes = {tuple((key, type(value)) for key, value in row.items()) for row in said}
    assert len(shapes) == 1  # `datasets` guesses from five and loses or misreads what comes later
    assert {kind for _, kind in next(iter(shapes))} == {str, float, list}
    assert all(row["captions"] and isinstance(row["captions"][0], str) for row in said)
    assert [key for key, value in said[0].items() if isinstance(value, list)] == ["captions"]


def test_stable_audios_module_draws_captions_in_well_below_a_millisecond(finished_crate: Path, tmp_path: Path) -> None:
    dill = pytest.importorskip("dill", reason="the dev extra has it, through datasets")
    export(finished_crate, tmp_path / "wds", layout="wds", timing="track")
    config = json.loads((tmp_path / "wds" / "dataset_config.json").read_text())
    assert config["datasets"][0]["path"] == str(tmp_path / "wds" / "train")
    draw = runpy.run_path(config["datasets"][0]["custom_metadata_module"])["get_custom_metadata"]
    info = {
        "captions": [f"caption {number}" for number in range(3)],
        "start_s": 30.0,
        "track_duration_s": 86.5,
        "seconds_start": 4,
    }
    drawn = {draw(info, None)["prompt"] for _ in range(60)}
    assert drawn == set(info["captions"])
    assert {key: draw(info, None)[key] for key in ("seconds_start", "seconds_total")} == {
        "seconds_start": 34,
        "seconds_total": 87,
    }
    packed = dill.dumps(draw)  # as its reader does for each sample, whatever the number of captions
    started = time.process_time()
    for _ in range(200):
        dill.loads(packed)(info, None)
    assert (time.process_time() - started) / 200 < 1e-3


def test_one_tree_of_audio_serves_every_index(finished_crate: Path, tmp_path: Path) -> None:
    root = tmp_path / "folder"
    made = export(finished_crate, root, layout="folder", index=ALL, split="hash:test=.4")
    clips = {clip["clip_id"]: clip for clip in clip_rows(finished_crate)}
    audio = sorted((root / "audio").rglob("*.flac"))
    assert {file.stem for file in audio} == set(clips)
    assert all(file.read_bytes() == clips[file.stem]["audio"]["bytes"] for file in audio)
    assert not list(root.rglob("*.txt"))  # ACE-Step 1.5 would read captions beside audio as lyrics
    rows = {file.stem: json.loads(file.with_suffix(".json").read_text()) for file in audio}
    listed = _every_index(root, rows)
    assert all(ids == set(clips) for ids in listed.values()), listed
    assert verify_export(made).holds
    assert sum(made.counts[f"split:{split}"] for split in ("train", "test")) == 16


def _every_index(root: Path, rows: dict[str, dict[str, object]]) -> dict[str, set[str]]:
    """Index -> clip ids; each entry is looked at on the way."""
    found: dict[str, set[str]] = {name: set() for name in ALL if name != "stable-audio"}
    for split in ("train", "test"):
        with gzip.open(root / f"audiocraft/egs/cratedig/{split}/data.jsonl.gz", "rt") as lines:
            for meta in map(json.loads, lines):
                beside = json.loads(Path(meta["path"]).with_suffix(".json").read_text())
                clip, _, number = Path(meta["path"]).stem.rpartition("-")
                fields = "title artist key bpm genre moods description name instrument keywords"
                assert set(fields.split()) <= set(beside)
                assert beside["description"] == rows[clip]["captions"][int(number)]  # type: ignore[index]
                assert None not in beside.values()
                assert isinstance(beside["keywords"], list)
                assert meta["duration"] == 2.0
                found["audiocraft"].add(clip)
        for item in json.loads((root / f"audioldm/datafiles/{split}.json").read_text())["data"]:
            assert not item["wav"].startswith("/")
            assert [value for key, value in item.items() if "caption" in key] == rows[Path(item["wav"]).stem][
                "captions"
            ]
            assert (root / item["wav"]).exists()
            found["audioldm"].add(Path(item["wav"]).stem)
        for item in json.loads((root / f"tangoflux/{split}.json").read_text()):
            assert item["captions"] in rows[Path(item["location"]).stem]["captions"]  # type: ignore[operator]
            assert item["duration"] == 2.0
            found["tangoflux"].add(Path(item["location"]).stem)
        with (root / f"audio/{split}/captions.csv").open(newline="") as file:
            for item in csv.DictReader(file, dialect=csv.Sniffer().sniff(file.read(4096) and _head(file), ",;\t")):
                assert item["Caption"] == rows[Path(item["File"]).stem]["text"]
                found["ace-step-1.5"].add(Path(item["File"]).stem)
        with gzip.open(root / f"lhotse/{split}/supervisions.jsonl.gz", "rt") as lines:
            found["lhotse"] |= {json.loads(line)["recording_id"] for line in lines}
        datasets = pytest.importorskip("datasets", reason="the dev extra has it")
        for item in datasets.load_from_disk(str(root / "ace-step" / split)):
            assert list(item["recaption"].values()) == rows[item["keys"]]["captions"]
            assert (item["speaker_emb_path"], item["norm_lyrics"]) == ("", "")
            assert Path(item["filename"]).exists()
            found["ace-step"].add(item["keys"])
    return found


def _head(file: io.TextIOBase) -> str:
    file.seek(0)
    head = file.read(4096)
    file.seek(0)
    return head


def test_audiocrafts_files_share_one_audio_and_its_yaml_forbids_silence(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "mg", layout="folder", index=["audiocraft"])
    audio = next((tmp_path / "mg" / "audio").rglob("*.flac"))
    copies = sorted((tmp_path / "mg" / "audiocraft").rglob(f"{audio.stem}-*.flac"))
    assert len(copies) == 3
    assert {file.stat().st_ino for file in copies} == {audio.stat().st_ino}
    yaml = (tmp_path / "mg" / "audiocraft/dset/audio/cratedig.yaml").read_text()
    assert "min_segment_ratio: 1.0" in yaml
    assert "max_sample_rate: 24000" in yaml
    assert f'  valid: "{tmp_path}/mg/audiocraft/egs/cratedig/train"' in yaml
    export(finished_crate, tmp_path / "joined", layout="folder", index=["audiocraft"], captions="joined")
    assert not list((tmp_path / "joined" / "audiocraft").rglob("*.flac"))


def test_an_index_may_come_later_and_a_moved_folder_finds_itself(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "a", layout="folder", index=["tangoflux"])
    stamps = {f: f.stat().st_mtime_ns for f in (tmp_path / "a" / "audio").rglob("*")}
    export(finished_crate, tmp_path / "a", layout="folder", index=["lhotse"])
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "a" / "audio").rglob("*")} == stamps
    assert not list((tmp_path / "a" / "tangoflux").glob("*"))
    export(finished_crate, tmp_path / "a", layout="folder", index=["lhotse", "tangoflux"])
    (tmp_path / "a").rename(tmp_path / "b")
    moved = finish_export(Export.open(tmp_path / "b"))
    items = json.loads((tmp_path / "b" / "tangoflux/train.json").read_text())
    assert all(Path(item["location"]).exists() for item in items)
    assert verify_export(moved).holds
    with pytest.raises(CrateMismatch, match="was made with codec='flac', asked for is 'wav'"):
        export(finished_crate, tmp_path / "b", layout="folder", codec="wav")


def test_musicgen_trainers_folder_is_flat_wav_and_text(finished_crate: Path, tmp_path: Path) -> None:
    made = export(finished_crate, tmp_path / "f", layout="folder", index=["musicgen-trainer"], codec="wav")
    flat = tmp_path / "f" / "musicgen-trainer" / "train"
    for clip in clip_rows(finished_crate):
        samples, rate = soundfile.read(flat / f"{clip['clip_id']}.wav", dtype="int16")
        expected, _ = soundfile.read(io.BytesIO(clip["audio"]["bytes"]), dtype="int16")
        assert rate == 24_000
        np.testing.assert_array_equal(samples, expected)
        assert (flat / f"{clip['clip_id']}.txt").read_text()
    assert verify_export(made).holds
    with pytest.raises(ValueError, match=r"musicgen_trainer reads \.wav alone, the codec is flac"):
        ExportSpec(layout="folder", labels="x", index=("musicgen-trainer",))


def test_captions_say_which_sound_they_are_about(finished_crate: Path, tmp_path: Path) -> None:
    made = export(finished_crate, tmp_path / "c", layout="captions")
    rows = [json.loads(x) for f in sorted((tmp_path / "c/captions").glob("*.jsonl")) for x in f.open()]
    for row, clip in zip(rows, clip_rows(finished_crate), strict=True):
        assert (row["id"], row["source_sha256"], row["start_s"]) == (
            clip["clip_id"],
            clip["source_sha256"],
            clip["start_s"],
        )
        assert len(row["scores"]) == len(row["captions"]) == 3
        assert row["scores"] == sorted(row["scores"], reverse=True)
    annotation = json.loads((tmp_path / "c" / "annotation.json").read_text())
    assert len(annotation) == 16
    assert {said["caption"] for said in annotation.values()} == {row["text"] for row in rows}
    names = json.loads((tmp_path / "c" / "track_split.json").read_text())
    assert set(names["train_track"]) == set(annotation)
    assert verify_export(made).holds
    assert not list((tmp_path / "c").rglob("*.flac"))


@pytest.mark.parametrize("layout", ["wds", "folder", "captions"])
def test_two_workers_write_the_bytes_of_one(finished_crate: Path, tmp_path: Path, layout: str) -> None:
    index = ["ace-step", "audiocraft", "lhotse"] if layout == "folder" else []
    for workers in (1, 2):
        export(finished_crate, tmp_path / str(workers), workers=workers, layout=layout, index=index, root="/data")
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
