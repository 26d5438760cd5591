"""The report's figures against hand computation, and against a crate's own labels."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labeling.report import Report, write_report
from labeling.report.charts import histogram_chart, rank_chart
from labeling.report.hubs import compare_hubs
from labeling.report.pictures import colormap, encode_mp3, mel_picture, mel_position
from labeling.report.runs import choose_run
from labeling.report.sample import choose_places, read_sample
from labeling.report.similarity import compare, strangers
from labeling.report.usage import Counter64, hubness, rank_curve, spread
from pipeline.crate.crate import CLIPS, LABELS, Crate
from pipeline.crate.dataset import read_once
from pipeline.crate.shards import marker_name, part_name
from pipeline.crate.verify import verify_crate
from pipeline.errors import BadInput, CrateMismatch, VocabularyProblem
from pipeline.publishing.card import Sources, write_card
from pipeline.storage import Storage
from tests.audio_files import tone, write_audio
from tests.labeling.report.report_crate import CLIP_S, label, make_crate, make_vocabularies, mine


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Crate:
    return make_crate(tmp_path_factory.mktemp("report"))


def test_spread_of_counts_by_hand() -> None:
    even = spread(np.array([2, 2, 2, 2]), captions=100)
    assert (even.drawn, even.distinct, even.entropy_bits, even.largest_share) == (8, 4, 2.0, 0.25)
    assert even.entropy_share == pytest.approx(2 / 3)  # of log2(8): eight draws could use eight captions
    one = spread(np.array([7, 0]), captions=2)
    assert (one.distinct, one.entropy_bits, one.entropy_share, one.largest_share) == (1, 0.0, 0.0, 1.0)
    assert spread(np.array([4, 4]), captions=2).entropy_share == 1.0  # of log2(2): no more captions than two
    assert spread(np.zeros(3, np.int64), captions=3).drawn == 0


def test_hubness_counts_the_captions_that_never_occur() -> None:
    every = np.array([9, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.float64)
    third = ((every - every.mean()) ** 3).mean() / ((every - every.mean()) ** 2).mean() ** 1.5
    found = hubness(np.array([9, 1]), captions=10)
    assert found.skewness == pytest.approx(third, abs=1e-6)
    assert (found.never_share, found.largest, found.mean) == (0.8, 9, 1.0)
    assert hubness(np.array([3, 3, 3]), captions=3).skewness == 0.0


def test_rank_curve_starts_with_the_most_used_and_ends_with_the_last() -> None:
    curve = rank_curve(np.array([1, 5, 0, 3]))
    assert curve == [(1, 5), (2, 3), (3, 1)]
    long = rank_curve(np.arange(1, 100_001))
    assert long[0] == (1, 100_000)
    assert long[-1] == (100_000, 1)
    assert len(long) <= 160
    assert rank_curve(np.zeros(2, np.int64)) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=30), max_size=8))
def test_counter_is_collections_counter(batches: list[list[int]]) -> None:
    with patch("labeling.report.usage._MERGE_AT", 4):
        counter = Counter64()
        for batch in batches:
            counter.add(np.array(batch, dtype=np.uint64))
        found = counter.counts()
    assert dict(zip(found.ids_U.tolist(), found.counts_U.tolist(), strict=True)) == Counter(
        one for batch in batches for one in batch
    )
    assert (np.diff(found.ids_U.astype(object)) > 0).all()
    asked = np.array([[0, 7]], dtype=np.uint64)
    assert found.of(asked).tolist() == [[sum(b.count(0) for b in batches), sum(b.count(7) for b in batches)]]


def test_strangers_are_of_another_track_and_each_once_where_tracks_are_single() -> None:
    clips = [f"t{i // 3}-{i % 3}" for i in range(12)]
    partner = strangers(clips, [clip[:2] for clip in clips])
    assert all(clips[i][:2] != clips[j][:2] for i, j in enumerate(partner))
    singles = strangers(clips, clips)
    assert sorted(singles.tolist()) == list(range(12))
    assert strangers(["a-0", "a-1"], ["a", "a"]).tolist() == [1, 0]  # one track only: its other clip


def test_similarity_of_vectors_by_hand() -> None:
    clips = np.array([[2, 0], [0, 3]], dtype=np.float32)
    captions = np.array([[[5, 0]], [[0, 1]]], dtype=np.float32)
    found = compare(clips, captions, np.array([1, 0]))
    assert found is not None
    assert (found.drawn_mean, found.shuffled_mean, found.drawn_wins, found.pairs) == (1.0, 0.0, 1.0, 2)
    assert sum(found.drawn) == sum(found.shuffled) == 2
    same = compare(np.ones((2, 2), np.float32), np.ones((2, 3, 2), np.float32), np.array([1, 0]))
    assert same is not None
    assert same.drawn_wins == 0.5
    assert compare(clips[:1], captions[:1], np.array([0])) is None
    chart = histogram_chart(found)
    assert [series.name for series in chart.series] == ["shuffled", "drawn"]


def test_rank_chart_falls_from_left_to_right() -> None:
    chart = rank_chart({"top": [(1, 1000), (10, 10)], "uniform": []})
    start, end = (tuple(map(float, point.split(","))) for point in chart.series[0].points.split())
    assert start == (chart.left, chart.top)
    assert end[0] == chart.right
    assert start[1] < end[1] < chart.bottom
    assert [tick.label for tick in chart.y_ticks] == ["1", "10", "100", "1k"]
    assert chart.series[1].points == ""


def test_mel_picture_shows_a_tone_where_its_axis_says() -> None:
    picture = mel_picture(tone(5.0, 24_000, hz=1_000)[0], 24_000)
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)))
    assert pixels.shape == (picture.height, picture.width)
    assert 600 <= picture.width <= 725
    loudest = np.median(pixels.argmax(axis=0))
    assert 1 - (loudest + 0.5) / picture.height == pytest.approx(mel_position(1_000, picture.top_hz), abs=0.012)
    assert picture.png == mel_picture(tone(5.0, 24_000, hz=1_000)[0], 24_000).png
    assert mel_picture(np.zeros(100, np.float32), 16_000).height == 96  # shorter than one FFT frame, and silent


def test_colours_rise_in_lightness() -> None:
    linear = (colormap() / 255.0) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(linear) >= 0).all()
    assert linear[0] < 0.001
    assert linear[-1] > 0.9


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 96_000])
def test_mp3_has_its_length_and_its_sound(rate: int) -> None:
    import av

    data = encode_mp3(tone(3.0, rate, hz=440)[0], rate)
    assert data == encode_mp3(tone(3.0, rate, hz=440)[0], rate)
    assert len(data) < 8_000 * 3 + 2_000
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].channels == 1
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        decoded_hz = container.streams.audio[0].rate
    assert len(heard) / decoded_hz == pytest.approx(3.0, abs=0.15)
    peak = np.abs(np.fft.rfft(heard[decoded_hz : 2 * decoded_hz])).argmax()
    assert peak == 440


def test_taking_means_off_dissolves_a_hub() -> None:
    """A caption in the direction that all clips share is everyone's nearest, until that direction is taken off."""
    rng = np.random.default_rng(0)
    own_BD = rng.standard_normal((60, 32)).astype(np.float32)
    shared_D = np.zeros(32, np.float32)
    shared_D[0] = 20.0
    captions_ND = np.concatenate([own_BD, shared_D[None]])
    found = compare_hubs(own_BD + shared_D, captions_ND, k=1)
    assert (found.clips, found.captions) == (60, 61)
    assert found.plain.largest == 60
    assert found.plain.never_share == pytest.approx(60 / 61, abs=1e-6)
    assert found.debiased.largest < 5
    assert found.debiased.skewness < found.plain.skewness


