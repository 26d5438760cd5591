"""`cratedig export hf`: one table that loads as it is, whose every row is a clip of the crate with its text."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.crate.crate import Crate
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.errors import BadInput, CrateMismatch
from pipeline.export.export import Export
from pipeline.export.verify import verify_export
from pipeline.storage import Storage
from tests.exports import clip_rows, export, tree


def table(root: Path, split: str = "train") -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted((root / "data").glob(f"{split}-*.parquet"))])


def labels_of(crate: Path) -> list[dict[str, list[dict[str, str]]]]:
    rows = []
    for file in sorted((crate / "labels" / "first").rglob("*.parquet")):
        rows += pq.read_table(file).to_pylist()
    return rows


def test_every_clip_is_a_row_with_its_own_audio_and_captions(finished_crate: Path, tmp_path: Path) -> None:
    made = export(finished_crate, tmp_path / "hf")
    rows, clips, labels = table(tmp_path / "hf").to_pylist(), clip_rows(finished_crate), labels_of(finished_crate)
    assert [row["clip_id"] for row in rows] == [clip["clip_id"] for clip in clips]
    for row, clip, label in zip(rows, clips, labels, strict=True):
        assert row["audio"]["bytes"] == clip["audio"]["bytes"]
        by_score = sorted(label["llm_lf"], key=lambda drawn: -drawn["score"])
        assert row["captions"] == [drawn["text"] for drawn in by_score]
        assert row["text"] == row["captions"][0]
        assert row["keywords"] == [drawn["text"] for drawn in label["rater_sf"]]
        assert None not in row.values()
    assert made.counts["clips"] == made.counts["clips-in"] == 16
    assert verify_export(made).lines()[0] == "clips: 16 in the crate = 16 exported"
    assert verify_export(made).holds


def test_datasets_loads_the_folder_with_text_and_declared_rate(finished_crate: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the dev extra has it")
    export(finished_crate, tmp_path / "hf", split="hash:test=.5", with_embeddings=True)
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(str(tmp_path / "hf"), cache_dir=cache)
    assert set(loaded) == {"train", "test"}
    assert len(loaded["train"]) + len(loaded["test"]) == 16
    assert loaded["train"].features["audio"].sampling_rate == 24_000
    streamed = datasets.load_dataset(str(tmp_path / "hf"), split="test", streaming=True, cache_dir=cache)
    row = next(iter(streamed.cast_column("audio", datasets.Audio(decode=False))))
    samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
    assert (rate, samples.shape) == (24_000, (48_000,))
    assert row["text"] in row["captions"]
    assert len(row["embedding"]) == Crate.open(finished_crate).embedder.dimension


def test_two_workers_and_any_number_of_kills_leave_the_same_bytes(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "one", rate_hz=16_000)  # resampled, so that a shard takes a moment
    dice, stop, killed = random.Random(3), threading.Event(), []

    def killer() -> None:
        while not stop.wait(dice.uniform(0.2, 1.0)) and len(killed) < 3:
            children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            pids = [int(p) for f in children for p in f.read_text().split()]
            if lanes := [p for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]:
                os.kill(victim := dice.choice(lanes), signal.SIGKILL)
                killed.append(victim)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        from beam_jobs.engine import Engine
        from beam_jobs.export import export_crate

        spec = Export.open(tmp_path / "one").spec
        export_crate(Crate.open(finished_crate), tmp_path / "two", spec, engine=Engine(workers=2, attempts=10))
    finally:
        stop.set()
        thread.join()
    assert killed
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_a_beam_runner_writes_the_same_bytes(finished_crate: Path, tmp_path: Path) -> None:
    from beam_jobs.engine import Engine
    from beam_jobs.export import export_crate

    made = export(finished_crate, tmp_path / "lanes")
    engine = Engine(runner="DirectRunner", workers=2)
    export_crate(Crate.open(finished_crate), tmp_path / "beam", made.spec, engine=engine)
    assert tree(tmp_path / "beam") == tree(tmp_path / "lanes")


def test_a_rerun_does_what_is_missing_and_nothing_else(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "hf")
    before, files = tree(tmp_path / "hf"), sorted((tmp_path / "hf" / "data").glob("*.parquet"))
    stamps = [file.stat().st_mtime_ns for file in files]
    files[1].unlink()
    proof = verify_export(Export.open(tmp_path / "hf"))
    assert proof.faults == [f"data/{files[1].name} is missing; run the same export again"]
    export(finished_crate, tmp_path / "hf")
    assert tree(tmp_path / "hf") == before
    assert [f.stat().st_mtime_ns == s for f, s in zip(files, stamps, strict=True)] == [
        file != files[1] for file in files
    ]


def test_what_was_changed_or_added_is_a_fault(finished_crate: Path, tmp_path: Path) -> None:
    export(finished_crate, tmp_path / "hf")
    file = next((tmp_path / "hf" / "data").glob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    (tmp_path / "hf" / "data" / "train-99999.parquet").write_bytes(b"")
    faults = verify_export(Export.open(tmp_path / "hf")).faults
    assert [fault.partition(" ")[2] for fault in faults] == [
        "was changed after it was written (sha256 differs); delete it and export again",
        "belongs to no shard of this export",
    ]


def test_an_output_folder_that_holds_something_else_is_left_alone(finished_crate: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match=r"is not empty and no export \(it holds 'thesis.tex'\)"):
        export(finished_crate, tmp_path / "full")
    with pytest.raises(BadInput, match="is a crate; give --out a new or empty folder"):
        export(finished_crate, finished_crate)
    export(finished_crate, tmp_path / "hf")
    with pytest.raises(CrateMismatch, match=r"was made with captions='all', asked for is 'one'; give --out another"):
        export(finished_crate, tmp_path / "hf", captions="one")
    shutil.copytree(finished_crate, tmp_path / "other")
    storage = Storage(tmp_path / "other")
    header = read_sealed(storage, "crate.json")
    write_sealed(storage, "crate.json", {**header, "config": {**header["config"], "clips_per_track": 4}})
    with pytest.raises(CrateMismatch, match="comes from another crate"):
        export(tmp_path / "other", tmp_path / "hf")
    assert verify_export(Export.open(tmp_path / "hf")).holds


def test_the_three_ways_of_saying_it(finished_crate: Path, tmp_path: Path) -> None:
    ways = {way: table_of(export(finished_crate, tmp_path / way, captions=way)) for way in ("one", "all", "joined")}
    for one, every, joined in zip(ways["one"], ways["all"], ways["joined"], strict=True):
        assert one["captions"] == [one["text"]] == every["captions"][:1]
        assert joined["text"] == " ".join([*every["captions"], ", ".join(every["keywords"])])
        assert joined["captions"] == [joined["text"]]


def table_of(made: Export) -> list[dict[str, object]]:
    return table(Path(made.storage.url)).to_pylist()


def test_curation_tables_and_licences_leave_out_with_reasons(finished_crate: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_crate, tmp_path / "crate")
    tracks = list(dict.fromkeys(row["track_id"] for row in clip_rows(finished_crate)))
    clips = {track: sum(row["track_id"] == track for row in clip_rows(finished_crate)) for track in tracks}
    write(tmp_path / "crate/dedup/groups.parquet", track_id=tracks[:2], group=["g", "g"], keep=[True, False])
    write(tmp_path / "crate/decontaminate/musiccaps.parquet", track_id=[tracks[2]])
    write(tmp_path / "crate/splits/mine.parquet", track_id=tracks[:5], split=["train"] * 4 + ["valid"])
    made = export(tmp_path / "crate", tmp_path / "hf", split="mine")
    dropped = {name: n for name, n in made.counts.items() if name.startswith("dropped:")}
    assert dropped == {
        "dropped:duplicate": clips[tracks[1]],
        "dropped:contaminated": clips[tracks[2]],
        "dropped:no-split": clips[tracks[5]],
    }
    assert set(table(tmp_path / "hf", "valid").column("track_id").to_pylist()) == {tracks[4]}
    assert set(table(tmp_path / "hf").column("track_id").to_pylist()) == {tracks[0], tracks[3]}
    assert verify_export(made).holds
    everything = export(tmp_path / "crate", tmp_path / "all", allow_duplicates=True, allow_contaminated=True)
    assert everything.counts["clips"] == 16
    # The tables are part of what an export is made from: a changed one is taken in, shard by shard.
    write(tmp_path / "crate/dedup/groups.parquet", track_id=tracks[:2], group=["g", "g"], keep=[False, True])
    again = export(tmp_path / "crate", tmp_path / "hf", split="mine")
    assert again.counts["dropped:duplicate"] == clips[tracks[0]]
    assert set(table(tmp_path / "hf").column("track_id").to_pylist()) == {tracks[1], tracks[3]}


def test_licences_choose_clips(finished_crate: Path, tmp_path: Path) -> None:
    made = export(finished_crate, tmp_path / "hf", require_licence=True)
    assert made.counts["dropped:licence-unknown"] == 16  # the music of the tests has none
    assert made.counts["clips"] == 0
    assert verify_export(made).holds


def write(file: Path, **columns: list[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def test_a_split_that_is_not_there_or_cannot_be_a_name(finished_crate: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"split 'artists' is neither in .*splits \(which has none\)"):
        export(finished_crate, tmp_path / "hf", split="artists")
    file = tmp_path / "split.csv"
    tracks = list(dict.fromkeys(row["track_id"] for row in clip_rows(finished_crate)))
    file.write_text("track_id,split\n" + "".join(f"{track},left out\n" for track in tracks))
    from pipeline.errors import RunFailed

    with pytest.raises((BadInput, RunFailed), match="split 'left out'; loaders take letters, digits and _ alone"):
        export(finished_crate, tmp_path / "hf2", split=str(file))


def test_what_is_redacted_is_nowhere_in_the_files(tmp_path: Path, music: Path, tiny_clap: Path) -> None:
    from beam_jobs.engine import Engine
    from beam_jobs.labels import label_crate
    from tests.crates import mine_clips, plan_crate

    manifest = tmp_path / "songs.csv"
    manifest.write_text(
        f"path,title,artist,tags,licence\n{music}/song0.flac,Zanzibar,Quetzal,folk,cc by 4.0\n{music}/song2.wav,,,,\n"
    )
    crate = plan_crate(manifest, tmp_path / "crate", tiny_clap)
    with Engine(workers=1) as engine:
        mine_clips(crate, engine)
        label_crate(crate, profile="curated", engine=engine, name="first")
    open_ = table_of(export(tmp_path / "crate", tmp_path / "open"))
    # The file without metadata has nothing to say and is left out, counted.
    assert {row["text"] for row in open_} == {"Zanzibar; by Quetzal; folk"}
    assert {row["licence"] for row in open_} == {"CC-BY-4.0"}
    assert Export.open(tmp_path / "open").counts["dropped:no-text"] == 3
    assert "license: cc-by-4.0" in (tmp_path / "open" / "README.md").read_text()
    hidden = export(tmp_path / "crate", tmp_path / "hidden", redact=["title", "artist"])
    assert hidden.counts["dropped:no-text"] == 5  # the prompt says both, and there is no other text
    chosen = export(tmp_path / "crate", tmp_path / "by", licence_allow=["CC-BY-4.0"])
    assert chosen.counts["dropped:licence-unknown"] == 3
    lines = (tmp_path / "open" / "ATTRIBUTION.csv").read_text().splitlines()
    assert [line.split(",")[1:6] for line in lines[1:]] == [["Zanzibar", "Quetzal", "", "CC-BY-4.0", "CC-BY-4.0"]]
    assert "Zanzibar" not in (tmp_path / "hidden" / "ATTRIBUTION.csv").read_text()
