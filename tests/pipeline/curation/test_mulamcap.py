"""AudioSet's music in a folder: eight namings, counted exactly."""

import json
import random

import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from cratedig.main import main
from pipeline.crate.verify import verify_crate
from pipeline.curation.audioset import APPENDIX_D, named_clip, read_labels, read_segments
from tests.audio_files import chord, write_audio
from tests.crates import mine_clips, plan_crate

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
GUITAR, SPEECH = "/m/0342h", "/m/09x0r"
STYLES = (
    "{id}.wav",
    "Y{id}.wav",
    "{id}_{ms}_{ms_end}.wav",
    "Guitar/{id}_{s:.1f}-{s_end:.1f}.wav",
    "{id}_{s:.3f}.wav",
    "{id}_{s:06.0f}.wav",
    "{id}_{ms}.wav",
    "[{id}]-[{s:.0f}-{s_end:.0f}].wav",
)


def name_of(style, ytid, start):
    times = {"s": start, "s_end": start + 10, "ms": round(start * 1000), "ms_end": round(start * 1000) + 10_000}
    return style.format(id=ytid, **times)


def ids(count=200):
    """10 with `_`, 10 that begin with `-`, 5 with Y, and two that differ in case alone."""
    draw = random.Random(0)
    found = ["".join(draw.choices(LETTERS.replace("Y", ""), k=11)) for _ in range(count)]
    for i in range(10):
        found[i] = found[i][:5] + "_" + found[i][6:]
        found[10 + i] = "-" + found[10 + i][1:]
    for i in range(20, 25):
        found[i] = "Y" + found[i][1:]
    found[26] = found[25].swapcase()
    assert len(set(found)) == count
    return found


@pytest.fixture(scope="module")
def audioset(tmp_path_factory):
    """200 listed pieces of music, 25 to a naming, 40 of them in the evaluation list; and 20 clips of speech."""
    folder = tmp_path_factory.mktemp("audioset")
    clip = folder / "one.wav"
    write_audio(clip, chord(0.5, 16_000), 16_000, "wav-s16")
    music = ids()
    speech = ["s" + ytid[1:] for ytid in music[100:120]]
    lists = {"balanced_train_segments": [], "eval_segments": []}
    for i, ytid in enumerate(music + speech):
        start = [0.0, 30.0, 7.5, 120.0][i % 4] if STYLES[i % 8] not in (STYLES[5], STYLES[7]) else [0.0, 30.0][i % 2]
        lists["eval_segments" if i % 5 == 0 else "balanced_train_segments"].append(
            (ytid, start, start + 10, GUITAR + ",/m/04rlf" if i < 200 else SPEECH)
        )
        file = folder / "audio" / name_of(STYLES[i % 8], ytid, start)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.hardlink_to(clip)
    google = "".join(f'{y}, {a:.3f}, {b:.3f}, "{m}"\n' for y, a, b, m in lists["eval_segments"])
    (folder / "eval_segments.csv").write_text("# Segments csv\n# num_ytids=44\n# YTID, start_seconds, ...\n" + google)
    copied = "".join(f'{y},{a:.3f},{b:.3f},"{m}"\n' for y, a, b, m in lists["balanced_train_segments"])
    (folder / "balanced_train_segments.csv").write_text("YTID,start_seconds,end_seconds,positive_labels\n" + copied)
    nodes = [("/m/04rlf", "Music", [GUITAR]), (GUITAR, "Guitar", []), (SPEECH, "Speech", [])]
    (folder / "ontology.json").write_text(json.dumps([{"id": a, "name": b, "child_ids": c} for a, b, c in nodes]))
    (folder / "labels.csv").write_text(f"mid,name\n{GUITAR},Guitar\n")
    return folder


def run(folder, out, *options, labels="appendix-d"):
    lists = f"{folder}/balanced_train_segments.csv,{folder}/eval_segments.csv"
    command = ["mulamcap", str(folder / "audio"), "--segments", lists, "--out", str(out), "--labels", labels, *options]
    return main(command)


def test_two_hundred_ids_in_eight_namings_are_counted_exactly(audioset, tmp_path, capsys):
    assert run(audioset, tmp_path) == 0
    said = json.loads((tmp_path / "mulamcap.json").read_text())
    assert (said["listed"], said["found"], said["missing"]) == (
        {"test": 40, "train": 160},
        {"test": 40, "train": 160},
        {"test": 0, "train": 0},
    )
    assert said["files"] == {"no-music": 20, "taken": 200}
    rows = [
        row for name in ("train", "test") for row in pq.ParquetFile(tmp_path / f"{name}.parquet").read().to_pylist()
    ]
    assert sorted(row["ytid"] for row in rows) == sorted(ids())
    assert all(row["path"].startswith("/") for row in rows)
    test = {row["ytid"] for row in rows if row["audioset_split"] == "test"}
    assert test == set(ids()[::5])
    assert "coverage: 100.0%" in capsys.readouterr().out


@pytest.mark.parametrize("labels", ["music", "subtree", "labels.csv"])
def test_other_sets_of_labels(audioset, tmp_path, labels):
    which = str(audioset / labels) if labels.endswith(".csv") else labels
    assert run(audioset, tmp_path, "--ontology", str(audioset / "ontology.json"), labels=which) == 0
    assert json.loads((tmp_path / "mulamcap.json").read_text())["files"]["taken"] == 200


