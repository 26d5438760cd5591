"""Prompts from the sets' own lists, in the forms in which they are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusion.evaluation.prompt_sets import read_prompts
from pipeline.errors import BadInput


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_musiccaps_with_a_caption_over_two_lines(tmp_path: Path) -> None:
    file = write(
        tmp_path / "m.csv",
        'ytid,start_s,end_s,aspect_list,caption\nabc,30,40,"[]","Slow, sad\npiano."\nxyz,0,10,[],Fast drums.\n',
    )
    found = read_prompts("musiccaps", [file])
    assert [(p.id, p.text) for p in found.prompts] == [("abc", "Slow, sad piano."), ("xyz", "Fast drums.")]


def test_magnatagatunes_tags_are_joined_and_clips_without_one_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path / "annotations_final.csv",
        "clip_id\tno voice\tguitar\tslow\tmp3_path\n2\t0\t1\t1\tf/a.mp3\n6\t0\t0\t0\tf/b.mp3\n10\t1\t0\t0\t0/c.mp3\n",
    )
    found = read_prompts("mtat", [file])
    assert [(p.id, p.text) for p in found.prompts] == [("2", "guitar, slow"), ("10", "no voice")]
    assert found.left_out == {"no-tag": 1}


def test_audiosets_labels_are_joined_without_music_itself(tmp_path: Path) -> None:
    file = write(
        tmp_path / "eval_segments.csv",
        "# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/04rlf,/m/0342h"\n-0Gj8-vB1q4, 30.000, 40.000, "/m/04rlf"\n',
    )
    labels = write(tmp_path / "labels.csv", "mid,name\n/m/04rlf,Music\n/m/0342h,Guitar\n")
    found = read_prompts("audioset", [file], labels=labels)
    assert [(p.id, p.text) for p in found.prompts] == [("--4gqARaEJE", "Guitar")]
    assert found.left_out == {"no-music-label": 1}


def test_a_file_of_ones_own_in_three_forms(tmp_path: Path) -> None:
    lines = read_prompts(write(tmp_path / "p.txt", "slow piano\n\n  fast   drums \n"))
    assert [p.text for p in lines.prompts] == ["slow piano", "fast drums"]
    table = read_prompts(write(tmp_path / "p.csv", "id,prompt\na,slow piano\nb,\n"))
    assert ([p.id for p in table.prompts], table.left_out) == (["a"], {"empty": 1})
    rows = read_prompts(write(tmp_path / "p.jsonl", '{"id": "x", "caption": "a harp"}\n'))
    assert [(p.id, p.text) for p in rows.prompts] == [("x", "a harp")]


def test_a_few_prompts_are_the_same_few_and_seeds_do_not_depend_on_them(tmp_path: Path) -> None:
    everything = read_prompts(write(tmp_path / "p.txt", "\n".join(f"song {i}" for i in range(50))))
    few = everything.some(7)
    assert few == everything.some(7)
    assert [p for p in everything.prompts if p in few.prompts] == list(few.prompts)
    assert set(few.prompts) <= set(everything.some(20).prompts)
    assert len({p.seed(0) for p in everything.prompts}) == 50
    assert few.prompts[0].seed(0) != few.prompts[0].seed(1)


def test_what_gives_no_prompt_gets_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs the set's own list: --list musiccaps"):
        read_prompts("musiccaps")
    with pytest.raises(BadInput, match="neither musiccaps, mtat, audioset nor a file"):
        read_prompts("musicaps")
    with pytest.raises(BadInput, match="gives no prompt"):
        read_prompts(write(tmp_path / "e.txt", "\n \n"))
    with pytest.raises(BadInput, match="expected one of prompt, caption, text"):
        read_prompts(write(tmp_path / "e.csv", "id,title\n1,x\n"))
