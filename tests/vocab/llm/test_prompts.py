"""The prompt and the list of songs: the examples stay the same bytes, and what is missing is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from tests.vocab.cli import run_vocab
from vocab.llm.prompts import PromptTemplate
from vocab.llm.songs import Song, read_songs
from vocab.llm.tasks import TASKS

SONG = Song(
    row=1, title="A {artist} Song", artist="Béla", values={"title": "A {artist} Song", "artist": "Béla", "year": "1999"}
)


def _template(tmp_path: Path, text: str) -> PromptTemplate:
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    return PromptTemplate.load(tmp_path / "t.txt")


@pytest.mark.parametrize("task", TASKS)
def test_the_tasks_have_examples_of_their_questions_form(task: str) -> None:
    template = PromptTemplate.load(task)
    assert len(template.examples) >= 8
    assert template.instruction
    assert "{" not in template.instruction + "".join(example.question + example.answer for example in template.examples)


def test_each_shard_has_examples_of_its_own_and_they_are_balanced() -> None:
    template = PromptTemplate.load()
    drawn = [template.draw(0, shard) for shard in range(60)]
    assert template.draw(0, 3) == drawn[3]
    assert template.draw(1, 3) != drawn[3]
    assert len(set(drawn)) == 60
    assert all(len(examples) == len(set(examples)) == 8 for examples in drawn)
    voices = Counter(voice(example.answer) for examples in drawn for example in examples)
    assert 0.8 < voices["woman"] / voices["man"] < 1.25, voices
    used = Counter(example.question for examples in drawn for example in examples)
    assert len(used) == len(template.examples), "every example has its turn"


def voice(text: str) -> str:
    words = set(text.lower().replace(".", " ").replace(",", " ").replace("'s", "").split())
    woman, man = bool(words & {"woman", "female", "she", "her"}), bool(words & {"man", "male", "men", "he", "his"})
    return "woman" if woman and not man else "man" if man and not woman else "neither"


def test_a_prompt_is_a_text_or_messages(tmp_path: Path) -> None:
    template = _template(tmp_path, "Be plain.\n\nA by B: A waltz.\n\nC by D: A march. Brass.\n\n{title} by {artist}:")
    request = template.request(SONG, template.draw(0, 0), seed=7)
    assert request.prompt == "Be plain.\n\nA by B: A waltz.\n\nC by D: A march. Brass.\n\nA {artist} Song by Béla:"
    assert request.messages == (
        ("system", "Be plain."),
        ("user", "A by B:"),
        ("assistant", "A waltz."),
        ("user", "C by D:"),
        ("assistant", "A march. Brass."),
        ("user", "A {artist} Song by Béla:"),
    )
    assert [example.names for example in template.examples] == [("A", "B"), ("C", "D")]
    listed = PromptTemplate.load(tmp_path / "t.txt", structured=True).request(SONG, template.examples, seed=7)
    assert listed.messages[4] == ("assistant", '{"captions": ["A march.", "Brass."]}')
    assert listed.messages[0][1].endswith('Answer in JSON: {"captions": ["one sentence", "another sentence"]}')


def test_other_columns_may_be_named(tmp_path: Path) -> None:
    template = _template(tmp_path, "Example.\n\n{title} ({year}) by {artist}:\n\n")
    assert template.ask(SONG) == "A {artist} Song (1999) by Béla:"
    assert template.fields == ("title", "year", "artist")
    assert template.instruction == "Example."
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
        (b"by somebody", "ends without a question"),
        (b"", "ends without a question"),
        (b"{title} by X: A waltz.\n\n{title} by {artist}:", "names columns before its last lines"),
        (b"\xff{title}{artist}", "is not UTF-8"),
    ],
)
def test_templates_that_cannot_be_used(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "t.txt").write_bytes(data)
    with pytest.raises(BadInput, match=says):
        PromptTemplate.load(tmp_path / "t.txt")
    with pytest.raises(BadInput, match="cannot be read"):
        PromptTemplate.load(tmp_path / "none.txt")


def test_tags_need_no_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('tags\n"jazz, slow"\n...\n"Jazz, slow"\nrock\n')
    found, skips = read_songs(tmp_path / "t.csv", PromptTemplate.load("tags").fields)
    assert [(song.row, song.values["tags"], song.title) for song in found] == [(1, "jazz, slow", ""), (4, "rock", "")]
    assert [row["reason"] for row in skips.rows] == ["tags-without-words", "repeated"]


def test_songs_with_faults_are_left_out_with_their_row(tmp_path: Path) -> None:
    rows = [
        "title,artist,year",
        '"Red, Red\nShoes",Ana,1',
        "???,Bo,2",
        "Blue,...,3",
        "red, red shoes,ANA,4",
        "Night,Cy,5",
        "x",
        "Caf\u00e9,Ed,7",
        'Hey "Jude", Part 2,Beat,8',
        '"Never closed,Fay,9',
        "Last,Gil,10",
    ]
    (tmp_path / "s.csv").write_bytes("\n".join(rows).encode() + b"\nB\xe9la,Do,7\n")
    songs, skips = read_songs(tmp_path / "s.csv")
    assert [(song.row, song.title, song.artist) for song in songs] == [
        (1, "Red, Red Shoes", "Ana"),
        (5, "Night", "Cy"),
        (7, "Caf\u00e9", "Ed"),
        (10, "Last", "Gil"),
    ]
    assert [(row["row"], row["reason"]) for row in skips.rows] == [
        (2, "title-without-words"),
        (3, "artist-without-words"),
        (4, "wrong-number-of-fields"),
        (6, "wrong-number-of-fields"),
        (8, "wrong-number-of-fields"),
        (9, "unclosed-quote"),
        (11, "invalid-utf8"),
    ]
    assert skips.rows[2]["detail"].startswith("line 6: 4 fields, the header has 3; quote a field that holds ','")
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
    assert '"Night" by Cy:\n\n1 requests: about 0.00 million tokens to read' in out
    assert run_vocab(*arguments, "--chat", "--samples", "3", "--price-out", "1e6", "--dry-run") == 0
    out = capsys.readouterr().out
    assert '[user]\n"Night" by Cy:' in out
    assert float(out.rsplit(None, 1)[-1].replace(",", "")) == 3 * 128
    with pytest.raises(BadInput, match="--chat-template-kwargs goes with --chat"):
        run_vocab(*arguments, "--chat-template-kwargs", "{}x", "--dry-run")
    with pytest.raises(BadInput, match=r"--request '\[\]' is a list"):
        run_vocab(*arguments, "--request", "[]", "--dry-run")
    assert not (tmp_path / "o").exists()
    with pytest.raises(BadInput, match=r"--temperature is 7\.0"):
        run_vocab(*arguments, "--temperature", "7", "--dry-run")
    (tmp_path / "bad.csv").write_text("id,artist\nNight,Cy\n")
    with pytest.raises(BadInput, match="has no column for the title; it has 'id', 'artist'; rename the right one"):
        run_vocab("generate", str(tmp_path / "bad.csv"), *arguments[2:])


def test_a_list_of_songs_may_name_its_columns_as_it_likes(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes("Track Name;Performer\nCaf\u00e9;Ana\n".encode("latin-1"))
    songs, skips = read_songs(tmp_path / "s.csv")
    assert [(song.title, song.artist, song.values["Performer"]) for song in songs] == [("Caf\u00e9", "Ana", "Ana")]
    assert skips.remarks == ["not UTF-8, read as Latin-1 (Windows-1252)", "read with ; between fields"]
