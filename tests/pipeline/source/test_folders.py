"""Folders as people have them: links, loops, names that say nothing, and files that are no sound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.source.listing import list_input
from tests.audio_files import FORMATS, chord, write_audio


def keys(folder: Path | str) -> list[str]:
    return sorted(track.key for track in list_input(str(folder)).tracks)


def put(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path / "music/a.mp3", tmp_path / "music/sub/b.mp3", tmp_path / "disk2/c.mp3", tmp_path / "disk2/deep/d.mp3")
    music = tmp_path / "music"
    for link, target in {
        "aaa-sub": music / "sub",  # sorts before what it names, which keeps its own place all the same
        "loop": music,
        "sub/up": "..",
        "up": tmp_path,  # holds the input itself
        "other": tmp_path / "disk2",
        "other-again": tmp_path / "disk2",
    }.items():
        (music / link).symlink_to(target)
    (tmp_path / "disk2/back").symlink_to(music)
    listing = list_input(str(music))
    assert sorted(t.key for t in listing.tracks) == ["a.mp3", "other/c.mp3", "other/deep/d.mp3", "sub/b.mp3"]
    assert listing.ignored == {"links to what is listed already": 6}


def test_links_to_files_count_once_and_broken_ones_are_tracks_that_are_missing(tmp_path: Path) -> None:
    put(tmp_path / "in/a.mp3", tmp_path / "far/b.mp3")
    (tmp_path / "in/again.mp3").symlink_to(tmp_path / "in/a.mp3")
    (tmp_path / "in/b1.mp3").symlink_to(tmp_path / "far/b.mp3")
    (tmp_path / "in/b2.mp3").symlink_to(tmp_path / "far/b.mp3")
    (tmp_path / "in/gone.mp3").symlink_to(tmp_path / "far/none.mp3")
    os.link(tmp_path / "in/a.mp3", tmp_path / "in/hard.mp3")  # no telling which is the copy
    listing = list_input(str(tmp_path / "in"))
    assert sorted(t.key for t in listing.tracks) == ["a.mp3", "b1.mp3", "gone.mp3", "hard.mp3"]
    assert listing.ignored == {"links to what is listed already": 2}


def test_what_is_no_sound_is_counted_as_what_it_is(tmp_path: Path) -> None:
    names = "cover.JPG folder.png album.cue all.m3u8 rip.log notes.txt LICENSE x.mid y.KAR z.xm archive.zip .DS_Store"
    put(tmp_path / "a.mp3", tmp_path / "metadata.csv", *(tmp_path / name for name in names.split()))
    listing = list_input(str(tmp_path))
    assert listing.ignored == {
        "MIDI files": 2,
        "archives": 1,
        "cue sheets": 1,
        "hidden": 1,
        "lists": 1,
        "lyrics and texts": 3,
        "pictures": 2,
        "playlists": 1,
        "tracker modules": 1,
    }
    assert listing.notes[0].startswith("2 MIDI files and 1 tracker modules hold notes, not sound; to mine them, render")
    assert listing.notes[1].startswith("metadata.csv lies in the folder and is not read; give it as the input")
    (tmp_path / "a.mp3").unlink()
    with pytest.raises(BadInput, match=r"render them first: fluidsynth -ni -F song.wav SOUNDFONT.sf2 song.mid"):
        list_input(str(tmp_path))


@pytest.mark.parametrize("kind", FORMATS)
def test_content_decides_where_the_name_says_nothing(tmp_path: Path, kind: str) -> None:
    rate = FORMATS[kind].rates_hz[0]
    file = tmp_path / f"x.{FORMATS[kind].suffix}"
    write_audio(file, chord(1.0, rate), rate, kind)
    file.rename(tmp_path / "track 01")
    (tmp_path / "data.dat").write_bytes(os.urandom(5000))
    (tmp_path / "zeros").write_bytes(bytes(5000))
    (tmp_path / "text").write_text("# just a text, nothing more\n" * 200)
    listing = list_input(str(tmp_path))
    assert [t.key for t in listing.tracks] == ["track 01"]
    assert listing.ignored == {".dat": 1, "no suffix": 2}
    assert [t.key for t in list_input(str(tmp_path / "track 01")).tracks] == ["track 01"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.mp3", tmp_path / "shut/b.mp3")
    (tmp_path / "shut").chmod(0)
    try:
        assert list_input(str(tmp_path)).ignored == {"folders that cannot be read": 1}
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_local_path_may_hold_what_urls_are_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "AC::DC#1 100%25"
    put(folder / "a::b.mp3", folder / "c?d.mp3")
    assert keys(folder) == ["a::b.mp3", "c?d.mp3"]
    assert keys(folder / "a::b.mp3") == ["a::b.mp3"]
    assert keys(f"{folder}/*.mp3") == ["a::b.mp3", "c?d.mp3"]
    (folder / "l::ist.csv").write_text("path\na::b.mp3\nc?d.mp3\n")
    paths = {track.path for track in list_input(str(folder / "l::ist.csv")).tracks}
    assert paths == {str(folder / "a::b.mp3"), str(folder / "c?d.mp3")}