def test_what_is_missing_double_cut_elsewhere_or_unknown_is_said(audioset, tmp_path, capsys):
    music, folder = ids(), tmp_path / "in"
    segments = read_segments([f"{audioset}/balanced_train_segments.csv", f"{audioset}/eval_segments.csv"])
    names = [
        f"{music[1]}.wav",
        f"b/Y{music[1]}.wav",
        f"{music[2]}_55000_65000.wav",
        "nothing-known.wav",
        "Z" * 11 + ".wav",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).hardlink_to(audioset / "one.wav")
    (folder / f"{music[3]}.wav.gz").write_bytes(b"packed")
    lists = f"{audioset}/balanced_train_segments.csv,{audioset}/eval_segments.csv"
    captions = tmp_path / "captions.csv"
    captions.write_text(f"ytid,caption\n{music[1]},a song\n")
    command = [
        "mulamcap",
        str(folder),
        "--segments",
        lists,
        "--out",
        str(tmp_path / "out"),
        "--musiccaps",
        str(captions),
    ]
    assert main([*command, "--min-coverage", "0.5"]) == 1
    said = json.loads((tmp_path / "out" / "mulamcap.json").read_text())
    assert said["files"] == {"double": 1, "other-segment": 1, "taken": 1, "unknown-name": 2}
    assert said["missing"] == {"test": 40, "train": 159}
    assert said["in_musiccaps"] == 1
    missing = (tmp_path / "out" / "missing.csv").read_text().splitlines()
    assert len(missing) == 200
    assert f"{music[2]},{segments[music[2]].start_s:g},train" in missing
    assert "less than --min-coverage" in capsys.readouterr().err
    assert main([*command, "--exclude-musiccaps"]) == 0
    assert json.loads((tmp_path / "out" / "mulamcap.json").read_text())["files"]["musiccaps"] == 2


def test_a_name_that_fits_two_ids_is_no_clip():
    known = {"Y__________": 0.0, "__________1": 0.0}
    assert named_clip("Y__________.wav", known).ytid == "Y__________"
    both = {"Yabcdefghij": 5.0, "abcdefghij_": 5.0}
    assert named_clip("Yabcdefghij_.wav", both).ytid == "abcdefghij_"
    assert named_clip("Yabcdefghij_5.wav", both).ytid == "Yabcdefghij"
    assert named_clip("Yabcdefghij__5.wav", both).ytid == "abcdefghij_"


@pytest.mark.parametrize(
    ("name", "fits"),
    [("_30500", True), ("_30.5-40.5", True), ("_30", True), ("_000030", True), ("_31500_41500", False), ("_33", False)],
)
def test_a_start_in_the_name_is_in_seconds_or_milliseconds(name, fits):
    assert named_clip(f"abcdefghijk{name}.wav", {"abcdefghijk": 30.5}).fits == fits


def test_the_papers_labels():
    labels = read_labels("appendix-d", {})
    assert len(labels) == 130
    assert labels[GUITAR] == "Guitar"
    assert APPENDIX_D.read_text().startswith("mid,name\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--segments", "{folder}/one.wav"], "cannot be read as a list of AudioSet segments"),
        (["--segments", "{folder}/labels.csv"], "expected YTID, start, end"),
        (["--segments", "{folder}/none.csv"], "No such file"),
        (["--ontology", "{folder}/labels.csv"], "ontology.json"),
        (["--labels", "subtree"], "needs --ontology"),
        (["--labels", "none.csv"], "neither appendix-d"),
        (["--exclude-musiccaps"], "needs --musiccaps"),
        (["--musiccaps", "{folder}/labels.csv"], "expected ytid"),
    ],
)
def test_bad_input(audioset, tmp_path, change, message, capsys):
    assert run(audioset, tmp_path / "out", *(part.format(folder=audioset) for part in change)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_whole_video_is_a_reject_and_a_clip_of_it_is_not(tmp_path, tiny_clap):
    for name, seconds in (("clip", 2.5), ("video", 9.0)):
        write_audio(tmp_path / f"{name}.wav", chord(seconds, 16_000), 16_000, "wav-s16")
    rows = "".join(f"{tmp_path}/{name}.wav,30,32\n" for name in ("clip", "video"))
    (tmp_path / "train.csv").write_text("path,audioset_start_s,audioset_end_s\n" + rows)
    crate = plan_crate(tmp_path / "train.csv", tmp_path / "crate", tiny_clap)
    mine_clips(crate, Engine(workers=1))
    proof = verify_crate(crate)
    assert proof.holds, proof.faults
    assert (proof.planned, proof.written, proof.rejected) == (2, 1, 1)
    assert proof.reasons["track:whole-video"] == 1
    rejects = [
        row for k in crate.shards for row in pq.read_table(crate.storage.path(crate.rejects_part(k))).to_pylist()
    ]
    (reject,) = [row for row in rejects if row["level"] == "track"]
    assert reject["detail"] == "9.0 s, the list means 30 to 32 s of the video; cut that out of it"
