"""Answers as models really give them, cut into sentences."""

from __future__ import annotations

import pytest

from vocab.cleaning.sentences import answer_sentences, split_sentences, strip_markers, without_echo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A slow tune. It is sad.", ["A slow tune.", "It is sad."]),
        ("A duet feat. Jane Doe on vocals. Strings swell.", ["A duet feat. Jane Doe on vocals.", "Strings swell."]),
        ("A smooth R&B ballad. Soft keys.", ["A smooth R&B ballad.", "Soft keys."]),
        ("It has an 80's feel. Drums are gated.", ["It has an 80's feel.", "Drums are gated."]),
        ("Like Symphony No. 5 in C minor. Loud.", ["Like Symphony No. 5 in C minor.", "Loud."]),
        ("It is in the key of C. The mood is bright.", ["It is in the key of C.", "The mood is bright."]),
        ("In the style of J. S. Bach. Stately.", ["In the style of J. S. Bach.", "Stately."]),
        ("At 120 b.p.m. the beat drives. Wow!", ["At 120 b.p.m. the beat drives.", "Wow!"]),
        ("Drums, bass, etc. The mood is calm.", ["Drums, bass, etc.", "The mood is calm."]),
        ("It runs at 4.5 seconds. Then it stops… Silence.", ["It runs at 4.5 seconds.", "Then it stops…", "Silence."]),
        ('It says "slow down." Then drums.', ['It says "slow down."', "Then drums."]),
        ("Fast! Loud? Yes.", ["Fast!", "Loud?", "Yes."]),
        ("Rock vs. jazz, e.g. fusion, i.e. both.", ["Rock vs. jazz, e.g. fusion, i.e. both."]),
        ("no capital follows. see", ["no capital follows. see"]),
        ("", []),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- A slow tune.", "A slow tune."),
        ("1. A slow tune.", "A slow tune."),
        ("12) A slow tune.", "A slow tune."),
        ("• **Mood:** calm and warm", "calm and warm"),
        ("Description: A slow tune.", "A slow tune."),
        ('"A slow tune."', "A slow tune."),
        ("## A *slow* tune", "A slow tune"),
        ("[1] A slow tune.", "A slow tune."),
        ("808 drums hit hard.", "808 drums hit hard."),
        ("A cappella singing.", "A cappella singing."),
        ("60's pop.", "60's pop."),
    ],
)
def test_markers_go_and_words_stay(line: str, expected: str) -> None:
    assert strip_markers(line) == expected


def test_the_echo_and_the_next_song_go() -> None:
    answer = '"Blue Moon" by The Tests: A slow waltz.\n\n"Other Song" by Someone Else: A fast polka.'
    assert without_echo(answer, title="Blue Moon", artist="The Tests").strip() == "A slow waltz."
    assert answer_sentences(answer, title="Blue Moon", artist="The Tests") == ["A slow waltz."]


def test_an_answer_cut_short_loses_its_last_piece_only() -> None:
    answer = "A slow waltz. The strings sw"
    assert answer_sentences(answer, cut_short=True) == ["A slow waltz."]
    assert answer_sentences(answer) == ["A slow waltz.", "The strings sw"]
    assert answer_sentences("A slow waltz.", cut_short=True) == ["A slow waltz."]


def test_lists_with_markdown_become_sentences() -> None:
    answer = "Here:\n\n1. **Piano** plays. Drums enter.\n2. It ends.\n\n\n- Soft."
    assert answer_sentences(answer) == ["Here:", "Piano plays.", "Drums enter.", "It ends.", "Soft."]


def test_thinking_end_marks_and_lists_are_understood() -> None:
    assert answer_sentences("<think>A rock song?\nYes.</think>\n\nA slow waltz.<eos>") == ["A slow waltz."]
    assert answer_sentences("It is jazz, I guess.</think>A slow waltz.<|im_end|>") == ["A slow waltz."]
    assert answer_sentences("A slow waltz. <think>And the drums") == ["A slow waltz."]
    assert answer_sentences('{"captions": ["A slow waltz", "Brass \\"stabs\\". Drums enter."]}') == [
        "A slow waltz",
        'Brass "stabs".',
        "Drums enter.",
    ]
    broken = '```json\n{"captions": ["A slow waltz", "The strings sw'
    assert answer_sentences(broken, cut_short=True) == ["A slow waltz"]
