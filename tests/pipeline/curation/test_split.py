"""Splits: nobody stands on two sides, and nothing that has a side changes it."""

import random
from dataclasses import replace

import numpy as np
import pytest

from cratedig.main import main
from diffusion.data.crate_data import CrateClips
from diffusion.data.holdout import TEST, TRAIN, VALIDATION, deal
from pipeline.crate.crate import Crate
from pipeline.curation.names import album_key, artist_keys
from pipeline.curation.split import Described, described_tracks, make_split, write_split
from pipeline.curation.tables import looked_at, split_of, stale_tables
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from tests.diffusion.crates import make_crate

SHARES = {"test": 0.1, "valid": 0.1}


@pytest.mark.parametrize(
    ("credit", "expected"),
    [
        ("The Beatles", {"beatles"}),
        ("BEYONCÉ", {"beyonce"}),
        ("Ann feat. Bob", {"ann feat bob", "ann", "bob"}),
        ("Ann (ft. Bob & Cy)", {"ann ft bob and cy", "ann", "bob", "cy"}),
        ("Ann; Bob", {"ann bob", "ann", "bob"}),
        ("Various Artists", set()),
        ("unknown", set()),
        ("", set()),
        ("???", set()),
        ("X", {"x"}),
        ("Björk", {"bjork"}),
        ("AC/DC", {"ac dc", "ac", "dc"}),
    ],
)
def test_a_credit_names_its_artists(credit, expected):
    assert artist_keys(credit) == expected


def test_albums_of_one_name_are_told_apart():
    best = {"album": "Greatest Hits", "artist": "Queen"}
    assert album_key(best) != album_key(best | {"artist": "Abba"})
    assert album_key({"album": "Hits", "extra": [{"name": "album_artist", "value": "VA"}]}) == album_key(
        {"album": "hits", "artist": "Abba", "extra": [{"name": "album_artist", "value": "VA"}]}
    )
    assert album_key({"album": "Unknown Album", "artist": "Abba"}) == ""


def known(count, seed=0, artists=60):
    draw = random.Random(seed)
    rows = {}
    for i in range(count):
        artist = f"Artist {draw.randrange(artists)}"
        if draw.random() < 0.02 and i < 600:
            artist += f" feat. Artist {draw.randrange(artists)}"
        rows[f"t{i:04d}"] = Described(row={"artist": artist, "source_key": f"{i}.mp3"}, clips=1)
    return rows


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return Crate.open(
        make_crate(tmp_path_factory.mktemp("crate"), shards=1, tracks=1, clips=1, clip_s=0.2, labels=None)
    )


def test_no_artist_is_on_two_sides_and_order_is_of_no_consequence(empty):
    tracks = known(600)
    split = make_split(empty, tracks, by="artist", shares=SHARES)
    sides = {}
    for track, side in split.side_of.items():
        for key in artist_keys(tracks[track].row["artist"]):
            sides.setdefault(key, set()).add(side)
    assert len(sides) >= 60
    assert all(len(side) == 1 for side in sides.values())
    assert set(split.side_of.values()) == {"train", "valid", "test"}
    shuffled = dict(random.Random(1).sample(list(tracks.items()), len(tracks)))
    again = make_split(empty, shuffled, by="artist", shares=SHARES)
    assert again.side_of == split.side_of
    assert list(again.side_of) == list(split.side_of)


def test_growth_moves_no_track(tmp_path):
    crate = Crate.open(make_crate(tmp_path, shards=1, tracks=1, clips=1, clip_s=0.2, labels=None))
    tracks = known(660)
    old = dict(list(tracks.items())[:600])
    split = make_split(crate, old, by="artist", shares=SHARES, name="artist")
    write_split(crate, "artist", split.side_of, split.group_of)
    grown = make_split(crate, tracks, by="artist", shares=SHARES, name="artist")
    assert (grown.kept, grown.moved) == (600, ())
    assert {track: grown.side_of[track] for track in old} == split.side_of
    anew = make_split(crate, tracks, by="artist", shares=SHARES)
    assert anew.side_of == grown.side_of


def test_a_duet_of_two_sides_goes_to_train_and_is_said(tmp_path):
    crate = Crate.open(make_crate(tmp_path, shards=1, tracks=1, clips=1, clip_s=0.2, labels=None))
    write_split(crate, "artist", {"a": "train", "b": "test"}, {"a": "x", "b": "y"})
    tracks = {
        name: Described(row={"artist": who, "source_key": name}, clips=1)
        for name, who in (("a", "Ann"), ("b", "Bob"), ("c", "Ann & Bob"))
    }
    split = make_split(crate, tracks, by="artist", shares=SHARES, name="artist")
    assert dict(split.side_of) == {"a": "train", "b": "train", "c": "train"}
    assert split.moved == (("b", "test", "train"),)


