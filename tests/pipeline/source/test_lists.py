"""Lists of tracks as people write them: what is read as what, and what becomes of rows that cannot be used."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import BadInput, DecodeFailure
from pipeline.records import Track
from pipeline.source.fetch import fetched
from pipeline.source.listing import Listing, list_input
from pipeline.source.parquet import inside_path


def listed(tmp_path: Path, name: str, content: str | bytes) -> Listing:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list_input(str(tmp_path / name))


def by_key(listing: Listing) -> dict[str, Track]:
    return {track.key: track for track in listing.tracks}


def rejected(listing: Listing) -> list[tuple[str, str]]:
    assert all((r.level, r.stage, r.detail.partition(":")[0]) == ("row", "list", r.key) for r in listing.rejects)
    return [(reject.key, reject.reason) for reject in listing.rejects]


@pytest.mark.parametrize(
    "column",
    "path Path FILE filepath file_path FileName file_name filename audio audio_path audioPath Audio-File "
    "audio_filepath location URL".split(),
)
def test_the_path_goes_by_many_names(tmp_path: Path, column: str) -> None:
    listing = listed(
        tmp_path, "songs.csv", f"{column},license,Genres,Track Name,Performer,Album\nsub/a.mp3,CC0,x;y,T,P,A\n"
    )
    (track,) = listing.tracks
    assert track.path == str(tmp_path / "sub/a.mp3")
    assert (track.title, track.artist, track.album, track.licence, track.tags) == ("T", "P", "A", "CC0", ("x", "y"))
    assert listing.columns == {
        "path": column,
        "title": "Track Name",
        "artist": "Performer",
        "album": "Album",
        "tags": "Genres",
        "licence": "license",
    }


def test_a_column_that_looks_like_a_known_one_is_said_and_kept(tmp_path: Path) -> None:
    listing = listed(
        tmp_path,
        "songs.csv",
        "path,url,title,title_romaji,artist_id,lisence,bpm,tags,genre\na.mp3,u,T,R,7,CC0,90,x,y\n",
    )
    assert listing.unused_columns == {
        "artist_id": "artist",
        "lisence": "licence",
        "title_romaji": "title",
        "url": "path",
    }
    (track,) = listing.tracks
    assert track.tags == ("x", "y")
    assert track.extra == (("artist_id", "7"), ("bpm", "90"), ("lisence", "CC0"), ("title_romaji", "R"), ("url", "u"))


@pytest.mark.parametrize(
    ("mark", "encoding", "note"),
    [
        (",", "utf-8", ""),
        (";", "utf-8-sig", "read with ; between fields"),
        ("\t", "utf-8", "read with tab between fields"),
        ("|", "utf-8", "read with | between fields"),
        (",", "utf-16", "read as UTF-16"),
        (",", "utf-16-le", "read as UTF-16"),
        (",", "utf-16-be", "read as UTF-16"),
        (",", "cp1252", "not UTF-8, read as Latin-1 (Windows-1252)"),
    ],
)
def test_delimiters_and_encodings(tmp_path: Path, mark: str, encoding: str, note: str) -> None:
    text = f'path,title,artist\r\nä/a.mp3,"Rain{mark} again",Ana\r\nb.mp3,Café,\r\n'.replace("a.mp3,", f"a.mp3{mark}")
    text = text.replace("path,title,artist", mark.join(["path", "title", "artist"])).replace('",Ana', f'"{mark}Ana')
    text = text.replace("b.mp3,Café,", mark.join(["b.mp3", "Café", ""]))
    listing = listed(tmp_path, "songs.csv", text.encode(encoding))
    assert by_key(listing)["ä/a.mp3"].title == f"Rain{mark} again"
    assert (by_key(listing)["b.mp3"].title, by_key(listing)["b.mp3"].artist) == ("Café", "")
    assert listing.notes == ((note,) if note else ())


def test_damaged_utf8_costs_its_row_and_is_no_latin1(tmp_path: Path) -> None:
    listing = listed(tmp_path, "songs.csv", b"path,title\na.mp3,Caf\xc3\xa9\nb.mp3,Caf\xe9\nc.mp3,Three\n")
    assert sorted(by_key(listing)) == ["a.mp3", "c.mp3"]
    assert rejected(listing) == [("row 2", "invalid-utf8")]


def test_excel_may_name_its_delimiter_and_leave_empty_rows(tmp_path: Path) -> None:
    listing = listed(tmp_path, "songs.csv", "sep=;\npath;title;;\na.mp3;Gold, and silver;;\n;;;\n\nb.mp3;Two\n;;;\n")
    assert {key: track.title for key, track in by_key(listing).items()} == {"a.mp3": "Gold, and silver", "b.mp3": "Two"}
    assert not listing.rejects


def test_an_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    listing = listed(tmp_path, "songs.csv", 'path,title\na.mp3,"Intro\nb.mp3,Two\nc.mp3,Three\n')
    assert {key: track.title for key, track in by_key(listing).items()} == {"b.mp3": "Two", "c.mp3": "Three"}
    assert rejected(listing) == [("row 1", "unclosed-quote")]
    assert "line 2" in listing.rejects[0].detail
    listing = listed(
        tmp_path,
        "songs.csv",
        'path,title\na.mp3,"In\nb.mp3,"Two, 2"\nc.mp3,"Thr\nee"\nd.mp3,"Weird Al" Y\ne.mp3,7" mix\n',
    )
    assert {key: track.title for key, track in by_key(listing).items()} == {
        "b.mp3": "Two, 2",
        "c.mp3": "Thr\nee",
        "d.mp3": "Weird Al Y",
        "e.mp3": '7" mix',
    }
    assert rejected(listing) == [("row 1", "unclosed-quote")]


def test_faulty_rows_are_counted_with_their_number(tmp_path: Path) -> None:
    rows = ["a.mp3,One,1", ",Two,2", "c.mp3,Three,3,more", "d.mp3", "a.mp3,Other,1", "a.mp3,One,9", "e.mp3,Five,5"]
    listing = listed(tmp_path, "songs.csv", "path,title,n\n" + "\n".join(rows))
    assert sorted(by_key(listing)) == ["a.mp3", "e.mp3"]
    assert rejected(listing) == [
        ("row 2", "no-path"),
        ("row 3", "wrong-number-of-fields"),
        ("row 4", "wrong-number-of-fields"),
        ("row 5", "contradicts"),
    ]
    assert listing.rejects[3].detail == "row 5: 'a.mp3' has the title 'Other', in row 1 'One'"
    assert listing.repeated_rows == 1


@pytest.mark.parametrize(
    ("rows", "title", "tags"),
    [
        ({"title": pa.array([float("nan")])}, "", ()),
        ({"tags": pa.array([float("nan")])}, "", ()),
        ({"tags": pa.array([5])}, "", ()),
        ({"tags": pa.array([["rock", None]])}, "", ("rock",)),
        ({"title": pa.array([None], pa.string()), "tags": pa.array([None], pa.list_(pa.string()))}, "", ()),
        ({"title": pa.array(["nan"])}, "nan", ()),
        ({"genre": pa.array([["x", "y"]]), "artists": pa.array([["A", "B"]])}, "", ("x", "y")),
    ],
)
def test_what_is_no_text_is_absent(
    tmp_path: Path, rows: dict[str, pa.Array], title: str, tags: tuple[str, ...]
) -> None:
    pq.write_table(pa.table({"path": ["a.mp3"], **rows}), tmp_path / "t.parquet")
    listing = list_input(str(tmp_path / "t.parquet"))
    assert [(t.title, t.tags) for t in listing.tracks] == [(title, tags)]
    assert listing.tracks[0].artist == ("A, B" if "artists" in rows else "")
    assert "nan" not in dict(listing.tracks[0].extra).values()


def test_a_number_is_kept_in_extra_and_said(tmp_path: Path) -> None:
    listing = listed(tmp_path, "t.jsonl", '{"path": "a.mp3", "title": 1979}\n{"path": "b.mp3", "title": "1979"}\n')
    assert [(t.title, t.extra) for t in (by_key(listing)["a.mp3"], by_key(listing)["b.mp3"])] == [
        ("", (("title", "1979"),)),
        ("1979", ()),
    ]
    assert listing.notes == ("column 'title' holds a number in 1 row, kept in extra and not used as text",)


def test_json_lines_of_other_tools(tmp_path: Path) -> None:
    folder = {"file_name": "a.mp3", "additional_feature": "x", "labels": {"k": [1, None]}}
    nemo = {"audio_filepath": "/data/b.wav", "duration": 3.5, "text": "la la"}
    audiocraft = {"path": "/data/c.mp3", "duration": 10.0, "sample_rate": 44100, "amplitude": None, "weight": None}
    lines = [json.dumps(row) for row in (folder, nemo, audiocraft)]
    for row, name, key in zip(
        lines,
        ("metadata.jsonl", "manifest.json", "data.jsonl.gz"),
        ("a.mp3", "/data/b.wav", "/data/c.mp3"),
        strict=True,
    ):
        data = row.encode() + b"\n"
        listing = listed(tmp_path, name, gzip.compress(data) if name.endswith("gz") else data)
        assert [t.key for t in listing.tracks] == [key]
    assert dict(listing.tracks[0].extra) == {"duration": "10.0", "sample_rate": "44100"}
    listing = listed(tmp_path, "x.jsonl", lines[0] + "\n{'path': 1}\n\n[1]\n" + json.dumps({"title": "x"}) + "\n")
    assert rejected(listing) == [("row 2", "not-json"), ("row 4", "not-json"), ("row 5", "no-path")]
    assert dict(listing.tracks[0].extra)["labels"] == '{"k": [1, null]}'
    assert len(listed(tmp_path, "x.json", json.dumps([folder, {"file_name": "b.mp3"}], indent=1)).tracks) == 2


def test_playlists(tmp_path: Path) -> None:
    (tmp_path / "Album").mkdir()
    (tmp_path / "Album/three four.mp3").touch()
    (tmp_path / "Album/two.mp3").touch()
    text = (
        "#EXTM3U\n#EXTINF:123,Ana - Öne, again\none.mp3\n\n# a remark\nAlbum\\two.mp3\n#EXTINF:-1,Just a title\n"
        "Album/three%20four.mp3\nhttp://radio.example/x.mp3\n#EXTALB:Best\n/far/four.mp3\n"
        + f"file://{tmp_path}/fi%20ve.mp3\n"
    )
    for name, encoding in (("p.m3u8", "utf-8-sig"), ("p.m3u", "cp1252")):
        tracks = by_key(listed(tmp_path, name, text.encode(encoding)))
        assert (tracks["one.mp3"].artist, tracks["one.mp3"].title) == ("Ana", "Öne, again")
        assert tracks["Album/two.mp3"].path == str(tmp_path / "Album/two.mp3")
        assert tracks["Album/three four.mp3"].title == "Just a title"
        assert tracks["http://radio.example/x.mp3"].path == "http://radio.example/x.mp3"
        assert tracks["/far/four.mp3"].album == "Best"
        assert tracks[f"{tmp_path}/fi ve.mp3"].path == f"{tmp_path}/fi ve.mp3"
        assert len(tracks) == 6
    with pytest.raises(BadInput, match="is the playlist of a stream"):
        listed(tmp_path, "s.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nseg1.ts\n")


def test_a_path_a_line(tmp_path: Path) -> None:
    listing = listed(tmp_path, "songs.txt", "a, b.mp3\n\n  sub/c.flac  \r\n#1 Hits/d.mp3\n")
    assert sorted(by_key(listing)) == ["#1 Hits/d.mp3", "a, b.mp3", "sub/c.flac"]
    assert rejected(listing) == []
    assert sorted(by_key(listed(tmp_path, "one.csv", "path\na, b.mp3\nc.mp3\n"))) == ["a, b.mp3", "c.mp3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "name,who\nT,A\n", r"has the columns name, who; expected 'path' \(or file, file_name"),
        ("s.csv", "a/b.mp3,Title\nc.mp3,Two\n", r"does its first line hold data\? Then put a line such as path,title"),
        ("s.csv", "path,title\n", "has no rows; expected one a track"),
        ("s.csv", "", r"has the columns \(none\); expected 'path'"),
        (
            "s.csv",
            'path,title\n,One\n"x\n',
            r"has 2 rows and no usable one \(no-path 1, unclosed-quote 1\); the first: row 1",
        ),
        ("s.parquet", "PAR1 no parquet", "is not a readable Parquet file"),
        ("s.json", '[{"path": 1', "is not valid JSON"),
        ("s.csv.gz", "not packed", "Not a gzipped file"),
    ],
)
def test_a_list_that_is_none_is_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        listed(tmp_path, name, content)


def test_several_lists_by_one_glob(tmp_path: Path) -> None:
    listed(tmp_path, "a.csv", 'path\nx.mp3\n"open\n')
    listed(tmp_path, "b.csv", "file,title\ny.mp3,Why\n")
    listing = list_input(f"{tmp_path}/*.csv")
    assert {key: track.title for key, track in by_key(listing).items()} == {"x.mp3": "", "y.mp3": "Why"}
    assert rejected(listing) == [("a.csv row 2", "unclosed-quote")]


def test_hugging_face_parquet_holds_the_audio_itself(tmp_path: Path) -> None:
    """Several shards in a folder, as `datasets` writes them; the bytes of each row come out as they went in."""
    datasets = pytest.importorskip("datasets", reason="writes the file as the hub has it")
    sounds = [f"sound {n} ".encode() * 1000 for n in range(40)]
    (tmp_path / "data").mkdir()
    for shard, part in enumerate((sounds[:25], sounds[25:])):
        audio = [{"bytes": data, "path": f"clip{n}.wav"} for n, data in enumerate(part)]
        rows = datasets.Dataset.from_dict(
            {"audio": audio, "label": [["Music", "Jazz"]] * len(part), "title": ["T"] * len(part)}
        )
        rows = rows.cast_column("audio", datasets.Audio(decode=False))
        rows.to_parquet(tmp_path / f"data/train-0000{shard}-of-00002.parquet", batch_size=10)
    listing = list_input(str(tmp_path / "data"))
    assert len(listing.tracks) == 40
    assert listing.columns == {"path": "audio (the audio itself)", "title": "title"}
    tracks = by_key(listing)
    for key, wanted in {
        "train-00000-of-00002.parquet/000001-clip0.wav": sounds[0],
        "train-00000-of-00002.parquet/000025-clip24.wav": sounds[24],
        "train-00001-of-00002.parquet/000012-clip11.wav": sounds[36],
    }.items():
        assert tracks[key].title == "T"
        with fetched(tracks[key].path) as (path, sha256, size):
            assert Path(path).read_bytes() == wanted
            assert (sha256, size) == (hashlib.sha256(wanted).hexdigest(), len(wanted))
    with (
        pytest.raises(DecodeFailure, match=r"missing: .* has 25 rows, not row 26"),
        fetched(inside_path(str(tmp_path / "data/train-00000-of-00002.parquet"), "audio", 25)),
    ):
        pass


def test_audio_structs_without_bytes_name_files(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": None, "path": "a.wav"}, {"bytes": None, "path": None}], kind)
    pq.write_table(pa.table({"audio": rows}), tmp_path / "t.parquet")
    listing = list_input(str(tmp_path / "t.parquet"))
    assert [t.path for t in listing.tracks] == [str(tmp_path / "a.wav")]
    assert rejected(listing) == [("row 2", "no-path")]
