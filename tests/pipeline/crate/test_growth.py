"""A crate that grows holds what one mined at once holds, and knows its files when they have moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from cratedig.mining.follow import label_the_others
from cratedig.view import JobView
from pipeline.crate.crate import Crate
from pipeline.crate.growth import compare, pour
from pipeline.crate.verify import verify_crate
from pipeline.errors import CrateMismatch
from pipeline.source.listing import list_input
from pipeline.storage import Storage
from tests.crates import CONFIG, label, mine_clips, plan_crate, write_music


def rows_of(root: Path, folder: str) -> dict[str, dict[str, object]]:
    rows = pq.read_table(sorted((root / folder).rglob("*.parquet"))).to_pylist()
    return {row["clip_id"]: row for row in rows}


def grow(music: Path, root: Path, clap: Path, vocabularies: Path, lane: Engine) -> Crate:
    crate = plan_crate(music, root, clap)
    mine_clips(crate, lane)
    label(crate, vocabularies, lane, name="first")
    return crate


@pytest.fixture(scope="module")
def grown(
    tmp_path_factory: pytest.TempPathFactory, music: Path, tiny_clap: Path, vocabularies: Path, lane: Engine
) -> tuple[Path, Path]:
    """The music of `finished_crate` poured in three times; folder of the music, crate."""
    root = tmp_path_factory.mktemp("grown")
    files = sorted(music.iterdir())
    for number, part in enumerate((files[:3], files[3:5], files[5:])):
        for file in part:
            (root / "music").mkdir(exist_ok=True)
            shutil.copy(file, root / "music")
        before = {p: p.stat().st_mtime_ns for p in (root / "crate").glob("c*/**/part-*.parquet")}
        crate = grow(root / "music", root / "crate", tiny_clap, vocabularies, lane)
        assert len(crate.pours) == number + 1
        assert all(path.stat().st_mtime_ns == written for path, written in before.items()), "mined or searched again"
    return root / "music", root / "crate"


def test_three_pours_hold_the_rows_and_the_captions_of_one(grown: tuple[Path, Path], finished_crate: Path) -> None:
    _, root = grown
    assert verify_crate(Crate.open(root)).holds
    assert rows_of(root, "clips") == rows_of(finished_crate, "clips")
    assert rows_of(root, "labels/first") == rows_of(finished_crate, "labels/first")
    assert len(list((root / "clips").iterdir())) == 3


def test_the_same_input_again_changes_nothing(
    grown: tuple[Path, Path], tiny_clap: Path, vocabularies: Path, lane: Engine
) -> None:
    music, root = grown
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    grow(music, root, tiny_clap, vocabularies, lane)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


def test_a_renamed_file_is_known_by_its_bytes_and_a_copy_is_a_track_of_its_own(
    grown: tuple[Path, Path], tmp_path: Path
) -> None:
    music, root = (shutil.copytree(path, tmp_path / path.name) for path in grown)
    crate = Crate.open(root)
    crate, found = pour(crate, list_input(str(music)))  # the folder has moved, nothing else
    assert (found.known, found.new, found.gone) == (8, [], [])
    (music / "sub").mkdir()
    (music / "song0.flac").rename(music / "sub" / "first.flac")
    shutil.copy(music / "song1.mp3", music / "again.mp3")
    crate, found = pour(crate, list_input(str(music)))
    assert found.moved == [("song0.flac", "sub/first.flac")]
    assert [track.key for track in found.new] == ["again.mp3"]
    assert {t.key: t.path for k in crate.shards for t in crate.plan(k).tracks}["song0.flac"].endswith("sub/first.flac")
    assert compare(crate, list_input(str(music))).known == 9, "what was recognised once is known by its place"


def test_what_left_the_input_is_said_and_kept(grown: tuple[Path, Path], tmp_path: Path) -> None:
    music, root = (shutil.copytree(path, tmp_path / path.name) for path in grown)
    crate = Crate.open(root)
    crate, _ = pour(crate, list_input(str(music)))
    assert not compare(crate, list_input(str(music))).gone, "moved as a whole"
    shutil.copy(music / "song0.flac", music / "new.flac")
    crate, _ = pour(crate, list_input(str(music)))
    (music / "new.flac").unlink()
    found = compare(crate, list_input(str(music)))
    assert [track.key for track in found.gone] == ["new.flac"]
    assert any("not in the input any more, kept" in line for line in found.lines())


def test_two_folders_join_though_their_files_have_the_same_names(tmp_path: Path, tiny_clap: Path, lane: Engine) -> None:
    one, two = write_music(tmp_path / "one", tracks=2), tmp_path / "two"
    two.mkdir()
    shutil.copy(one / "song1.mp3", two / "song0.flac")  # another song of that name
    shutil.copy(one / "song1.mp3", two / "song1.mp3")  # the same file
    root = tmp_path / "crate"
    crate = plan_crate(one, root, tiny_clap)
    mine_clips(crate, lane)
    crate, found = pour(crate, list_input(str(two)))
    assert [track.key for track in found.new] == ["two/song0.flac"]
    assert (found.namesakes, found.known) == (1, 1)
    assert compare(crate, list_input(str(two))).new == []
    assert compare(crate, list_input(str(one))).new == []


def test_other_settings_and_another_model_are_refused(finished_crate: Path, tiny_clap: Path) -> None:
    crate = Crate.open(finished_crate)
    other = CONFIG.model_copy(update={"clip_s": 1.0})
    with pytest.raises(CrateMismatch, match=r"was made with clip_s=2.0, asked for is 1.0"):
        Crate.begin(Storage(finished_crate), other, crate.embedder)


def test_a_plan_without_a_header_is_taken_up(tmp_path: Path, music: Path, tiny_clap: Path) -> None:
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    (tmp_path / "crate" / "crate.json").unlink()  # killed between the two
    assert plan_crate(music, tmp_path / "crate", tiny_clap).pours == crate.pours


def test_labels_that_lack_a_pour_are_said_by_verify(
    tmp_path: Path, grown: tuple[Path, Path], tiny_clap: Path, lane: Engine
) -> None:
    music, root = (shutil.copytree(path, tmp_path / path.name) for path in grown)
    shutil.copy(music / "song2.wav", music / "more.wav")
    crate = plan_crate(music, root, tiny_clap)
    mine_clips(crate, lane)
    proof = verify_crate(crate)
    assert proof.holds
    assert "labels first lack the 1 pours that came later: draw them again with cratedig label" in proof.notes


def test_a_file_with_other_bytes_under_its_old_name_is_said(grown: tuple[Path, Path], tmp_path: Path) -> None:
    music, root = (shutil.copytree(path, tmp_path / path.name) for path in grown)
    crate, _ = pour(Crate.open(root), list_input(str(music)))
    assert compare(crate, list_input(str(music))).replaced == []
    (music / "song0.flac").touch()  # another time, the same bytes
    shutil.copy(music / "song1.mp3", music / "song2.wav")  # another size
    data = bytearray((music / "song3.ogg").read_bytes())
    data[-1] ^= 1
    (music / "song3.ogg").write_bytes(data)  # the same size, written later
    found = compare(crate, list_input(str(music)))
    assert found.replaced == ["song2.wav", "song3.ogg"]
    assert found.known == 8
    assert found.lines()[-1] == (
        "2 of them have other bytes in their files now, such as song2.wav: kept as mined; to have the new ones, too, "
        "rename them, or mine into another folder"
    )


def test_other_label_runs_follow_when_they_are_asked_to(
    tmp_path: Path, tiny_clap: Path, vocabularies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music, files = write_music(tmp_path / "music", tracks=3), {"llm_lf": "long", "rater_sf": "short"}
    held = (music / "song2.wav").rename(tmp_path / "song2.wav")
    names = ("first", "second")
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    mine_clips(crate, Engine(workers=1))
    for seed, name in enumerate(names):
        label(crate, vocabularies, Engine(workers=1), name=name, seed=seed)
    held.rename(music / "song2.wav")
    crate = plan_crate(music, tmp_path / "crate", tiny_clap)
    mine_clips(crate, Engine(workers=1))
    given = {slot: str(vocabularies / f"{file}.parquet") for slot, file in files.items()}
    with Engine(workers=1) as work, JobView() as view:
        assert label_the_others(crate, "", {}, work, view, embedder=str(tiny_clap), device="cpu") == []
        assert "is not at hand; cratedig label" in capsys.readouterr().err
        drawn = label_the_others(crate, "", given, work, view, embedder=str(tiny_clap), device="cpu")
    assert drawn == list(names)
    proof = verify_crate(crate)
    assert proof.holds, proof.faults
    assert proof.notes == []
    once = plan_crate(music, tmp_path / "once", tiny_clap)
    mine_clips(once, Engine(workers=1))
    label(once, vocabularies, Engine(workers=1), name="second", seed=1)
    assert rows_of(tmp_path / "crate", "labels/second") == rows_of(tmp_path / "once", "labels/second")
