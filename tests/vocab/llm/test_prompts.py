"""The prompt and the list of songs: the examples stay the same bytes, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from tests.vocab.cli import run_vocab
from vocab.llm.prompts import PromptTemplate
from vocab.llm.songs import Song, read_songs

SONG = Song(
    row=1, title="A {artist} Song", artist="Béla", values={"title": "A {artist} Song", "artist": "Béla", "year": "1999"}
)


def _template(tmp_path: Path, text: str) -> PromptTemplate:
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    return PromptTemplate.load(tmp_path / "t.txt")


def test_the_bundled_template_ends_with_the_song() -> None:
    template = PromptTemplate.load()
    prompt = template.render(SONG)
    assert prompt.startswith(template.prefix)
    assert prompt.endswith('\n\n"A {artist} Song" by Béla:')
    assert template.prefix.count('" by ') == 12
    assert "{" not in template.prefix


def test_other_columns_may_be_named(tmp_path: Path) -> None:
    template = _template(tmp_path, "Example.\n\n{title} ({year}) by {artist}:\n\n")
    assert template.render(SONG) == "Example.\n\nA {artist} Song (1999) by Béla:"
    assert template.fields == ("title", "year", "artist")
    with pytest.raises(BadInput, match=r"names \{tempo\}, but the songs have the columns title, artist, year"):
        _template(tmp_path, "{title} by {artist} at {tempo}:").check(SONG)


def test_the_id_is_of_the_prompt(tmp_path: Path) -> None:
    one, two = _template(tmp_path, "{title} by {artist}:"), _template(tmp_path, "{title} from {artist}:")
    assert one.prompt_id(SONG) == one.prompt_id(SONG)
    assert one.prompt_id(SONG) != two.prompt_id(SONG)
    assert one.hash != two.hash


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{title} by somebody", r"has no \{artist\}"),
        (b"", r"has no \{artist\} and no \{title\}"),
        (b"\xff{title}{artist}", "is not UTF-8"),
    ],
)
def test_templates_that_cannot_be_used(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "t.txt").write_bytes(data)
    with pytest.raises(BadInput, match=says):
        PromptTemplate.load(tmp_path / "t.txt")
    with pytest.raises(BadInput, match="cannot be read"):
        PromptTemplate.load(tmp_path / "none.txt")


def test_songs_with_faults_are_left_out_with_their_row(tmp_path: Path) -> None:
    rows = [
        "title,artist,year",
        '"Red, Red\nShoes",Ana,1',
        "???,Bo,2",
        "Blue,...,3",
        "red, red shoes,ANA,4",
        "Night,Cy,5",
        "x",
    ]
    (tmp_path / "s.csv").write_bytes("\n".join(rows).encode() + b"\nB\xe9la,Do,7\n")
    songs, skips = read_songs(tmp_path / "s.csv")
    assert [(song.row, song.title, song.artist) for song in songs] == [
        (1, "Red, Red Shoes", "Ana"),
        (4, "red", "red shoes"),
        (5, "Night", "Cy"),
    ]
    assert [(row["row"], row["reason"]) for row in skips.rows] == [
        (2, "title-without-words"),
        (3, "artist-without-words"),
        (6, "missing-field"),
        (7, "invalid-utf8"),
    ]
    assert songs[0].values["year"] == "1"


def test_a_dry_run_shows_the_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.csv").write_text("title,artist\nNight,Cy\nNight,Cy\n")
    arguments = (
        "generate",
        str(tmp_path / "s.csv"),
        "--out",
        str(tmp_path / "o"),
        "--model",
        "m",
        "--server",
        "http://x/v1",
    )
    assert run_vocab(*arguments, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "1 songs; left out: repeated 1" in out
    assert out.rstrip().endswith('"Night" by Cy:')
    assert not (tmp_path / "o").exists()
    with pytest.raises(BadInput, match=r"--temperature is 7\.0"):
        run_vocab(*arguments, "--temperature", "7", "--dry-run")
    (tmp_path / "bad.csv").write_text("name,artist\nNight,Cy\n")
    with pytest.raises(BadInput, match="has no column 'title'; it has 'name', 'artist'"):
        run_vocab("generate", str(tmp_path / "bad.csv"), *arguments[2:])
