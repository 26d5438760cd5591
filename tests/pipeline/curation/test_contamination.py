"""Leaks: what stands in an evaluation set is found by id, by name, and by its sound."""

import numpy as np
import pytest
import soundfile

from cratedig.main import main
from diffusion.data.crate_data import CrateClips
from pipeline.crate.crate import Crate
from pipeline.curation.evaluation import read_evaluation
from pipeline.curation.likeness.fingerprint import fingerprint
from pipeline.curation.likeness.heard import HeardIndex
from pipeline.curation.tables import left_out_tracks
from tests.pipeline.curation.music import RATE, crate_of, piece

SOUNDS = [piece(seed, 10.0) for seed in range(5)]


@pytest.fixture
def root(tmp_path):
    about = [
        {"source_key": "a/Y-0Gj8-vB1q4.mp3", "title": "One"},
        {"source_key": "b/48/948.mp3"},
        {"source_key": "c/song.mp3", "title": "Blue Sky (2011 Remaster)", "artist": "The Anns feat. Bob"},
        {"source_key": "d/free.mp3", "isrc": "GBAYE0601498"},
        {"source_key": "e/01.mp3"},
    ]
    return crate_of(tmp_path / "crate", SOUNDS, about)


def run(root, against, *options):
    return main(["decontaminate", str(root), "--against", str(against), *map(str, options)])


def found(root, name):
    return left_out_tracks(Crate.open(root), None, duplicates=False, contaminated=True), (
        root / "decontaminate" / f"{name}.parquet"
    ).is_file()


def test_musiccaps_by_id(root, tmp_path, capsys):
    table = tmp_path / "musiccaps-public.csv"
    table.write_text('ytid,start_s,end_s,caption\n-0Gj8-vB1q4,30,40,"a, b"\n-0SdAVK79lg,30,40,c\n')
    assert run(root, "musiccaps", "--list", table) == 0
    said = capsys.readouterr().out
    assert "1 of 5 tracks stand in the set, 1 by id" in said
    assert "checked by id and name only" in said
    assert found(root, "musiccaps") == ({"t000000": "contaminated"}, True)
    split = CrateClips(root, [16_000]).split(0.02)
    assert dict(split.left_out) == {"contaminated": 1}


@pytest.mark.parametrize(
    ("which", "text", "expected"),
    [
        ("audioset-eval", '# Segments\n# YTID, ...\n-0Gj8-vB1q4, 30.000, 40.000, "/m/04rlf"\n', ["t000000"]),
        ("song-describer", "caption_id,track_id,caption,path\n1,948,calm,48/948.mp3\n2,1,x,01/1.mp3\n", ["t001000"]),
        ("mtat", "clip_id\ttitle\tartist\tmp3_path\n2\tBlue Sky\tAnns\tf/x.mp3\n", ["t002000"]),
        ("mtat", "mp3_path\nf/the_anns-album-01-blue_sky-30-59.mp3\n", ["t002000"]),
        ("own.csv", "isrc\ngbaye0601498\n", ["t003000"]),
        ("own.csv", "title,artist\nblue sky,bob\n", ["t002000"]),
        ("own.csv", "title,artist\nblue sky,somebody else\n", []),
        ("own.csv", "path\nx/SONG.mp3\n", ["t002000"]),
        ("song-describer", "track_id\n1\n", []),
    ],
)
def test_each_set_is_read_as_it_is_published(root, tmp_path, which, text, expected):
    table = tmp_path / ("own.csv" if which == "own.csv" else "list.tsv" if "\t" in text else "list.csv")
    table.write_text(text)
    options = (table,) if which == "own.csv" else (which, "--list", table)
    assert run(root, *options) == 0
    assert sorted(found(root, "own" if which == "own.csv" else which)[0]) == expected


def test_copies_under_other_names_are_found_by_sound(root, tmp_path, capsys):
    folder = tmp_path / "audio"
    folder.mkdir()
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(SOUNDS[4]))
    soundfile.write(folder / "x.ogg", (0.5 * SOUNDS[4] + 0.5 * noise)[round(1.7 * RATE) :], RATE)
    soundfile.write(folder / "other.wav", piece(77, 10.0), RATE)
    (folder / "broken.mp3").write_bytes(b"no music" * 100)
    assert run(root, "mtat", "--audio", folder, "--name", "heard", "--dry-run") == 0
    assert not (root / "decontaminate").exists()
    assert run(root, "mtat", "--audio", folder, "--name", "heard") == 0
    said = capsys.readouterr().out
    assert "1 of 5 tracks stand in the set, 1 by audio" in said
    assert "t004000 is x.ogg (audio" in said
    assert "compared by sound with 2 files" in said
    assert "not listened to: broken.mp3" in said
    assert found(root, "heard")[0] == {"t004000": "contaminated"}


def test_an_index_finds_each_of_its_own_and_nothing_else():
    prints = [fingerprint(piece(seed, 10.0, 16_000)) for seed in range(20)]
    index = HeardIndex(prints)
    for number in (0, 7, 19):
        part = fingerprint(piece(number, 10.0, 16_000)[30_000:130_000])
        which, match = index.find(part, error=0.3, least_s=4.0)
        assert which == number
        assert match.error < 0.1
    assert index.find(fingerprint(piece(99, 10.0, 16_000)), error=0.3, least_s=4.0) is None
    assert HeardIndex([]).find(prints[0], error=0.3, least_s=4.0) is None


@pytest.mark.parametrize(
    ("against", "options", "message"),
    [
        ("musiccaps", (), "needs the set itself"),
        ("musicaps", (), "neither musiccaps"),
        ("mtat", ("--list", "none.csv"), "is not there"),
        ("mtat", ("--list", "{tmp}/bad.csv"), "expected ytid"),
        ("mtat", ("--list", "{tmp}/bad.csv", "--threshold", "0.6"), "--threshold"),
    ],
)
def test_bad_input(root, tmp_path, against, options, message, capsys):
    (tmp_path / "bad.csv").write_text("colour,size\nred,1\n")
    assert run(root, against, *(option.format(tmp=tmp_path) for option in options)) == 2
    assert message in capsys.readouterr().err


def test_an_id_is_no_part_of_a_longer_name(tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("ytid\nabcdefghijk\n")
    evaluation = read_evaluation("musiccaps", [str(table)])
    plain = {"title": "", "artist": "", "isrc": "", "extra": []}
    assert evaluation.look_up(plain | {"source_key": "xabcdefghijkx.mp3"}) is None
    assert evaluation.look_up(plain | {"source_key": "[abcdefghijk]-[30-40].mp3"}) == ("id", "abcdefghijk")
    by_column = {"source_key": "1.mp3", "extra": [{"name": "ytid", "value": "abcdefghijk"}]}
    assert evaluation.look_up(plain | by_column) == ("id", "abcdefghijk")
