"""Each way in which a crate can be wrong is found and named."""

from __future__ import annotations

import json
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from pipeline.crate.crate import Crate
from pipeline.crate.left_out import ROW_REJECTS, read_row_rejects
from pipeline.crate.manifest import shard_counts, write_manifest
from pipeline.crate.rejects import check_reject_share
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.verify import verify_crate
from pipeline.errors import BadInput, CratedigError, CrateMismatch, TooManyRejects
from pipeline.storage import Storage
from tests.crates import mine_clips, plan_crate


@pytest.fixture
def crate(finished_crate: Path, tmp_path: Path) -> Crate:
    shutil.copytree(finished_crate, tmp_path / "crate")
    return Crate.open(tmp_path / "crate")


def file(crate: Crate, name: str) -> Path:
    return Path(crate.storage.path(name))


def rewrite(crate: Crate, name: str, marker: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a part and make its marker agree, as only a faulty writer would."""
    path = file(crate, name)
    pq.write_table(change(pq.read_table(path)), path)
    said = read_sealed(crate.storage, marker)
    said["files"][name] = {"sha256": crate.storage.sha256(name), "bytes": path.stat().st_size}
    write_sealed(crate.storage, marker, said)


def faults(crate: Crate) -> str:
    proof = verify_crate(crate)
    assert not proof.holds
    return "\n".join(proof.faults)


MARKER = "clips/pour-00000/part-00000-of-00004.done.json"


def test_a_flipped_bit(crate: Crate) -> None:
    path = file(crate, crate.clips_part(2))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "part-00002-of-00004.parquet was changed after it was written (sha256 differs)" in faults(crate)


def test_rows_that_the_list_left_out_are_proven(
    tmp_path: Path, finished_crate: Path, music: Path, tiny_clap: Path
) -> None:
    """They stand in rejects/rows.parquet, in the proof, in the totals and in the header, which seals them."""
    (tmp_path / "list.csv").write_text(f'file;n\n{music}/song0.flac;1\n;2\n"x;3\n{music}/song1.mp3;4;5\n')
    crate = plan_crate(tmp_path / "list.csv", tmp_path / "crate", tiny_clap)
    with Engine(workers=1) as engine:
        mine_clips(crate, engine)
    crate = Crate.open(tmp_path / "crate")
    proof = verify_crate(crate)
    assert proof.holds
    assert (proof.planned, proof.row_rejects) == (1, 3)
    assert proof.reasons["row:unclosed-quote"] == 1
    assert crate.listed["columns"] == {"path": "file"}
    assert crate.listed["rejected_rows"] == {"no-path": 1, "unclosed-quote": 1, "wrong-number-of-fields": 1}
    assert shard_counts(crate)["rows_rejected"] == 3
    with pytest.raises(TooManyRejects, match=r"75% of the tracks were rejected \(no-path 1, unclosed-quote 1, wrong"):
        check_reject_share(shard_counts(crate), 0.2)
    rows = read_row_rejects(crate.storage)
    assert [(r["key"], r["level"], r["stage"]) for r in rows] == [(f"row {n}", "row", "list") for n in (2, 3, 4)]
    data = bytearray(file(crate, ROW_REJECTS).read_bytes())
    data[len(data) // 2] ^= 1
    file(crate, ROW_REJECTS).write_bytes(data)
    assert faults(crate) == "rejects/rows.parquet was changed after it was written (sha256 differs)"
    (tmp_path / "list.csv").write_text(f"file;n\n{music}/song0.flac;1\n")
    assert verify_crate(plan_crate(tmp_path / "list.csv", tmp_path / "crate", tiny_clap)).row_rejects == 0


def test_a_missing_file_and_a_missing_marker(crate: Crate) -> None:
    file(crate, crate.rejects_part(1)).unlink()
    file(crate, "clips/pour-00000/part-00003-of-00004.done.json").unlink()
    assert faults(crate).splitlines() == [
        "rejects/pour-00000/part-00001-of-00004.parquet is missing",
        "clips/pour-00000/part-00003-of-00004.parquet was never finished (no marker, or a damaged one); "
        "run the job again",
    ]


def test_a_damaged_marker_counts_as_none_and_a_damaged_plan_is_named(crate: Crate) -> None:
    file(crate, MARKER).write_text("")
    assert not crate.clips_done(0)
    assert "part-00000-of-00004.parquet was never finished" in faults(crate)
    file(crate, MARKER).write_text('{"run_hash": "x"}')
    assert not crate.clips_done(0)
    file(crate, "plan/pour-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(CrateMismatch, match=r"plan/pour-00000.parquet cannot be read .*; restore it"):
        verify_crate(crate)


def test_another_plan_than_the_one_that_was_mined(crate: Crate) -> None:
    path = file(crate, "plan/pour-00000.parquet")
    table = pq.read_table(path)
    title = table.schema.get_field_index("title")
    pq.write_table(table.set_column(title, "title", pa.array(["Other"] * len(table))), path)
    assert "plan/pour-00000.parquet is not the plan that this crate was made by (its hash differs)" in faults(crate)


def test_a_lost_track(crate: Crate) -> None:
    name = crate.clips_part(0)
    lost = pq.read_table(file(crate, name)).column("track_id")[0].as_py()
    rewrite(crate, name, MARKER, lambda t: t.filter(pa.compute.not_equal(t["track_id"], lost)))
    rewrite(crate, crate.rejects_part(0), MARKER, lambda t: t.filter(pa.compute.not_equal(t["track_id"], lost)))
    assert f"track {lost} of shard 0 is neither written nor rejected" in faults(crate)


def test_a_lost_clip(crate: Crate) -> None:
    rewrite(crate, crate.clips_part(0), MARKER, lambda t: t.slice(1))
    found = faults(crate)
    assert "has clips numbered ['1'" in found
    assert "clips, its marker says" in found


def test_labels_of_other_clips(crate: Crate) -> None:
    index = next(i for i in crate.shards if pq.read_metadata(file(crate, crate.clips_part(i))).num_rows > 1)
    name = f"labels/first/pour-00000/part-{index:05d}-of-00004.parquet"
    rewrite(crate, name, name.replace("parquet", "done.json"), lambda t: t.take(list(reversed(range(len(t))))))
    assert "does not have the clips of" in faults(crate)


def test_no_crate_another_version_and_another_config(crate: Crate, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is not a crate \(no crate.json in it\); make one"):
        Crate.open(tmp_path / "nowhere")
    header = json.loads(file(crate, "crate.json").read_text())
    file(crate, "crate.json").write_text(json.dumps(header | {"format_version": 99}))
    with pytest.raises(CrateMismatch, match="has crate format 99, this cratedig reads and writes 2"):
        Crate.open(crate.storage.url)
    file(crate, "crate.json").write_text(json.dumps(header | {"config": {"clip_s": -1}}))
    with pytest.raises(CrateMismatch, match=r"crate.json cannot be understood"):
        Crate.open(crate.storage.url)


def content_files(crate: Crate) -> list[Path]:
    """All but what is made of the rest: the page, its figures and the card."""
    root = Path(crate.storage.url)
    made = ("README.md", "stats.json", "index.html")
    return sorted(f for f in root.rglob("*") if f.is_file() and not f.name.startswith(".") and f.name not in made)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_bit_in_any_file_that_decides_content(crate: Crate, where: float) -> None:
    write_manifest(crate)
    assert verify_crate(crate).holds
    kinds = set()
    for path in content_files(crate):
        before = path.read_bytes()
        data = bytearray(before)
        data[int(len(data) * where)] ^= 1
        path.write_bytes(data)
        try:
            holds = verify_crate(Crate.open(crate.storage.url)).holds
        except CratedigError:
            holds = False
        assert not holds, f"{path}: byte {int(len(data) * where)} of {len(data)}"
        path.write_bytes(before)
        kinds.add(path.name.partition("-")[0])
    assert kinds == {
        "captions",
        "part",
        "pour",
        *"counts.parquet crate.json done.ledger manifest.json run.json set.json".split(),
    }
    assert verify_crate(Crate.open(crate.storage.url)).holds


def test_the_content_hash_is_of_the_files_and_not_of_the_manifest(crate: Crate) -> None:
    said = write_manifest(crate)
    assert verify_crate(crate).content_hash == said["content_hash"]
    write_sealed(
        crate.storage, "manifest.json", read_sealed(crate.storage, "manifest.json") | {"content_hash": "other"}
    )
    assert "manifest.json says that the content is other, the files come to" in faults(crate)


def test_counts_that_are_not_those_of_the_candidates_are_refused_when_labels_are_drawn(
    crate: Crate, vocabularies: Path, lane: Engine
) -> None:
    from tests.crates import label

    counts = next(Path(crate.storage.url).glob("candidates/*/counts.parquet"))
    data = bytearray(counts.read_bytes())
    data[len(data) // 2] ^= 1
    counts.write_bytes(data)
    with pytest.raises(CrateMismatch, match=r"counts.parquet was changed after it was written"):
        label(crate, vocabularies, lane, name="second", seed=1)


def test_on_a_store_large_files_are_fetched_once_a_block_at_a_time(
    finished_crate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.remote._BLOCK", 5_000)
    storage = Storage(f"memory://{uuid.uuid4().hex}")
    for path in finished_crate.rglob("*"):
        if path.is_file():
            storage.write_bytes(str(path.relative_to(finished_crate)), path.read_bytes())
    asked: Counter[str] = Counter()
    cat_file = storage.fs.cat_file

    def counting(path: str, start: int | None = None, end: int | None = None) -> bytes:
        data = bytes(cat_file(path, start=start, end=end))
        asked[path.rpartition("/")[2]] += len(data)
        if "part-" in path:
            assert len(data) <= 5_000
        return data

    monkeypatch.setattr(storage.fs, "cat_file", counting, raising=False)
    crate = Crate.open(storage.url)
    proof = verify_crate(crate)
    assert (proof.holds, proof.content_hash) == (True, verify_crate(Crate.open(finished_crate)).content_hash)
    part = crate.clips_part(2)
    assert storage.size(part) > 5_000
    same_name = list(finished_crate.rglob(Path(part).name))
    assert asked[Path(part).name] == sum(path.stat().st_size for path in same_name)
    data = bytearray(storage.read_bytes(part))
    data[-1] ^= 1
    storage.write_bytes(part, bytes(data))
    assert f"{part} was changed after it was written (sha256 differs)" in faults(crate)
    storage.write_bytes(part, b"")
    assert f"{part} was changed after it was written (sha256 differs)" in faults(crate)