def test_stats_are_those_of_the_labels(crate: Crate) -> None:
    write_report(crate, clips=0)
    stats = crate.storage.read_json("stats.json")
    run = choose_run(crate)
    assert run is not None
    uses: Counter[str] = Counter()
    for shard in crate.shards:
        with crate.storage.open(part_name(*crate.at(run.folder, shard))) as file:
            for labels in pq.read_table(file).column("llm_lf").to_pylist():
                uses.update(label["text"] for label in labels)
    slot = stats["slots"]["llm_lf"]
    found = slot["draws"]["inverse-frequency"]
    share = np.array(list(uses.values())) / uses.total()
    assert found["spread"]["drawn"] == uses.total() == 3 * slot["clips"]
    assert found["spread"]["distinct"] == len(uses)
    assert found["spread"]["entropy_bits"] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-6)
    assert found["spread"]["largest_share"] == pytest.approx(share.max(), abs=1e-6)
    assert [row["uses"]["inverse-frequency"] for row in found["most"]] == sorted(uses.values(), reverse=True)[:10]
    assert all(uses[row["text"]] == row["uses"]["inverse-frequency"] for row in [*found["most"], *found["least"]])
    assert slot["draws"]["top"]["spread"]["drawn"] == uses.total()
    assert slot["hubness"]["mean"] == pytest.approx(10 * slot["clips"] / slot["captions"])
    assert slot["hubs"]["clips"] == slot["clips"]
    assert slot["hubs"]["plain"] == slot["hubness"]


