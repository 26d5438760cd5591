"""What counts as input, in which order, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import BadInput
from pipeline.source.listing import list_input


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_ids_and_order_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for root in ("one", "two/deep"):
        touch(*(tmp_path / root / name for name in ("b.mp3", "a.flac", "sub/c.OGG", "cover.jpg", ".hidden.mp3")))
    one, two = list_input(str(tmp_path / "one")), list_input(str(tmp_path / "two/deep"))
    assert (
        [t.track_id for t in one.tracks] == [t.track_id for t in two.tracks] == sorted(t.track_id for t in one.tracks)
    )
    assert {t.key for t in one.tracks} == {"a.flac", "b.mp3", "sub/c.OGG"}
    assert one.ignored == {"pictures": 1, "hidden": 1}


def test_a_glob_and_a_single_file_are_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "x/a.mp3", tmp_path / "x/b.flac", tmp_path / "x/c.txt")
    assert {t.key for t in list_input(f"{tmp_path}/x/*").tracks} == {"a.mp3", "b.flac"}
    assert {t.key for t in list_input(f"{tmp_path}/**/*.mp3").tracks} == {"x/a.mp3"}
    assert [t.path for t in list_input(str(tmp_path / "x/a.mp3")).tracks] == [str(tmp_path / "x/a.mp3")]


def test_brackets_in_a_folders_name_are_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "Album [2001]" / "a.mp3")
    assert [t.key for t in list_input(str(tmp_path / "Album [2001]")).tracks] == ["a.mp3"]


def test_a_name_that_no_parquet_can_hold_is_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3", tmp_path / os.fsdecode(b"bad\xff.mp3"), tmp_path / ".b.mp3")
    assert list_input(str(tmp_path)).ignored == {"hidden": 1, "name is not UTF-8": 1}
    assert len(list_input(f"{tmp_path}/*").tracks) == 1


def test_a_folder_behind_an_fsspec_url(tmp_path: Path) -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/songs/a.mp3", b"x")
    listing = list_input("memory://songs")
    assert [(t.key, t.path) for t in listing.tracks] == [("a.mp3", "memory:///songs/a.mp3")]
    fs.rm("/songs", recursive=True)


def test_a_manifest_carries_metadata_and_keeps_other_columns(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text(
        'path,title,artist,tags,licence,bpm\nsub/a.mp3,"Rain, again",Ada,"folk; calm;folk",CC0-1.0,90\n'
        '/far/b.wav,,,"[""a"", ""b, c""]",,\nhttp://host/c.flac,,,x|y,,\n'
    )
    tracks = {t.key: t for t in list_input(str(tmp_path / "songs.csv")).tracks}
    assert tracks["sub/a.mp3"].path == str(tmp_path / "sub/a.mp3")
    assert tracks["sub/a.mp3"].title == "Rain, again"
    assert tracks["sub/a.mp3"].tags == ("folk", "calm")
    assert tracks["sub/a.mp3"].extra == (("bpm", "90"),)
    assert tracks["/far/b.wav"].tags == ("a", "b, c")
    assert (tracks["http://host/c.flac"].path, tracks["http://host/c.flac"].tags) == ("http://host/c.flac", ("x", "y"))


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("path,title,tags\na.mp3,One,x;y\nb.mp3,Two,\n")
    table = pa.table({"path": ["b.mp3", "a.mp3"], "title": ["Two", "One"], "tags": [None, ["x", "y"]]})
    pq.write_table(table, tmp_path / "songs.parquet")
    assert list_input(str(tmp_path / "songs.csv")).tracks == list_input(str(tmp_path / "songs.parquet")).tracks


def test_the_same_row_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("path,title\na.mp3,One\n./a.mp3,One\nb.mp3,Two\n")
    listing = list_input(str(tmp_path / "songs.csv"))
    assert (len(listing.tracks), listing.repeated_rows) == (2, 1)


def test_inputs_without_audio_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no files at all"):
        list_input(str(tmp_path))
    touch(tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.jpg")
    with pytest.raises(BadInput, match=r"holds only 3 other files \(lyrics and texts 2, pictures 1\); expected audio"):
        list_input(str(tmp_path))
    with pytest.raises(BadInput, match="does not exist; give a folder"):
        list_input(str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="matches no file; quote it"):
        list_input(f"{tmp_path}/*.mp3")
    with pytest.raises(BadInput, match=r"matches 3 files, none of them audio"):
        list_input(f"{tmp_path}/*")


def test_a_list_of_blank_lines_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(BadInput, match="has no rows; expected one a track"):
        list_input(str(tmp_path / "list.txt"))


def test_rejects_stand_in_the_order_of_their_rows(tmp_path: Path) -> None:
    """Contradictions are found when all is read; they stand where their rows do."""
    rows = ["path,title", "b.mp3,B", ",none", "a.mp3,A", "b.mp3,other", ",none", "a.mp3,A", "b.mp3,B", "a.mp3,third"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    listing = list_input(str(tmp_path / "list.csv"))
    said = [(reject.key, reject.reason) for reject in listing.rejects]
    assert said == [("row 2", "no-path"), ("row 4", "contradicts"), ("row 5", "no-path"), ("row 8", "contradicts")]
    assert "'b.mp3' has the title 'other', in row 1 'B'" in listing.rejects[1].detail
    assert (listing.repeated_rows, sorted(t.title for t in listing.tracks)) == (2, ["A", "B"])