def test_the_command_writes_a_table_that_training_reads(tmp_path, capsys):
    who = ["Ann", "Bob", "Ann", "Cy", "Various Artists", "Dee"]
    about = lambda clip: {"artist": who[clip // 2 % 6], "source_key": f"d/{clip // 2}.mp3"}  # noqa: E731
    root = make_crate(tmp_path / "crate", shards=3, tracks=2, clips=2, clip_s=0.2, about=about)
    assert main(["split", str(root), "--by", "artist", "--test", "0.3", "--valid", "0.3"]) == 0
    said = capsys.readouterr().out
    assert "6 tracks in 5 groups" in said
    assert "largest group: 2 tracks, 33.3%" in said
    assert "1 tracks name none of what was asked for and were grouped by their folder" in said
    crate = Crate.open(root)
    sides = split_of(crate, "artist", None)
    assert sides["t000000"] == sides["t001000"]
    first = (root / "splits" / "artist.parquet").read_bytes()
    assert main(["split", str(root), "--by", "artist", "--test", "0.3", "--valid", "0.3"]) == 0
    assert (root / "splits" / "artist.parquet").read_bytes() == first
    assert b"Ann" not in first
    groups = tmp_path / "groups.csv"
    rows = "".join(f"d/{i}.mp3,g{i}\n" for i in range(6))
    groups.write_text(f"path,group\n{rows}d/gone.mp3,g9\n")
    assert main(["split", str(root), "--by", str(groups), "--dry-run"]) == 0
    assert "6 tracks in 6 groups" in capsys.readouterr().out
    assert not (root / "splits" / "groups.parquet").exists()
    write_split(crate, "mine", {f"t00{i}00{j}": ("train" if i else "valid") for i in range(3) for j in range(2)},
                {f"t00{i}00{j}": "g" for i in range(3) for j in range(2)})  # fmt: skip
    split = CrateClips(root, [16_000]).split(0.02, table="mine")
    assert (split.train.count, split.validation.count, split.test.count) == (8, 4, 4)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--test", "0.6", "--valid", "0.6"], "expected shares"),
        (["--by", "genre"], "neither artist, album, track, group nor a file"),
        (["--name", "../x"], "expected letters"),
    ],
)
def test_bad_input(empty, args, message, capsys):
    assert main(["split", empty.storage.url, *args]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_split_that_is_not_there(empty):
    with pytest.raises(BadInput, match="cratedig split"):
        CrateClips(empty.storage.url, [16_000], text=False).split(0.1, table="none")


def test_training_deals_by_hash_so_that_more_tracks_move_none():
    few = np.array([hash_u64("holdout", f"t{i}") for i in range(300)], np.uint64)
    more = np.append(few, np.array([hash_u64("holdout", f"n{i}") for i in range(30)], np.uint64))
    np.testing.assert_array_equal(deal(few, 0.1), deal(more, 0.1)[:300])
    assert set(deal(few, 0.1)) == {TRAIN, VALIDATION, TEST}


def test_a_group_of_more_than_a_fifth_is_an_error_that_names_it(tmp_path, capsys):
    def about(clip):
        return {"artist": "Ann" if clip < 6 else f"Artist {clip}", "source_key": f"{clip}.mp3", "extra": []}

    root = make_crate(tmp_path / "crate", shards=1, tracks=24, clips=1, clip_s=0.1, about=about)
    assert main(["split", str(root)]) == 2
    assert (
        "cratedig: one group holds 6 of 24 tracks (of Ann), 25%, more than --max-group 0.2" in capsys.readouterr().err
    )
    assert not (root / "splits").exists()
    assert main(["split", str(root), "--max-group", "0.25"]) == 0
    assert (root / "splits" / "artist.parquet").exists()


def test_tables_made_before_a_crate_grew_are_said(tmp_path, capsys):
    root = make_crate(tmp_path / "crate", shards=2, tracks=2, clips=1, clip_s=0.1)
    crate = Crate.open(root)
    tracks = list(described_tracks(crate))
    write_split(crate, "mine", dict.fromkeys(tracks, "train"), dict.fromkeys(tracks, "g"))
    assert stale_tables(crate) == []
    grown = replace(crate, pours=(*crate.pours, *crate.pours))
    (line,) = stale_tables(grown)
    assert line.startswith("splits/mine.parquet was made before 1 of the crate's pours came in")
    assert line.endswith(f"make it again: cratedig split {root}")
    assert stale_tables(grown, looked_at(grown, "mine", False, False)) == [line]
    assert stale_tables(grown, looked_at(grown, "", False, False)) == []
    write_split(grown, "mine", dict.fromkeys(tracks, "train"), dict.fromkeys(tracks, "g"))
    assert stale_tables(grown) == []
