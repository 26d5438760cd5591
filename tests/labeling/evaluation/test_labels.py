"""Judging labels: ranks against what they are by definition, and the command on a real crate."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cratedig.main import main
from labeling.evaluation.known import known_by_tags, ranks, read_facts, read_tagger
from labeling.evaluation.label_sample import Drawn
from labeling.evaluation.ranked import by_embedder, by_known, calibrate, interval
from pipeline.errors import BadInput
from tests.tiny_clap import make_tiny_clap

CLIPS = [
    {"clip_id": f"c{i}", "track_id": f"t{i // 2}", "source_key": f"{i // 2}.mp3", "start_s": 30.0 * (i % 2),
     "duration_s": 30.0, "tags": ["piano"] if i < 2 else ["drums", "loud rock"]}
    for i in range(8)
]  # fmt: skip


def table(path: Path, header: list[str], rows: list[list[object]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def test_a_rank_is_the_share_of_other_clips_below_ties_half() -> None:
    found = ranks(np.array([[1.0], [3.0], [3.0], [np.nan], [0.0]]))[:, 0]
    np.testing.assert_allclose(found[[0, 1, 2, 4]], [1 / 3, 2.5 / 3, 2.5 / 3, 0])
    assert np.isnan(found[3])


def test_an_embedder_orders_all_clips_for_each_caption() -> None:
    rng = np.random.default_rng(0)
    clips, vectors = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    drawn = [Drawn(clip=i, text=str(i % 3), score=0.0) for i in range(9)]
    partner = np.roll(np.arange(9), 1)
    cosine, rank = by_embedder(clips, drawn, partner, lambda texts: vectors[[int(t) for t in texts]])
    unit = clips / np.linalg.norm(clips, axis=1, keepdims=True)
    for n, one in enumerate(drawn):
        all_clips = unit @ vectors[int(one.text)]
        for column, clip in enumerate((one.clip, partner[one.clip])):
            assert cosine[n, column] == pytest.approx(all_clips[clip], abs=1e-6)
            assert rank[n, column] == pytest.approx((all_clips < all_clips[clip]).sum() / 8)


def test_captions_that_a_tagger_agrees_with_rank_high_and_others_at_chance(tmp_path: Path) -> None:
    rows = [[c["clip_id"], "piano", 0.9 if i < 2 else 0.1] for i, c in enumerate(CLIPS)]
    known = read_tagger(table(tmp_path / "t.csv", ["clip_id", "tag", "score"], rows), CLIPS)
    right = [Drawn(clip=0, text="a calm piano piece", score=1.0)]
    wrong = [Drawn(clip=5, text="a calm piano piece", score=1.0)]
    partner = np.array([7, 7, 7, 7, 7, 0, 0, 0])
    assert by_known(known, right, partner)[0] == pytest.approx([6.5 / 7, 2.5 / 7])
    assert by_known(known, wrong, partner)[0, 0] == pytest.approx(2.5 / 7)
    silent = by_known(known, [Drawn(clip=0, text="a sitar drone", score=1.0)], partner)
    assert np.isnan(silent).all(), "of what the tagger does not know it says nothing"


def test_a_tagger_of_two_sets_speaks_by_both(tmp_path: Path) -> None:
    rows = [[c["clip_id"], f"{kind}/{tag}", score] for i, c in enumerate(CLIPS)
            for kind, tag, score in (("MTT", "piano", i / 10), ("MSD", "jazz", 0.9 - i / 10))]  # fmt: skip
    known = read_tagger(table(tmp_path / "t.csv", ["clip_id", "tag", "score"], rows), CLIPS)
    jazz = known.facts.index("style:jazz")
    assert list(np.argsort(known.rank_BF[:, jazz])) == list(range(8))[::-1]


def test_facts_come_from_tables_by_any_id_and_from_the_demos_json(tmp_path: Path) -> None:
    listed = read_facts(table(tmp_path / "f.csv", ["path", "facts"], [["0.mp3", "instrument:piano; tempo:slow"],
                                                                      ["1.mp3", "loud drums"]]), CLIPS)  # fmt: skip
    assert listed.has is not None
    assert "instrument:piano" in listed.has[0] and listed.has[0] == listed.has[1]  # noqa: PT018
    assert "drums:yes" in listed.has[2]
    assert not listed.has[4], "nothing is said of other clips"
    assert listed.judged == 4
    (tmp_path / "facts.json").write_text(
        json.dumps({"0.mp3": {"windows": [["tempo:slow"]] * 3 + [["tempo:fast"]] * 3}})
    )
    demo = read_facts(str(tmp_path / "facts.json"), CLIPS)
    assert demo.has is not None
    assert (demo.has[0], demo.has[1]) == (frozenset({"tempo:slow"}), frozenset({"tempo:fast"}))
    own = known_by_tags(CLIPS)
    assert own is not None
    assert own.has is None, "tags do not say all that is true"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["clip_id", "tag", "score"], [["c0", "piano", "much"]], "score 'much' is no number"),
        (["clip_id", "tag", "score"], [["other", "piano", "1"]], "none of them about a clip of this crate"),
        (["clip_id", "tag", "score"], [["c0", "zzz", "1"]], "names a fact"),
        (["who", "tag", "score"], [["c0", "piano", "1"]], "expected one of clip_id"),
    ],
)
def test_a_bad_table_of_tags_gets_a_line(
    tmp_path: Path, header: list[str], rows: list[list[object]], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        read_tagger(table(tmp_path / "t.csv", header, rows), CLIPS)


def test_a_bad_table_of_facts_gets_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected one of facts"):
        read_facts(table(tmp_path / "a.csv", ["path", "x"], [["0.mp3", "y"]]), CLIPS)
    with pytest.raises(BadInput, match="says nothing of the 8 clips"):
        read_facts(table(tmp_path / "b.csv", ["path", "facts"], [["9.mp3", "piano"]]), CLIPS)
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(BadInput, match="holds a list"):
        read_facts(str(tmp_path / "c.json"), CLIPS)


def test_intervals_are_over_tracks_not_captions() -> None:
    rng = np.random.default_rng(0)
    track = np.repeat(np.arange(12), 50)
    level = rng.normal(size=12)[track]
    wide, narrow = interval(level, track), interval(level, np.arange(600))
    assert wide.low < wide.mean < wide.high
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert (wide.high - wide.low) / 2 == pytest.approx(1.645 * np.std(level[::50]) / np.sqrt(12), rel=0.2)


def test_calibration_tells_a_score_that_means_something_from_one_that_does_not() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(400)
    tracks = np.arange(400) // 4
    good = calibrate("j", score, np.clip(score + 0.1 * rng.normal(size=400), 0, 1), tracks)
    bad = calibrate("j", score, rng.random(400), tracks)
    assert good is not None and bad is not None  # noqa: PT018
    assert [rank.mean for _, rank, _ in good.bins] == sorted(rank.mean for _, rank, _ in good.bins)
    assert good.correlation > 0.9 > 0.2 > abs(bad.correlation)
    assert calibrate("j", score[:10], score[:10], tracks[:10]) is None


def judge(crate: Path, tmp_path: Path, *args: str) -> dict[str, object]:
    common = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out"), "--workers", "1", "--device", "cpu"]
    assert main(["evaluate", "labels", str(crate), *args, *common]) == 0
    found: dict[str, object] = json.loads((tmp_path / "out" / "result.json").read_text())
    return found


def test_the_command_judges_a_crate_by_two_models_and_known_facts(
    tmp_path: Path, finished_crate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_tiny_clap(tmp_path / "other", seed=7, window_s=1, dimension=24)
    names = [f"song{i}.{kind}" for i, kind in enumerate(("flac", "mp3", "wav", "ogg", "m4a", "aiff"))]
    rows = [[name, "piano, slow" if i % 2 else "drums, fast"] for i, name in enumerate(names)]
    facts = table(tmp_path / "facts.csv", ["path", "facts"], rows)
    found = judge(finished_crate, tmp_path, "--judge", str(other), "--facts", facts)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="http' not in page and "<script" not in page  # noqa: PT018
    for slot in found["slots"]:  # type: ignore[attr-defined]
        own, second, known = slot["verdicts"][:3]
        assert "it chose them" in own["judge"] and second["judge"] == "other"  # noqa: PT018
        assert own["rank"]["mean"] > own["shuffled"], "what a model chose it likes"
        assert abs(second["rank"]["mean"] - 0.5) < 0.25, "random weights know nothing of another's choice"
        assert known["judge"] == "facts facts.csv"
    out = (tmp_path / "out" / "result.json").read_bytes()
    judge(finished_crate, tmp_path, "--judge", str(other), "--facts", facts)
    assert (tmp_path / "out" / "result.json").read_bytes() == out


def test_a_sample_is_a_share_of_the_clips_and_the_same_each_time(tmp_path: Path, finished_crate: Path) -> None:
    first = judge(finished_crate, tmp_path, "--clips", "9")
    assert 2 <= first["sampled"] < first["clips"]  # type: ignore[operator]
    assert judge(finished_crate, tmp_path, "--clips", "9") == first


def test_a_crate_without_labels_gets_a_line(
    tmp_path: Path, finished_crate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "labels", str(finished_crate), "--labels", "none-such"]) == 2
    assert "has no label run 'none-such'" in capsys.readouterr().err