def test_the_redrawn_control_is_what_a_run_with_that_draw_writes(crate: Crate, tmp_path: Path) -> None:
    label(crate, make_vocabularies(tmp_path), method="uniform", name="even")
    run = choose_run(crate, "even")
    assert run is not None
    assert run.method == "uniform"
    spreads = []
    for name in ("even", next(n for n in crate.storage.list(LABELS) if n != "even")):
        write_report(crate, name, clips=0)
        stats = crate.storage.read_json("stats.json")
        assert stats["labels"]["name"] == name
        spreads.append({slot: figures["draws"] for slot, figures in stats["slots"].items()})
    for slot in spreads[0]:
        for method in ("top", "uniform", "inverse-frequency"):
            assert spreads[0][slot][method]["spread"] == spreads[1][slot][method]["spread"]
            assert spreads[0][slot][method]["curve"] == spreads[1][slot][method]["curve"]
    crate.storage.remove(f"{LABELS}/even")


def test_totals_agree_with_verify(crate: Crate) -> None:
    write_report(crate, clips=0)
    totals = crate.storage.read_json("stats.json")["totals"]
    proof = verify_crate(crate)
    assert proof.holds
    assert totals["holds"]
    assert (totals["planned"], totals["written"], totals["rejected"]) == (9, 7, 2)
    assert (totals["clips"], totals["clip_rejects"]) == (proof.clips, proof.clip_rejects)
    assert totals["by_reason"] == dict(proof.reasons)
    assert totals["track_rejects"] == 1  # the silent one lost its clips, one by one
    assert totals["hours"] == pytest.approx(proof.clips * CLIP_S / 3600, abs=1e-6)
    reasons = {(r["level"], r["reason"]): r["examples"] for r in totals["reasons"]}
    assert reasons["track", "not-audio"] == ["not <b>audio<b>.mp3"]


def test_texts_come_from_labels_or_from_the_vocabulary(crate: Crate, tmp_path: Path) -> None:
    files = make_vocabularies(tmp_path)
    write_report(crate, clips=0, vocabularies=files)
    draws = crate.storage.read_json("stats.json")["slots"]["rater_sf"]["draws"]
    given = {row["caption_id"]: row["text"] for draw in draws.values() for row in [*draw["most"], *draw["least"]]}
    assert all(given.values())
    write_report(crate, clips=0)
    draws = crate.storage.read_json("stats.json")["slots"]["rater_sf"]["draws"]
    found = {row["caption_id"]: row["text"] for draw in draws.values() for row in [*draw["most"], *draw["least"]]}
    assert {i: text for i, text in found.items() if text} == {i: given[i] for i, text in found.items() if text}
    with pytest.raises(VocabularyProblem, match=r"not the vocabulary that slot llm_lf was labelled from"):
        write_report(crate, clips=0, vocabularies={"llm_lf": files["rater_sf"]})


def test_same_crate_same_bytes(crate: Crate) -> None:
    page = Path(write_report(crate, clips=2))
    first = page.read_bytes(), (page.parents[1] / "stats.json").read_bytes()
    write_report(crate, clips=2)
    assert (page.read_bytes(), (page.parents[1] / "stats.json").read_bytes()) == first
    assert json.loads(first[1])["totals"]["planned"] == 9


def test_sample_takes_every_track_before_it_takes_one_twice(crate: Crate) -> None:
    seven = choose_places(crate, 7)
    assert len({place.clip_id.rpartition("-")[0] for place in seven}) == 7
    assert {place.clip_id for place in seven} <= {place.clip_id for place in choose_places(crate, 9)}
    assert choose_places(crate, 0) == []
    run = choose_run(crate)
    for clip in read_sample(crate, choose_places(crate, 100), run):
        assert clip.row["clip_id"] == clip.labels["clip_id"] == clip.place.clip_id
        assert clip.flac[:4] == b"fLaC"


def test_a_verification_is_told_with_its_faults(crate: Crate) -> None:
    proof = verify_crate(crate)
    page = Path(write_report(crate, clips=0, proof=proof))
    assert "Every file was hashed again" in page.read_text(encoding="utf-8")
    proof.faults.append("clips/part-0 was changed <by hand>")
    text = Path(write_report(crate, clips=0, proof=proof)).read_text(encoding="utf-8")
    assert "clips/part-0 was changed &lt;by hand&gt;" in text
    assert "does not hold" in text


def test_a_crate_without_labels_has_a_page(tmp_path: Path) -> None:
    crate = make_crate(tmp_path, labels=False)
    text = Path(write_report(crate, clips=1)).read_text(encoding="utf-8")
    assert "not labelled yet" in text
    assert text.count("<audio") == 1
    assert crate.storage.read_json("stats.json")["slots"] == {}
    with pytest.raises(BadInput, match=r"no label run 'gone' \(it has none\)"):
        write_report(crate, "gone")
    crate.storage.remove(marker_name(*crate.at(CLIPS, 0)))
    with pytest.raises(CrateMismatch, match="finish them first"):
        write_report(crate)


