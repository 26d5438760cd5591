"""A crate mined with --stereo: two channels in its first audio column, all else as in the mono crate."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from beam_jobs.engine import Engine
from pipeline.audio.flac import decode_flac
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.verify import verify_crate
from pipeline.errors import BadInput, CrateMismatch
from pipeline.export.resolve import choose_audio
from pipeline.export.verify import verify_export
from tests.audio_files import chord, write_audio
from tests.crates import CONFIG, label, mine_clips, plan_crate
from tests.exports import clip_rows, export

STEREO = CONFIG.model_copy(update={"stereo": True})


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory, tiny_clap: Path, vocabularies: Path) -> tuple[Path, Path]:
    """(mono, stereo) of one folder: stereo at the crate's own rate and at 44.1 kHz, mono, mono in two channels, 5.1."""
    root = tmp_path_factory.mktemp("stereo")
    music = root / "music"
    music.mkdir()
    left, right = chord(6, 24_000, seed=1)[:1], 0.4 * chord(6, 24_000, seed=2)[:1]
    write_audio(music / "exact.flac", np.concatenate([left, right]), 24_000, "flac")
    write_audio(music / "wide.mp3", np.concatenate([chord(6, 44_100, seed=n)[:1] for n in (3, 4)]), 44_100, "mp3")
    write_audio(music / "narrow.flac", chord(6, 44_100, seed=5)[:1], 44_100, "flac")
    write_audio(music / "twice.flac", np.repeat(chord(6, 44_100, seed=6)[:1], 2, axis=0), 44_100, "flac")
    write_audio(music / "around.flac", 0.3 * np.concatenate([chord(6, 44_100, seed=n)[:1] for n in range(7, 13)]),
                44_100, "flac")  # fmt: skip
    with Engine(workers=1) as engine:
        for name, config in (("mono", CONFIG), ("stereo", STEREO)):
            crate = plan_crate(music, root / name, tiny_clap, config)
            mine_clips(crate, engine)
            label(crate, vocabularies, engine, name="first")
    return root / "mono", root / "stereo"


def test_only_the_first_column_differs(crates: tuple[Path, Path]) -> None:
    mono, stereo = map(clip_rows, crates)
    assert len(mono) == len(stereo) == 15
    for ours, theirs in zip(stereo, mono, strict=True):
        assert ours.pop("channels") == (1 if theirs["source_key"] in ("narrow.flac", "twice.flac") else 2)
        loud, quiet = ours.pop("audio")["bytes"], theirs.pop("audio")["bytes"]
        assert ours == theirs  # embeddings, levels and the 16 kHz clip, to the last bit
        left_T, right_T = decode_flac(loud, mono=False)[0].T
        if theirs["source_key"] in ("narrow.flac", "twice.flac"):
            np.testing.assert_array_equal(left_T, right_T)
        if theirs["source_key"] != "around.flac":  # of six channels the mono mix has the bass, the two sides have not
            np.testing.assert_allclose((left_T + right_T) / 2, decode_flac(quiet)[0], atol=1.1 / 32768)
            np.testing.assert_allclose(decode_flac(loud)[0], decode_flac(quiet)[0], atol=1.1 / 32768)


def test_samples_at_the_clips_own_rate_are_the_sources(crates: tuple[Path, Path]) -> None:
    source_TC, _ = soundfile.read(crates[1].parent / "music" / "exact.flac", dtype="int16")
    for row in clip_rows(crates[1]):
        if row["source_key"] == "exact.flac":
            start = round(row["start_s"] * 24_000)
            clip_TC, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
            assert rate == 24_000
            np.testing.assert_array_equal(clip_TC, source_TC[start : start + 48_000])


def test_labels_are_those_of_the_mono_crate(crates: tuple[Path, Path]) -> None:
    mono, stereo = (sorted((crate / "labels" / "first").rglob("*.parquet")) for crate in crates)
    assert [pq.read_table(file).to_pylist() for file in mono] == [pq.read_table(file).to_pylist() for file in stereo]


def test_verify_proves_it_and_names_a_lie(crates: tuple[Path, Path]) -> None:
    crate = Crate.open(crates[1])
    assert verify_crate(crate).holds
    index = next(i for i in crate.shards if any(t.key == "narrow.flac" for t in crate.plan(i).tracks))
    name, marker = crate.clips_part(index), crate.clips_part(index).replace(".parquet", ".done.json")
    path, before = Path(crate.storage.path(name)), Path(crate.storage.path(name)).read_bytes()
    said, table = read_sealed(crate.storage, marker), pq.read_table(path)
    column = table.column_names.index("channels")
    try:
        pq.write_table(table.set_column(column, "channels", pa.array([2] * len(table), pa.int32())), path)
        files = {**said["files"], name: {"sha256": crate.storage.sha256(name), "bytes": path.stat().st_size}}
        write_sealed(crate.storage, marker, {**said, "files": files})
        proof = verify_crate(crate)
        assert any("is said to have 2 channels, of 1 in its source" in fault for fault in proof.faults)
    finally:
        path.write_bytes(before)
        write_sealed(crate.storage, marker, said)


def test_mono_crates_are_what_they_were_and_do_not_mix_with_stereo(crates: tuple[Path, Path], tiny_clap: Path) -> None:
    assert "stereo" not in CONFIG.model_dump(mode="json")
    assert ClipsConfig.model_validate(STEREO.model_dump(mode="json")) == STEREO
    assert CONFIG.hash() != STEREO.hash()
    for there, wanted, said in ((0, STEREO, "stereo=False, asked for is True"), (1, CONFIG, "stereo=True, asked for")):
        with pytest.raises(CrateMismatch, match=said):
            plan_crate(crates[0].parent / "music", crates[there], tiny_clap, wanted)


def test_exports_take_both_channels_or_their_mix(crates: tuple[Path, Path], tmp_path: Path) -> None:
    crate = Crate.open(crates[1])
    given = {"audio": None, "rate_hz": None, "channels": None}
    assert choose_audio(crate, **{**given, "channels": 2}).audio == "audio"  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="--audio audio_16k is 16000 Hz mono, asked for is 16000 Hz with 2 channels"):
        choose_audio(crate, **{**given, "audio": "audio_16k", "channels": 2})  # type: ignore[arg-type]
    for channels, rate in ((2, 24_000), (2, 16_000), (1, 24_000)):
        out = tmp_path / f"{channels}-{rate}"
        assert verify_export(export(crates[1], out, audio="audio", rate_hz=rate, channels=channels)).holds
        rows = [row for file in (out / "data").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
        by_id = {row["clip_id"]: row["audio"]["bytes"] for row in rows}
        for clip in clip_rows(crates[1]):
            flac = by_id[clip["clip_id"]]
            assert soundfile.info(io.BytesIO(flac)).channels == channels
            if (channels, rate) == (2, 24_000):
                assert flac == clip["audio"]["bytes"]
