"""Reading crates: what comes out, and each way in which a crate can be wrong."""

import numpy as np
import pytest

from diffusion.data.crate_data import CrateClips
from pipeline.crate.seals import write_sealed
from pipeline.errors import BadInput, CrateMismatch
from pipeline.storage import Storage
from tests.diffusion.crates import make_crate


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    return make_crate(tmp_path_factory.mktemp("crate"), shards=3, tracks=2, clips=2, clip_s=0.5)


@pytest.fixture
def own_crate(tmp_path):
    return make_crate(tmp_path, shards=2, tracks=1, clips=2, clip_s=0.5)


def test_texts_and_audio_come_with_their_clip(crate):
    clips = CrateClips(crate, [16_000], labels="run")
    rows = clips.split(0.0).train
    group = clips.load(rows.parts[0])
    number = int(group.texts[1].long[0].split()[-1])
    assert group.clip_ids[1] == "t000000-0001"
    assert number == 1
    assert group.texts[1].short == ("track 1", "warm", "loud")
    assert group.flac[16_000][0].as_py()[:4] == b"fLaC"
    assert len(list(clips.all_texts(clips.crate.shards))) == 12


def tracks(clips, rows):
    return {clips.load(p).clip_ids[r].split("-")[0] for p in rows.parts for r in p.kept}


def test_a_track_is_in_one_part_alone(crate):
    clips = CrateClips(crate, [16_000])
    for share in (0.0, 0.4, 0.7):
        split = clips.split(share)
        parts = [tracks(clips, rows) for rows in (split.train, split.validation, split.test)]
        assert len(set().union(*parts)) == sum(map(len, parts)) == 6
        assert split.train.count + split.validation.count + split.test.count == 12
        assert all(parts)
    least = clips.split(0.0)
    assert (least.train.count, least.validation.count, least.test.count) == (8, 2, 2)


def test_copies_of_a_recording_are_in_one_part_together(tmp_path):
    titles = {f"t{shard:03d}{track:03d}": f"Song {track}" for shard in range(2) for track in range(4)}
    titles["t001003"] = titles["t000003"].upper()
    named = list(titles.values())
    about = lambda clip: {"title": named[clip // 2], "artist": "Ada"}  # noqa: E731
    clips = CrateClips(make_crate(tmp_path, shards=2, tracks=4, clip_s=0.5, about=about), [16_000])
    split = clips.split(0.0)
    parts = [tracks(clips, rows) for rows in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [4, 2, 2]
    for part in parts:
        assert {track[-3:] for track in part if track[:4] == "t000"} == {t[-3:] for t in part if t[:4] == "t001"}


def test_more_held_out_never_lets_a_held_out_track_be_trained_on(crate):
    clips = CrateClips(crate, [16_000])
    few, many = clips.split(0.4), clips.split(0.7)
    assert tracks(clips, many.train) <= tracks(clips, few.train)


@pytest.mark.parametrize(("count", "sizes"), [(1, (2, 2, 2)), (2, (2, 2, 2)), (3, (2, 2, 2))])
def test_small_crates_share_what_they_have(tmp_path, count, sizes):
    clips = CrateClips(make_crate(tmp_path, shards=1, tracks=count, clip_s=0.5), [16_000])
    split = clips.split(0.02)
    assert (split.train.count, split.validation.count, split.test.count) == sizes
    assert len(tracks(clips, split.train) | tracks(clips, split.validation) | tracks(clips, split.test)) == count


def test_without_text_no_labels_are_needed(tmp_path):
    crate = make_crate(tmp_path, labels=None, clip_s=0.5)
    assert CrateClips(crate, [24_000], text=False).labels is None
    with pytest.raises(BadInput, match="cratedig label"):
        CrateClips(crate, [16_000])


def test_an_unknown_label_run_names_those_there_are(crate):
    with pytest.raises(BadInput, match=r"'other'.*there are: run"):
        CrateClips(crate, [16_000], labels="other")


def test_a_rate_that_the_crate_lacks(crate):
    with pytest.raises(CrateMismatch, match="needs 48000 Hz"):
        CrateClips(crate, [48_000])


def test_not_a_crate(tmp_path):
    with pytest.raises(BadInput, match="not a crate"):
        CrateClips(tmp_path, [16_000])


def test_a_missing_shard(own_crate):
    (own_crate / "clips" / "pour-00000" / "part-00001-of-00002.parquet").unlink()
    with pytest.raises(CrateMismatch, match=r"shard 1|part-00001-of-00002"):
        CrateClips(own_crate, [16_000])


def test_a_shard_changed_in_a_byte(own_crate):
    file = own_crate / "clips" / "pour-00000" / "part-00001-of-00002.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CrateMismatch, match=r"part-00001-of-00002.parquet was changed"):
        CrateClips(own_crate, [16_000])
    CrateClips(own_crate, [16_000], check_hashes=False)


def test_an_unfinished_label_run(own_crate):
    (own_crate / "labels" / "run" / "pour-00000" / "part-00000-of-00002.done.json").unlink()
    with pytest.raises(CrateMismatch, match="never finished"):
        CrateClips(own_crate, [16_000])


def test_a_slot_of_an_unknown_kind(own_crate):
    file = own_crate / "labels" / "run" / "run.json"
    write_sealed(Storage(file.parent), file.name, {"slots": {"llm_lf": "medium"}})
    with pytest.raises(CrateMismatch, match="long or short"):
        CrateClips(own_crate, [16_000])


def test_a_large_crate_is_looked_through_once_and_mapped_afterwards(tmp_path, monkeypatch):
    from diffusion.data import clip_table, crate_data

    crate = make_crate(tmp_path / "crate", shards=3, tracks=4, clips=2, clip_s=0.1)
    small = CrateClips(crate, [16_000]).split(0.3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(crate_data, "LARGE_TRACKS", 5)
    first = CrateClips(crate, [16_000]).split(0.3)
    monkeypatch.setattr(CrateClips, "_all_tracks", lambda self: pytest.fail("it was looked through before"))
    monkeypatch.setattr(CrateClips, "_check_files", lambda *a: pytest.fail("it was checked before"))
    again = CrateClips(crate, [16_000]).split(0.3)
    assert isinstance(again.train.side, np.memmap)
    for name in ("train", "validation", "test"):
        ours = [(p.shard, p.group, p.kept.tolist()) for p in getattr(small, name).parts]
        assert ours
        for other in (first, again):
            assert [(p.shard, p.group, p.kept.tolist()) for p in getattr(other, name).parts] == ours
            assert getattr(other, name).count == getattr(small, name).count
            assert getattr(other, name).part_rows.tolist() == [len(kept) for _, _, kept in ours]
    assert small.hash == first.hash == again.hash
    assert not list((tmp_path / "cache").rglob(".tmp-*"))
    with pytest.raises(pytest.fail.Exception, match="looked through"):
        CrateClips(crate, [16_000]).split(0.5)  # another split
    assert clip_table.LARGE_TRACKS > 5