def test_the_same_file_under_two_names_is_said(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    first = write_audio(music / "a.flac", tone(9.0, 44_100, hz=440), 44_100, "flac")
    write_audio(music / "b.flac", tone(9.0, 44_100, hz=450), 44_100, "flac")
    for name in ("c.flac", "d.flac"):
        shutil.copy(first, music / name)
    crate = mine(music, tmp_path / "crate")
    text = Path(write_report(crate)).read_text(encoding="utf-8")
    totals = crate.storage.read_json("stats.json")["totals"]
    assert (totals["written"], totals["same_content"]) == (4, 2)
    assert "2 tracks are byte for byte the same file as another" in text


def test_a_curated_run_shows_prompts(crate: Crate) -> None:
    label(crate, {}, profile_name="curated", name="curated")
    text = Path(write_report(crate, "curated", clips=3)).read_text(encoding="utf-8")
    assert text.count("from metadata") == 3
    assert "by Artist &lt;" in text
    assert "Caption balance" not in text
    crate.storage.remove(f"{LABELS}/curated")


def test_a_crate_in_which_everything_was_left_out_has_a_page(tmp_path: Path) -> None:
    crate = make_crate(tmp_path, songs=0)
    text = Path(write_report(crate)).read_text(encoding="utf-8")
    assert "2 tracks planned = 0 written + 2 rejected" in text
    assert "1 track lost all of its clips that way" in text
    assert "<audio" not in text
    stats = crate.storage.read_json("stats.json")
    assert stats["totals"]["hours"] == 0
    assert stats["slots"]["llm_lf"]["draws"]["top"]["spread"]["drawn"] == 0
    assert stats["slots"]["llm_lf"]["hubness"]["never_share"] == 1
    assert stats["slots"]["llm_lf"]["similarity"] is None


def test_unfinished_labels_are_named_or_passed_over(crate: Crate, tmp_path: Path) -> None:
    run = label(crate, make_vocabularies(tmp_path), seed=9, name="half")
    assert choose_run(crate, "half") is not None
    crate.storage.remove(marker_name(*crate.at(run.folder, 1)))
    with pytest.raises(CrateMismatch, match=r"'half' .* lack 1 of 3 shards"):
        choose_run(crate, "half")
    newest = choose_run(crate)
    assert newest is not None
    assert newest.name != "half"
    crate.storage.remove(run.folder)
    with pytest.raises(BadInput, match="clips is -1"):
        write_report(crate, clips=-1)


def test_clips_with_fewer_captions_are_compared_with_those_they_have(crate: Crate, tmp_path: Path) -> None:
    files = make_vocabularies(tmp_path)
    names = [slot.name for slot in choose_run(crate).slots]  # type: ignore[union-attr]
    shards = [pq.read_table(p, columns=names) for p in sorted(Path(crate.storage.path(LABELS)).rglob("*.parquet"))]
    every = [row["score"] for table in shards for labels in table.column("llm_lf").to_pylist() for row in labels]
    run = label(crate, files, name="strong", min_similarity=float(np.quantile(every, 0.6)))
    write_report(crate, "strong", clips=0, vocabularies=files)
    found = crate.storage.read_json("stats.json")["slots"]["llm_lf"]
    assert 0 < found["similarity"]["pairs"] == found["draws"]["inverse-frequency"]["spread"]["drawn"] < len(every)
    assert found["similarity"]["clips"] <= found["clips"]
    assert sum(found["similarity"]["drawn"]) == found["similarity"]["pairs"]
    crate.storage.remove(run.folder)
    write_report(crate, clips=0)


def test_a_part_is_read_once_for_proof_card_and_page(
    crate: Crate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = make_vocabularies(tmp_path)
    opened: Counter[str] = Counter()
    for how in ("open", "open_whole"):
        real = getattr(Storage, how)
        monkeypatch.setattr(Storage, how, lambda self, name, real=real: (opened.update([name]), real(self, name))[1])
    report, sources = Report(crate, clips=0, vocabularies=files), Sources()
    read_once(crate, [sources, *report.watchers])
    report.write()
    write_card(crate, sources)
    parts = {name: count for name, count in opened.items() if "part-" in name and name.endswith(".parquet")}
    assert len(parts) == 5 * len(crate.shards), "clips, rejects, two sets of candidates, labels"
    assert set(parts.values()) == {1}
    alone = {name: crate.storage.read_bytes(name) for name in ("stats.json", "README.md", "ATTRIBUTION.csv")}
    opened.clear()
    report, sources = Report(crate, clips=0, vocabularies=files), Sources()
    proof = verify_crate(crate, [sources, *report.watchers])
    report.write(proof)
    write_card(crate, sources)
    assert proof.holds
    assert {n for name, n in opened.items() if name in parts} == {1}
    assert {name: crate.storage.read_bytes(name) for name in alone} == alone
